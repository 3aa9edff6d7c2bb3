//! [`TlsError`]: an error of the TLS library, in words. The library's own texts hold names of its
//! source code, which say nothing to whoever reads them.

use std::{error::Error as StdError, fmt, sync::Arc};

use super::{messages, refusal::find};

/// An error of rustls that shows itself in words.
///
/// What it is remains to be found by [`super::refusal`] and its like.
#[derive(Clone, Debug)]
pub struct TlsError(rustls::Error);

impl TlsError {
    pub(super) fn cause(&self) -> &rustls::Error {
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

/// It has no source: its words say all of it.
impl StdError for TlsError {}

/// The error of rustls that `error` holds, however deep.
#[must_use]
pub fn tls_error(error: &(dyn StdError + 'static)) -> Option<TlsError> {
    let found = find(error, |error| error.downcast_ref::<rustls::Error>());
    found.cloned().map(TlsError)
}

/// The [`TlsError`] that `error` holds in place of `error`; otherwise `error`.
#[must_use]
pub fn readable(error: Arc<dyn StdError + Send + Sync>) -> Arc<dyn StdError + Send + Sync> {
    match tls_error(&*error) {
        Some(error) => Arc::new(error),
        None => error,
    }
}
