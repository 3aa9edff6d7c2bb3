//! The listener: TCP, TLS, HTTP/2 or HTTP/1.1 by ALPN.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use super::{certificates::Authority, router, router::Plane};
use crate::tls::{self, server::server_config};

/// A client that does not finish its handshake by then is left.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a real 1.35 server says in its SETTINGS frame; sizes in bytes.
const MAX_CONCURRENT_STREAMS: u32 = 100;
const MAX_FRAME_SIZE: u32 = 262_144;
const MAX_HEADER_LIST_SIZE: u32 = 1_048_896;
const INITIAL_WINDOW_SIZE: u32 = 262_144;

/// TLS with the authority's server certificate.
pub(super) fn acceptor(authority: &Authority) -> Result<TlsAcceptor, tls::Error> {
    let (chain, key) = authority.server_identity();
    let config = server_config(chain, key, &[b"h2", b"http/1.1"], None)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts connections and serves each in a task of its own.
pub(super) struct Server {
    acceptor: TlsAcceptor,
    plane: Arc<Plane>,
}

impl Server {
    pub(super) fn new(acceptor: TlsAcceptor, plane: Arc<Plane>) -> Self {
        Self { acceptor, plane }
    }

    /// Runs until `stop`, which cuts every connection too.
    pub(super) async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let server = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (server, stop) = (server.clone(), stop.clone());
                    tokio::spawn(async move {
                        stop.run_until_cancelled(server.connection(stream)).await;
                    });
                }
                // Out of file descriptors, most likely: leave room for some to close.
                Err(error) => {
                    tracing::warn!(%error, "the demo control plane cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream) {
        // Without it the last small segment of an answer waits; the error would be a closed
        // socket, which the handshake meets next.
        let _ = stream.set_nodelay(true);
        let stream = match timeout(HANDSHAKE, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake with the demo control plane failed");
                return;
            }
            Err(_) => return,
        };
        if let Err(error) = self.http(stream).await {
            tracing::debug!(%error, "a connection to the demo control plane ended early");
        }
    }

    async fn http(&self, stream: TlsStream<TcpStream>) -> Result<(), hyper::Error> {
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let plane = self.plane.clone();
        let service = service_fn(move |request| {
            let plane = plane.clone();
            async move { Ok::<_, Infallible>(router::answer(plane, request).await) }
        });
        let io = TokioIo::new(stream);
        if http2 {
            http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
                .max_frame_size(MAX_FRAME_SIZE)
                .max_header_list_size(MAX_HEADER_LIST_SIZE)
                .initial_stream_window_size(INITIAL_WINDOW_SIZE)
                .initial_connection_window_size(INITIAL_WINDOW_SIZE * 100)
                .serve_connection(io, service)
                .await
        } else {
            http1::Builder::new()
                .serve_connection(io, service)
                .with_upgrades()
                .await
        }
    }
}
