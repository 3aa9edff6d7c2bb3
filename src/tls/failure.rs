//! [`Failure`]: an error of the TLS library, in words. The library's own texts hold names of its
//! source code, which say nothing to whoever reads them.

use std::{error::Error as StdError, fmt, sync::Arc};

use super::{refusal::find, words};

/// An error of rustls that shows itself in words.
///
/// What it is remains to be found by [`super::refusal`] and its like.
#[derive(Clone, Debug)]
pub struct Failure(rustls::Error);

impl Failure {
    pub(super) fn cause(&self) -> &rustls::Error {
        &self.0
    }
}

impl From<rustls::Error> for Failure {
    fn from(error: rustls::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words::of_error(&self.0))
    }
}

/// It has no source: its words say all of it.
impl StdError for Failure {}

/// The error of rustls that `error` holds, however deep.
#[must_use]
pub fn failure(error: &(dyn StdError + 'static)) -> Option<Failure> {
    let found = find(error, |error| error.downcast_ref::<rustls::Error>());
    found.cloned().map(Failure)
}

/// The [`Failure`] that `error` holds in place of `error`; otherwise `error`.
#[must_use]
pub fn in_words(error: Arc<dyn StdError + Send + Sync>) -> Arc<dyn StdError + Send + Sync> {
    match failure(&*error) {
        Some(failure) => Arc::new(failure),
        None => error,
    }
}
