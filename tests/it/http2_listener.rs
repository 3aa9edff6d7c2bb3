//! HTTP/2 of the proxy's own listener.

mod conformance;
mod floods;
mod requests;
mod streams;

use crate::support::{Connection, Kubegate, Upstream, cert};

/// kubegate with TLS before a scripted server.
async fn start(flags: &[&str]) -> (Upstream, Kubegate) {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = before(&upstream, flags);
    (upstream, kubegate)
}

fn before(upstream: &Upstream, flags: &[&str]) -> Kubegate {
    let (pem, key) = (cert("localhost.pem"), cert("localhost.key"));
    let tls = [
        "--tls-cert",
        pem.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    Kubegate::before(upstream, &[&tls[..], flags].concat())
}
