//! [`LastDisconnect`]: when the API server last closed a connection.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// When the server last closed a connection that this side wanted to keep.
#[derive(Debug, Default)]
pub(super) struct LastDisconnect(Mutex<Option<Instant>>);

impl LastDisconnect {
    pub(super) fn record(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
