//! [`Timeouts`]: how long connections to the API server may take, last and be silent.

use std::time::Duration;

/// The time limits of connections to the API server.
///
/// With the defaults, a request to a server that sends nothing at all fails within 5 s, and a
/// stream from such a server ends within 15 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The limit for TCP, proxy and TLS together, after which the server counts as unreachable.
    pub connect: Duration,
    /// How long a connection may be silent while a request waits for its response, before the
    /// server's liveness is probed.
    pub ping_after: Duration,
    /// How long a liveness probe may take, before requests leave the connection.
    pub ping_timeout: Duration,
    /// How long a connection may be silent while probes fail, before everything on it is aborted.
    pub silence: Duration,
    /// How long a connection may be without a request, before it is closed; zero means no limit.
    pub idle: Duration,
    /// The age at which a connection takes no more requests, give or take a tenth; zero means no
    /// limit.
    pub max_age: Duration,
}

impl Default for Timeouts {
    /// API servers close connections that were idle for 90 s; ours close earlier.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(4),
            ping_after: Duration::from_secs(1),
            ping_timeout: Duration::from_millis(1500),
            silence: Duration::from_secs(12),
            idle: Duration::from_secs(60),
            max_age: Duration::from_secs(30 * 60),
        }
    }
}
