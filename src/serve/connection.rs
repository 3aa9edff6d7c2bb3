//! One connection of a client, from its acceptance to its end.

use std::{io, pin::pin};

use http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{Accepted, BoxError};
use crate::proxy::{Peer, Proxy};

/// Header lines of a request. One that impersonates has a line for each group, and users of
/// large directories have more groups than the 100 lines that hyper takes by default.
const MAX_HEADERS: usize = 512;

/// Serves one connection, whichever kind its stream is.
pub(super) async fn serve(
    accepted: Accepted,
    peer: Peer,
    proxy: impl Proxy,
    begun: CancellationToken,
) {
    let served = match accepted {
        Accepted::Tcp(stream) => {
            serve_stream(TcpStream::from_std(stream), peer, proxy, begun).await
        }
        Accepted::Unix(stream) => {
            serve_stream(UnixStream::from_std(stream), peer, proxy, begun).await
        }
    };
    if let Err(error) = served {
        tracing::debug!(
            error = &*error as &dyn std::error::Error,
            "connection ended"
        );
    }
}

async fn serve_stream<S>(
    stream: io::Result<S>,
    peer: Peer,
    proxy: impl Proxy,
    begun: CancellationToken,
) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = proxy.map_request(move |mut request: Request<Incoming>| {
        peer.introduce(request.headers_mut());
        request
    });
    let serving = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream?), TowerToHyperService::new(service))
        .with_upgrades();
    let mut serving = pin!(serving);
    tokio::select! {
        served = &mut serving => served?,
        () = begun.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await?;
        }
    }
    Ok(())
}
