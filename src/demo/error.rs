//! Why a demo server does not start.

use std::{io, net::SocketAddr};

use crate::tls;

/// Why a demo server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No loopback port could be had.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where it tried to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificates made on the spot were refused.
    #[error("cannot make a demo server's certificates")]
    Certificates(#[source] rcgen::Error),
    /// The TLS settings were refused.
    #[error("cannot set up a demo server's TLS")]
    Tls(#[source] tls::Error),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}
