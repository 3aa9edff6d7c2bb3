//! Why an address cannot be listened on.

use std::{io, path::PathBuf};

use super::listening_process::ListeningProcess;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be bound.
    #[error("cannot listen on {address}{hint}")]
    Bind {
        /// The address or path.
        address: String,
        /// What to do about it, where that is known.
        hint: String,
        /// The error of the system.
        source: io::Error,
    },
    /// Something other than a socket is at the path.
    #[error("--unix-socket {}: a file that is not a socket is there; choose another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Another process listens at the path.
    #[error(
        "--unix-socket {}: another process serves there{}; end it, or choose another path",
        path.display(),
        process.as_ref().map_or_else(String::new, |process| format!(": {process}"))
    )]
    InUse {
        /// The path.
        path: PathBuf,
        /// The process, where the system tells.
        process: Option<ListeningProcess>,
    },
    /// A socket is at the path, and whether a process listens there cannot be found out.
    #[error(
        "--unix-socket {}: cannot find out whether a process listens at the socket there; remove \
         the socket, or choose another path",
        path.display()
    )]
    Unclear {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The path is longer than the system takes.
    #[error(
        "--unix-socket {}: has {length} bytes, and the system takes at most {limit}; choose a shorter \
         path",
        path.display()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The longest length in bytes.
        limit: usize,
    },
    /// Other users could replace the socket by one of their own.
    #[error(
        "--unix-socket: {problem} {}, and could put a socket of their own in the place of this one; choose \
         a folder that only you can write to",
        folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The folder of the socket cannot be made or examined.
    #[error("--unix-socket: cannot use the folder {}", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A descriptor that systemd handed over cannot be listened on.
    #[error(
        "LISTEN_FDS: the descriptor {name:?} is not a listening stream socket of TCP or a unix socket; give \
         the .socket unit ListenStream= and Accept=no"
    )]
    NotListening {
        /// The name of the descriptor.
        name: String,
    },
}
