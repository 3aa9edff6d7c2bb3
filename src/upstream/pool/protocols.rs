//! [`Protocols`]: which protocols the API server was found to speak.

use std::sync::atomic::{AtomicBool, Ordering};

/// Which protocols the API server was found to speak.
#[derive(Debug, Default)]
pub(super) struct Protocols {
    http1_only: AtomicBool,
    http2_only: AtomicBool,
}

impl Protocols {
    /// Whether the server chose HTTP/1.1 where it had the choice.
    pub(super) fn http1_only(&self) -> bool {
        self.http1_only.load(Ordering::Relaxed)
    }

    pub(super) fn set_http1_only(&self, http1_only: bool) {
        self.http1_only.store(http1_only, Ordering::Relaxed);
    }

    /// Whether the server refused to speak HTTP/1.1.
    pub(super) fn http2_only(&self) -> bool {
        self.http2_only.load(Ordering::Relaxed)
    }

    pub(super) fn set_http2_only(&self, http2_only: bool) {
        self.http2_only.store(http2_only, Ordering::Relaxed);
    }
}
