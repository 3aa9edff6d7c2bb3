//! What a client sees of injected faults, each with a control in which nothing is wrong.
//!
//! Other faults are injected by the tests of what they would break: aborted bodies in `streaming`
//! and `http2`, half-closed tunnels in `upgrades`, the end of the process in `drain`, file changes
//! under load in `reload`.

mod closing_servers;
mod dead_peers;
mod mixed_load;
mod restarts;
mod slow_ends;
mod truncation;

use std::time::Duration;

use crate::support::{Connection, Kubegate};

/// What a busy machine and a build without optimization may add to a time limit.
const SLACK: Duration = Duration::from_secs(3);

/// A raw client of kubegate, over TCP or a Unix socket.
async fn client(kubegate: &Kubegate) -> Connection {
    if kubegate.address.starts_with('/') {
        Connection::open_unix(&kubegate.address).await
    } else {
        Connection::open(&kubegate.address).await
    }
}

/// A request's head with these header lines, each of which ends with CRLF.
fn head(ask: &str, lines: &str) -> String {
    format!("{ask} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}
