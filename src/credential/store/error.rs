//! Why what is in the state folder cannot be read or written.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{kubeconfig, tls};

/// Why a saved login cannot be read or written. Never shows what it holds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No variable names the folder.
    #[error("neither XDG_STATE_HOME nor HOME is set, so there is no state folder")]
    NoFolder,
    /// A file that cannot be read or written.
    #[error("cannot {act} {}", path.display())]
    Io {
        /// `read` or `write`, ...
        act: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file that is no saved login, or a path where no secret should be stored.
    #[error("{} {problem}", path.display())]
    Broken {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: &'static str,
    },
    /// A login that was saved for another issuer, client or API server.
    #[error(
        "the saved login {login:?} is for {known}, not for {given}; if you trust that place, log \
         in there by `kubegate login`, else see where the kubeconfig came from"
    )]
    OtherBinding {
        /// Name of the login.
        login: String,
        /// The issuer or API server that it was to be used with.
        given: String,
        /// Those that it was saved for.
        known: String,
    },
    /// Another kubegate holds the lock for too long, or it cannot be taken.
    #[error("cannot lock the saved login against other kubegates")]
    Lock(#[source] kubeconfig::Error),
    /// The local CA is broken, or cannot issue.
    #[error("the local CA in {} cannot be used; remove the folder to have a new one made", folder.display())]
    Authority {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong.
        source: tls::Error,
    },
    /// The OS's keyring returned an error.
    #[error("the keyring cannot be used: {problem}")]
    Keyring {
        /// What is wrong, and what to do.
        problem: String,
        /// The system's error.
        source: Option<io::Error>,
    },
}

impl Error {
    /// Makes an error of what the system returned when `act` was tried on `path`.
    pub(super) fn io(act: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            act,
            path: path.clone(),
            source,
        }
    }
}
