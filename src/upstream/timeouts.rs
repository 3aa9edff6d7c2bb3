//! [`Timeouts`]: how long what may take.

use std::time::Duration;

/// How long connections may take, last, and say nothing.
///
/// By default a request to a server that says nothing at all is answered within 5 s, and a
/// stream from it ends within 15 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP, proxy and TLS together, before the server counts as unreachable.
    pub connect: Duration,
    /// Silence on a connection on which a request waits, before the server is asked for a sign
    /// of life.
    pub ping_after: Duration,
    /// For the sign of life to come, before requests go another way.
    pub ping_timeout: Duration,
    /// Silence on a connection without a sign of life when asked for, before what runs on it
    /// ends.
    pub silence: Duration,
    /// Without a request, before a connection is closed; zero is never.
    pub idle: Duration,
    /// Before a connection takes no more requests, give or take a tenth; zero is never.
    pub max_age: Duration,
}

impl Default for Timeouts {
    /// API servers close connections that were idle for 90 s: ours go before.
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
