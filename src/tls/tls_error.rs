//! [`TlsError`]: an error of rustls with a readable message. rustls's own messages contain names of its
//! source code.

use std::{error::Error as StdError, fmt};

use super::messages;

/// An error of rustls with a readable message.
///
/// Its kind is found by [`super::refusal`] and the other functions for error chains.
#[derive(Clone, Debug)]
pub struct TlsError(rustls::Error);

impl TlsError {
    /// The error of rustls.
    pub(super) fn inner(&self) -> &rustls::Error {
        &self.0
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&messages::of_error(&self.0))
    }
}

/// It has no source, because its message contains all of the inner error.
impl StdError for TlsError {}
