//! Serves one connection of a client, from accept to close.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Waker},
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    early_response, http2,
    https::{Handshake, HttpsListener},
    listener::Accepted,
    reject,
    server_io::{MAX_HEAD_SIZE, ServerIo},
    watch_response,
};
use crate::{
    error::BoxError,
    proxy::{self, Peer, Proxy, guard::CutTarget},
};

/// How many bytes of a response hyper buffers for a client that does not read, plus one frame.
const MAX_BUFFER_SIZE: usize = 128 * 1024;

/// How long a client may send nothing after its TLS handshake. Browsers open connections ahead of need,
/// and open another one without an error.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The proxy of one worker, which all of its connections share, as do clones.
pub(super) struct WorkerProxy<P>(Arc<Shared<P>>);

struct Shared<P> {
    /// One for all connections, because a clone for each connection or request would be large. The
    /// lock is never contended: only the worker's thread takes it, and only to start a request.
    proxy: Mutex<P>,
    draining: CancellationToken,
}

impl<P> Clone for WorkerProxy<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P> WorkerProxy<P> {
    /// Serves connections by `proxy`, and closes them when the drain has `begun`.
    pub(super) fn new(proxy: P, begun: &CancellationToken) -> Self {
        Self(Arc::new(Shared {
            proxy: Mutex::new(proxy),
            // A token has a lock inside. A child token keeps workers from sharing it.
            draining: begun.child_token(),
        }))
    }
}

/// The service of one connection.
struct ConnectionService<P> {
    worker: WorkerProxy<P>,
    peer: Peer,
}

impl<P: Proxy> ConnectionService<P> {
    fn call(&self, mut request: Request<Incoming>) -> P::Future {
        self.peer.set_forwarded_headers(request.headers_mut());
        if self.peer.is_tls() {
            request.extensions_mut().insert(self.peer.clone());
        }
        let proxy = self.worker.0.proxy.lock();
        let mut proxy = proxy.unwrap_or_else(PoisonError::into_inner);
        let ready = proxy.poll_ready(&mut Context::from_waker(Waker::noop()));
        debug_assert!(ready.is_ready(), "a layer of the proxy was not ready");
        proxy.call(request)
    }
}

/// Serves an accepted connection until it ends; one over TCP by TLS if there is `https`.
pub(super) async fn serve(
    accepted: Accepted,
    peer: Peer,
    https: Option<Arc<HttpsListener>>,
    worker: WorkerProxy<impl Proxy>,
) {
    let served = match (accepted, https) {
        // Boxed so that the future of every other connection stays small.
        (Accepted::Tcp(stream), Some(https)) => {
            Box::pin(serve_tls(stream, peer, &https, worker)).await
        }
        (Accepted::Tcp(stream), None) => {
            let service = ConnectionService { worker, peer };
            serve_stream(TcpStream::from_std(stream), service).await
        }
        (Accepted::Unix { stream, .. }, _) => {
            let service = ConnectionService { worker, peer };
            serve_stream(UnixStream::from_std(stream), service).await
        }
    };
    if let Err(error) = served {
        tracing::debug!(
            error = &*error as &dyn std::error::Error,
            "connection ended"
        );
    }
}

async fn serve_tls(
    stream: std::net::TcpStream,
    peer: Peer,
    https: &HttpsListener,
    worker: WorkerProxy<impl Proxy>,
) -> Result<(), BoxError> {
    let Handshake {
        mut stream,
        is_http2,
        client,
    } = https.accept(TcpStream::from_std(stream)?).await?;
    let draining = worker.0.draining.clone();
    tokio::select! {
        begun = timeout(FIRST_REQUEST_TIMEOUT, stream.fill_buf()) => drop(begun??),
        () = draining.cancelled() => return Ok(()),
    }
    let peer = peer.over_tls(client);
    let service = ConnectionService { worker, peer };
    if is_http2 {
        http2::serve(stream, draining, move |request| service.call(request)).await
    } else {
        serve_stream(Ok(stream), service).await
    }
}

async fn serve_stream<S>(
    stream: io::Result<S>,
    requests: ConnectionService<impl Proxy>,
) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let draining = requests.worker.0.draining.clone();
    let stream = ServerIo::new(stream?);
    let state = stream.state();
    let service = service_fn(move |mut request: Request<Incoming>| {
        state.start_request(&request);
        if state.may_have_cut_target(request.uri()) {
            request.extensions_mut().insert(CutTarget);
        }
        let can_hijack = watch_response::can_hijack(&request);
        let state = state.clone();
        let responding = requests.call(request);
        async move {
            let mut response = responding.await.unwrap_or_else(|never| match never {});
            early_response::announce_close(&mut response, &state).await;
            watch_response::hijack(response, can_hijack && !state.is_writing())
        }
    });
    let mut serving = http1::Builder::new()
        .timer(stream.timer())
        .max_header_size(MAX_HEAD_SIZE)
        .max_buf_size(MAX_BUFFER_SIZE)
        .serve_connection(stream, service)
        .with_upgrades();
    let mut pinned = Pin::new(&mut serving);
    let served = tokio::select! {
        served = &mut pinned => served,
        () = draining.cancelled() => {
            pinned.as_mut().graceful_shutdown();
            pinned.await
        }
    };
    let Err(error) = served else {
        return Ok(());
    };
    let Some(io) = serving.into_parts().map(|parts| parts.io) else {
        return Err(error.into());
    };
    if let Some(watch) = watch_response::hijacked(&error) {
        // hyper's buffers are freed while the watch runs.
        drop(error);
        // Boxed so that the future of every other connection stays small.
        return Box::pin(watch_response::serve(io.into_inner(), watch)).await;
    }
    if let Some(refused) = io.refused_head(&error) {
        let refusal = refused.refusal;
        let status = refusal.status.as_u16();
        tracing::warn!(repeats = refusal.rule, status, "{refusal}");
        let response = proxy::encode_refusal(refusal, refused.retry_after);
        Box::pin(reject::send_and_close(&response, refused.stream)).await;
    }
    Err(error.into())
}
