//! Faults, each injected, and what a client sees of it; beside each stands the control in which
//! nothing is wrong.
//!
//! What else is injected stands with the promise that it would break: bodies that break off in
//! `streaming` and `http2`, halves of tunnels that end in `upgrades`, the end of the process in
//! `drain`, changes of files under load in `reload`.

mod dead_peers;
mod goodbyes;
mod mixed_load;
mod restarts;
mod slow_ends;
mod truncation;

use std::time::Duration;

use crate::support::{Connection, Kubegate};

/// What a busy machine and a build without optimisation may add to a bound.
const SLACK: Duration = Duration::from_secs(3);

/// A raw client of kubegate, wherever that listens.
async fn client(kubegate: &Kubegate) -> Connection {
    if kubegate.address.starts_with('/') {
        Connection::open_unix(&kubegate.address).await
    } else {
        Connection::open(&kubegate.address).await
    }
}

/// A request's head, with lines each ended.
fn head(ask: &str, lines: &str) -> String {
    format!("{ask} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}
