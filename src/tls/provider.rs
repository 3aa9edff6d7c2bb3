//! The cryptography provider: always aws-lc-rs, passed explicitly and never the process's default.

use std::{
    sync::{Arc, LazyLock},
    thread,
};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// Returns the cryptography provider of all TLS connections.
#[must_use]
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    &PROVIDER
}

/// Seeds the random number generator of aws-lc on a thread of its own. That takes about 25 ms, which
/// the first request would otherwise wait for.
pub fn warm_up() {
    let seed = || {
        // If this fails, the first handshake tries again and reports the error.
        let _ = ::aws_lc_rs::rand::fill(&mut [0]);
    };
    // Without a thread, the first handshake does it.
    let _ = thread::Builder::new().spawn(seed);
}
