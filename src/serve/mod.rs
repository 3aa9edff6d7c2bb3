//! OUR OWN DOOR: listening, accepting, closing in good order, and taking up what changes while
//! it is open.

mod listener;
mod plan;
mod reload;
mod shutdown;
mod watched;

pub use listener::{Accepted, Address, Error, Listener};
pub use plan::{BoxError, Connect, Finding, Found, Plan, Standing};
pub use shutdown::{Hangups, Signals};

use std::{io, pin::pin, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::proxy::{Drain, Peer, Proxy};

/// After an accept that failed for want of file descriptors or memory: long enough not to
/// spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Header lines of a request. One that impersonates has a line for each group, and users of
/// large directories have more groups than the 100 lines that hyper takes by default.
const MAX_HEADERS: usize = 512;

/// Serves until `signals` say so, then drains: nothing more is accepted, requests may end,
/// watches end at once at an event boundary, and what still runs after `limit` is cut off.
pub async fn run(
    listener: Listener,
    proxy: impl Proxy,
    drain: Drain,
    mut signals: Signals,
    limit: Duration,
) {
    let connections = TaskTracker::new();
    tokio::select! {
        () = accept_all(&listener, &proxy, &drain, &connections) => {}
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
    tokio::select! {
        () = drained => tracing::info!("drained"),
        () = tokio::time::sleep(limit) => tracing::warn!(
            connections = connections.len(),
            tunnels = drain.tunnels.len(),
            "not drained in time; cutting off what still runs"
        ),
        () = signals.received() => tracing::warn!("second signal; cutting off what still runs"),
    }
}

async fn accept_all(
    listener: &Listener,
    proxy: &impl Proxy,
    drain: &Drain,
    connections: &TaskTracker,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let proxy = proxy.clone();
                let begun = drain.begun.clone();
                connections.spawn(connection(stream, peer, proxy, begun));
            }
            // The connection that was to be accepted is gone; the listener is well.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Serves one connection, whichever kind its stream is.
async fn connection(accepted: Accepted, peer: Peer, proxy: impl Proxy, begun: CancellationToken) {
    let served = match accepted {
        Accepted::Tcp(stream) => serve(stream, peer, proxy, begun).await,
        Accepted::Unix(stream) => serve(stream, peer, proxy, begun).await,
    };
    if let Err(error) = served {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}

async fn serve<S>(
    stream: S,
    peer: Peer,
    proxy: impl Proxy,
    begun: CancellationToken,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = proxy.map_request(move |mut request: Request<Incoming>| {
        peer.introduce(request.headers_mut());
        request
    });
    let serving = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut serving = pin!(serving);
    tokio::select! {
        served = &mut serving => served,
        () = begun.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    }
}
