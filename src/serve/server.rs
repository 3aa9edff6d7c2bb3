//! Accepts connections until a signal comes, then drains them.

use std::{io, sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

use super::{
    connection::{self, WorkerProxy},
    connection_limit::ConnectionLimit,
    https::HttpsListener,
    listener::Listener,
    peer_check::PeerCheck,
    signals::ShutdownSignals,
    workers::Workers,
};
use crate::{
    credential, descriptors,
    proxy::{Drain, Proxy},
};

/// The pause after an accept that failed for lack of file descriptors or memory: long enough to
/// not use up a core, short enough to not be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until a signal comes, then drains: no more connections are accepted, requests may
/// complete, watches end at the next event boundary, and what still runs after `limit` is cut off.
/// Connections of users that `peers` does not accept are refused. With `https`, TCP connections are TLS.
///
/// # Errors
/// The system refuses to start a thread for each of `proxies`.
pub async fn run<P: Proxy>(
    listener: Listener,
    https: Option<Arc<HttpsListener>>,
    peers: PeerCheck,
    proxies: Vec<P>,
    drain: Drain,
    mut signals: ShutdownSignals,
    limit: Duration,
) -> io::Result<()> {
    let proxies = proxies
        .into_iter()
        .map(|proxy| WorkerProxy::new(proxy, &drain.begun));
    let workers = Workers::start(proxies.collect())?;
    let connections = TaskTracker::new();
    tokio::select! {
        () = accept_all(&listener, https, peers, &workers, &drain, &connections) => {}
        () = signals.received() => {}
    }
    drop(listener);
    tracing::info!(
        "draining for up to {} s; another signal exits at once",
        limit.as_secs()
    );
    drain.begun.cancel();
    connections.close();
    drain.tunnels.close();
    let drained = async {
        connections.wait().await;
        drain.tunnels.wait().await;
    };
    let is_cut_off = tokio::select! {
        () = drained => {
            tracing::info!("drained");
            false
        }
        () = tokio::time::sleep(limit) => {
            tracing::warn!(
                connections = connections.len(),
                tunnels = drain.tunnels.len(),
                "not drained in time; cutting off what still runs"
            );
            false
        }
        () = signals.received() => {
            tracing::warn!("second signal; cutting off what still runs");
            true
        }
    };
    // The worker threads, which still run, give each plugin time to end before it is killed, and store
    // the logins that are being renewed.
    credential::end_plugins().await;
    if !is_cut_off {
        tokio::select! {
            () = credential::renewals_stored() => {}
            () = signals.received() => {}
        }
    }
    Ok(())
}

async fn accept_all<P: Proxy>(
    listener: &Listener,
    https: Option<Arc<HttpsListener>>,
    mut peers: PeerCheck,
    workers: &Workers<WorkerProxy<P>>,
    drain: &Drain,
    connections: &TaskTracker,
) {
    let mut limit = ConnectionLimit::measure(https.clone());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match peers.check(&stream) {
                // Before the limit, so that other users cannot take up the connections.
                Err(refusal) => limit.refuse(stream, refusal),
                Ok(()) if !limit.allows_another(connections, &drain.tunnels) => {
                    limit.reject(stream);
                }
                Ok(()) => {
                    let https = https.clone();
                    workers.spawn(connections, move |worker| {
                        connection::serve(stream, peer, https, worker)
                    });
                }
            },
            // Only the connection that was to be accepted is lost.
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) if descriptors::ran_out(&error) && limit.reject_next(listener) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
