//! The error of starting a demo server.

use std::{io, net::SocketAddr};

use crate::tls;

/// Why a demo server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No port of the loopback address could be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address that it tried to listen on.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// The certificates could not be generated.
    #[error("cannot make a demo server's certificates")]
    Certificates(#[source] rcgen::Error),
    /// rustls does not accept the TLS settings.
    #[error("cannot set up a demo server's TLS")]
    Tls(#[source] tls::Error),
    /// The operating system provides no random numbers.
    #[error("the operating system provides no random numbers")]
    Random,
}
