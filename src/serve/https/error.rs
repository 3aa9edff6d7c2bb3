//! [`HttpsError`]: why the listener cannot serve https.

use std::{io, path::PathBuf};

use crate::{credential::store, tls};

/// Why the listener cannot serve https.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// A file that cannot be read.
    #[error("{flag} {}: cannot read the file", path.display())]
    Read {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another user could add authorities to the file of `--client-ca`.
    #[error(
        "--client-ca {}: {writers}, who could let anybody in; take away their access (chown, chmod go-w)",
        path.display()
    )]
    Writers {
        /// The file.
        path: PathBuf,
        /// Who may write it.
        writers: String,
    },
    /// A certificate or key that cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The local CA cannot be read or made.
    #[error("--tls-self-signed")]
    LocalAuthority(#[source] store::Error),
}
