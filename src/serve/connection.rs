//! One connection of a client, from its acceptance to its end.

use std::{io, pin::Pin};

use http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::service::TowerToHyperService;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{
    Accepted, BoxError, farewell,
    heads::{self, Heads},
};
use crate::proxy::{self, Peer, Proxy};

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
    let stream = Heads::new(stream?);
    let mut serving = http1::Builder::new()
        .timer(stream.timer())
        .max_header_size(heads::SIZE)
        .serve_connection(stream, TowerToHyperService::new(service))
        .with_upgrades();
    let mut pinned = Pin::new(&mut serving);
    let served = tokio::select! {
        served = &mut pinned => served,
        () = begun.cancelled() => {
            pinned.as_mut().graceful_shutdown();
            pinned.await
        }
    };
    if let Err(error) = &served
        && let Some(parts) = serving.into_parts()
        && let Some((stream, refusal)) = parts.io.refused(error)
    {
        let words = proxy::last_words(refusal, None);
        Box::pin(farewell::say(&words, stream)).await;
    }
    Ok(served?)
}
