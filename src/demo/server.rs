//! The listener of every demo server: TCP, TLS, and HTTP/2 or HTTP/1.1 by ALPN.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
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

use crate::{
    demo::{certificates::Authority, error::Error, request_body::RequestBody},
    tls::server::server_config,
};

/// A TLS handshake that takes longer is given up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The SETTINGS of a Kubernetes 1.35 API server; sizes in bytes.
const MAX_CONCURRENT_STREAMS: u32 = 100;
const MAX_FRAME_SIZE: u32 = 262_144;
const MAX_HEADER_LIST_SIZE: u32 = 1_048_896;
const INITIAL_WINDOW_SIZE: u32 = 262_144;

/// TLS with a certificate that `authority` issues for localhost and `dns_names`.
pub(crate) fn acceptor(authority: &Authority, dns_names: &[&str]) -> Result<TlsAcceptor, Error> {
    let identity = authority.issue(dns_names);
    let (chain, key) = identity.map_err(Error::Certificates)?;
    let config = server_config(chain, key, &[b"h2", b"http/1.1"], None).map_err(Error::Tls)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Listens on a random port of 127.0.0.1.
pub(crate) async fn listen() -> Result<(TcpListener, SocketAddr), Error> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let bind = |source| Error::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    Ok((listener, address))
}

/// The body of every response.
pub(crate) type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

/// A body that is complete already.
pub(crate) fn full_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Responds to the requests that a [`Server`] receives.
pub(crate) trait Service: Send + Sync + 'static {
    /// Whether a new connection is served; it is reset if not.
    fn accepts_connection(&self) -> bool {
        true
    }

    /// Responds to a request; `None` cuts its connection.
    fn respond(
        self: Arc<Self>,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Option<Response<Body>>> + Send;
}

/// Accepts connections and serves each in its own task.
pub(crate) struct Server<S> {
    acceptor: TlsAcceptor,
    service: Arc<S>,
}

impl<S: Service> Server<S> {
    pub(crate) fn new(acceptor: TlsAcceptor, service: Arc<S>) -> Self {
        Self { acceptor, service }
    }

    /// Runs until `stop` is cancelled, which cuts every connection too.
    pub(crate) async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let server = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if !server.service.accepts_connection() => {
                    // An error means that the client has closed the socket already.
                    let _ = stream.set_zero_linger();
                }
                Ok((stream, _)) => {
                    let (server, cut) = (server.clone(), stop.child_token());
                    tokio::spawn(async move {
                        let connection = server.connection(stream, &cut);
                        cut.run_until_cancelled(connection).await;
                    });
                }
                // Most likely there are no file descriptors left. Some may be closed meanwhile.
                Err(error) => {
                    tracing::warn!(%error, "a demo server cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream, cut: &CancellationToken) {
        // Without it the last small segment of a response is delayed. An error means that the
        // socket is closed, which the handshake reports next.
        let _ = stream.set_nodelay(true);
        let stream = match timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake with a demo server failed");
                return;
            }
            Err(_) => return,
        };
        if let Err(error) = self.http(stream, cut).await {
            tracing::debug!(%error, "a connection to a demo server ended early");
        }
    }

    async fn http(
        &self,
        stream: TlsStream<TcpStream>,
        cut: &CancellationToken,
    ) -> Result<(), hyper::Error> {
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let service = service_fn(move |request: Request<Incoming>| {
            let request = request.map(RequestBody::from);
            let (service, cut) = (self.service.clone(), cut.clone());
            async move {
                let Some(response) = service.respond(request).await else {
                    cut.cancel();
                    return std::future::pending().await;
                };
                Ok::<_, Infallible>(response)
            }
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
