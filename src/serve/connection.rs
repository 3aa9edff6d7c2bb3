//! One connection of a client, from its acceptance to its end.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Waker},
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_util::sync::CancellationToken;

use super::{
    Accepted, BoxError, early, farewell,
    heads::{self, Heads},
    watching,
};
use crate::proxy::{self, Peer, Proxy};

/// What the connections of one lane share. Clones are one door.
pub(super) struct Door<P>(Arc<Within<P>>);

struct Within<P> {
    /// One for all: a clone for each connection, or each request, is large. Nobody waits for it,
    /// since it is held on the lane's thread alone, and not while a request is served.
    proxy: Mutex<P>,
    draining: CancellationToken,
}

impl<P> Clone for Door<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P> Door<P> {
    /// The door to `proxy`, which closes when the drain has `begun`.
    pub(super) fn new(proxy: P, begun: &CancellationToken) -> Self {
        Self(Arc::new(Within {
            proxy: Mutex::new(proxy),
            // Of its own, so that the lock in it is not shared with other lanes.
            draining: begun.child_token(),
        }))
    }
}

/// The requests of one connection.
struct Requests<P> {
    door: Door<P>,
    peer: Peer,
}

impl<P: Proxy> Requests<P> {
    fn answer(&self, mut request: Request<Incoming>) -> P::Future {
        self.peer.set_forwarded_headers(request.headers_mut());
        let proxy = self.door.0.proxy.lock();
        let mut proxy = proxy.unwrap_or_else(PoisonError::into_inner);
        let ready = proxy.poll_ready(&mut Context::from_waker(Waker::noop()));
        debug_assert!(ready.is_ready(), "a layer of the proxy was not ready");
        proxy.call(request)
    }
}

/// What hyper may hold of an answer that its client does not read, in bytes; and one frame more.
const BUFFER: usize = 128 * 1024;

/// Serves one connection, whichever kind its stream is.
pub(super) async fn serve(accepted: Accepted, peer: Peer, door: Door<impl Proxy>) {
    let served = match accepted {
        Accepted::Tcp(stream) => serve_stream(TcpStream::from_std(stream), peer, door).await,
        Accepted::Unix(stream) => serve_stream(UnixStream::from_std(stream), peer, door).await,
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
    door: Door<impl Proxy>,
) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let draining = door.0.draining.clone();
    let stream = Heads::new(stream?);
    let exchange = stream.exchange();
    let requests = Requests { door, peer };
    let service = service_fn(move |request: Request<Incoming>| {
        exchange.begin(&request);
        let may_leave = watching::may_leave(&request);
        let exchange = exchange.clone();
        let answering = requests.answer(request);
        async move {
            let mut answer = answering.await.unwrap_or_else(|never| match never {});
            early::prepare(&mut answer, &exchange).await;
            watching::leave(answer, may_leave && !exchange.is_writing())
        }
    });
    let mut serving = http1::Builder::new()
        .timer(stream.timer())
        .max_header_size(heads::SIZE)
        .max_buf_size(BUFFER)
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
    if let Some(watch) = watching::taken(&error) {
        // Nothing of hyper's is kept meanwhile.
        drop(error);
        // Boxed, so that no other connection need have room for it.
        return Box::pin(watching::serve(io.into_inner(), watch)).await;
    }
    if let Some((stream, refusal, retry)) = io.refused(&error) {
        let status = refusal.status.as_u16();
        tracing::warn!(repeats = "a head", status, "{refusal}");
        let words = proxy::encode_refusal(refusal, retry);
        Box::pin(farewell::say(&words, stream)).await;
    }
    Err(error.into())
}
