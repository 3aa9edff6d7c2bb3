//! The connections to one API server under one identity.
//!
//! HTTP/2 where the server offers it: as many connections as the streams in flight need,
//! since a server allows only so many on each (100 on real API servers). Otherwise HTTP/1.1
//! with keep-alive. Picking a connection takes no lock; opening one does, so that a burst
//! at start opens one and not one each.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::{
    HeaderValue, Request, Response, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
    uri::PathAndQuery,
};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::connect::Connection as _,
    rt::{TokioExecutor, TokioTimer},
};

use super::{Error, RequestBody, ResponseBody, body::Fault, connect};
use crate::dial::{Connection, Dialer};

/// As client-go: a PING after 30 s without a frame, the end 15 s later.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// What a server may send on one stream, and on all of a connection's, before we read it:
/// readers that have stopped reading must not hold back the others on their connection.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
/// Go's servers send up to 1 MiB of headers; hyper's default of 16 KiB is too small.
const MAX_HEADER_LIST: u32 = 1024 * 1024;
/// Header lines of an answer over HTTP/1.1; hyper's default of 100 is too small for many cookies.
const MAX_HEADERS: usize = 512;
/// Idle HTTP/1.1 connections kept, and for how long: API servers close theirs after 90 s.
const MAX_IDLE: usize = 32;
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often one request may meet a connection that closed before taking it.
const ATTEMPTS: usize = 3;

pub(super) struct Pool {
    connector: HttpsConnector<Dialer>,
    address: Uri,
    http2: ArcSwap<Vec<Arc<Http2>>>,
    http1: Arc<Http1>,
    opening: tokio::sync::Mutex<Option<Failure>>,
}

pub(super) struct Http2 {
    sender: http2::SendRequest<RequestBody>,
    in_flight: AtomicUsize,
    /// The server's `SETTINGS_MAX_CONCURRENT_STREAMS` (RFC 9113 section 6.5.2), as it changes.
    limit: AtomicUsize,
}

#[derive(Default)]
pub(super) struct Http1 {
    /// Set once the server has chosen HTTP/1.1.
    chosen: AtomicBool,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    sender: http1::SendRequest<RequestBody>,
    since: Instant,
}

/// The last attempt to open a connection, for those who waited for it.
struct Failure {
    at: Instant,
    error: Error,
}

impl Pool {
    pub(super) fn new(connector: HttpsConnector<Dialer>, address: Uri) -> Self {
        Self {
            connector,
            address,
            http2: ArcSwap::default(),
            http1: Arc::default(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// Sends a request whose URI is absolute and that has no `Host`. It is sent once; only a
    /// request of which nothing was sent goes to another connection, and one that changes
    /// nothing where a kept connection turned out to be closed.
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
        host: &HeaderValue,
    ) -> Result<Response<ResponseBody>, Error> {
        let uri = request.uri().clone();
        let fault = request.body().fault();
        let bodiless = request.body().is_end_stream();
        let mut lease = self.lease().await?;
        let mut attempt = 1;
        loop {
            let spare = lease.spare(&request);
            match lease.send(request, &uri, host).await {
                Ok(response) => {
                    return Ok(response.map(|body| ResponseBody::pooled(body, lease, bodiless)));
                }
                Err(mut error) => match error.take_message().or(spare) {
                    Some(again) if attempt < ATTEMPTS => request = again,
                    _ => return Err(Error::broken(&self.address, &fault, error.into_error())),
                },
            }
            attempt += 1;
            lease = match lease {
                Lease::Http2(_) => self.lease().await?,
                // The others that were kept may be closed too.
                Lease::Http1 { .. } => self.open().await?,
            };
        }
    }

    async fn lease(&self) -> Result<Lease, Error> {
        if let Some(lease) = self.ready() {
            return Ok(lease);
        }
        if self.http1.chosen.load(Ordering::Relaxed) {
            return self.open().await;
        }
        let asked = Instant::now();
        let mut last = self.opening.lock().await;
        if let Some(lease) = self.ready() {
            return Ok(lease);
        }
        if let Some(failure) = last.as_ref().filter(|failure| failure.at >= asked) {
            return Err(failure.error.clone());
        }
        let opened = self.open().await;
        *last = opened.as_ref().err().map(|error| Failure {
            at: Instant::now(),
            error: error.clone(),
        });
        opened
    }

    /// A lease on a connection that is open and has room.
    fn ready(&self) -> Option<Lease> {
        let http2 = self.http2.load();
        if let Some(connection) = http2.iter().find(|c| c.reserve()) {
            return Some(Lease::Http2(Stream(connection.clone())));
        }
        if http2.is_empty() && self.http1.chosen.load(Ordering::Relaxed) {
            return self.http1.take().map(|sender| Lease::Http1 {
                sender,
                pool: self.http1.clone(),
                kept: true,
            });
        }
        None
    }

    /// Boxed, so that a request that finds a connection need not have room for a handshake.
    fn open(&self) -> Pin<Box<dyn Future<Output = Result<Lease, Error>> + Send + '_>> {
        Box::pin(self.connect())
    }

    async fn connect(&self) -> Result<Lease, Error> {
        let connection = connect(self.connector.clone(), &self.address).await?;
        if connection.connected().is_negotiated_h2() {
            self.open_http2(connection).await
        } else {
            self.open_http1(connection).await
        }
    }

    async fn open_http2(&self, connection: Connection) -> Result<Lease, Error> {
        let (sender, mut driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(connection)
            .await
            .map_err(|e| Error::broken(&self.address, &Fault::default(), e))?;
        let opened = Arc::new(Http2 {
            sender,
            in_flight: AtomicUsize::new(1),
            limit: AtomicUsize::new(driver.current_max_send_streams()),
        });
        // Weak: the driver ends when no sender is left, so it must not hold one.
        let shared = Arc::downgrade(&opened);
        tokio::spawn(async move {
            let ended = poll_fn(|cx| {
                let polled = Pin::new(&mut driver).poll(cx);
                if let (Poll::Pending, Some(shared)) = (&polled, shared.upgrade()) {
                    shared
                        .limit
                        .store(driver.current_max_send_streams(), Ordering::Relaxed);
                }
                polled
            })
            .await;
            if let Err(error) = ended {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "upstream connection ended"
                );
            }
        });
        self.http2.rcu(|all| {
            let open = all.iter().filter(|c| !c.sender.is_closed()).cloned();
            open.chain([opened.clone()]).collect::<Vec<_>>()
        });
        Ok(Lease::Http2(Stream(opened)))
    }

    async fn open_http1(&self, connection: Connection) -> Result<Lease, Error> {
        let (sender, driver) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .handshake(connection)
            .await
            .map_err(|e| Error::broken(&self.address, &Fault::default(), e))?;
        self.http1.chosen.store(true, Ordering::Relaxed);
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "upstream connection ended"
                );
            }
        });
        Ok(Lease::Http1 {
            sender,
            pool: self.http1.clone(),
            kept: false,
        })
    }
}

impl Http2 {
    /// Takes one of the connection's streams, where it has one left.
    fn reserve(&self) -> bool {
        if !self.sender.is_ready() {
            return false;
        }
        let limit = self.limit.load(Ordering::Relaxed);
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < limit).then_some(n + 1)
            })
            .is_ok()
    }
}

impl Http1 {
    fn take(&self) -> Option<http1::SendRequest<RequestBody>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(Idle { sender, since }) = idle.pop() {
            if sender.is_ready() && since.elapsed() < IDLE_TIMEOUT {
                return Some(sender);
            }
        }
        None
    }

    fn put(&self, sender: http1::SendRequest<RequestBody>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|i| !i.sender.is_closed() && i.since.elapsed() < IDLE_TIMEOUT);
        if idle.len() < MAX_IDLE {
            let since = Instant::now();
            idle.push(Idle { sender, since });
        }
    }
}

/// The right to one exchange on one connection.
pub(super) enum Lease {
    Http2(Stream),
    Http1 {
        sender: http1::SendRequest<RequestBody>,
        pool: Arc<Http1>,
        /// It was used before.
        kept: bool,
    },
}

impl Lease {
    /// A copy to send again if this connection is found closed: a server may close one that
    /// it kept at any time, also while a request is on its way. Only of what can be sent
    /// twice (RFC 9110 section 9.2.1), as Go's transport does.
    fn spare(&self, request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
        let kept = matches!(self, Self::Http1 { kept: true, .. });
        if !kept || !request.method().is_safe() || !request.body().is_end_stream() {
            return None;
        }
        let mut spare = Request::new(RequestBody::Empty);
        *spare.method_mut() = request.method().clone();
        *spare.headers_mut() = request.headers().clone();
        Some(spare)
    }

    async fn send(
        &mut self,
        mut request: Request<RequestBody>,
        uri: &Uri,
        host: &HeaderValue,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match self {
            Self::Http2(Stream(connection)) => {
                *request.version_mut() = Version::HTTP_2;
                *request.uri_mut() = uri.clone();
                request.headers_mut().remove(HOST);
                // From an attempt over HTTP/1.1; HTTP/2 knows none (RFC 9113 section 8.2.2).
                request.headers_mut().remove(TRANSFER_ENCODING);
                connection.sender.clone().try_send_request(request).await
            }
            Self::Http1 { sender, .. } => {
                to_origin_form(&mut request, uri, host);
                sender.try_send_request(request).await
            }
        }
    }

    /// The exchange is over in good order: what can be used again goes back.
    pub(super) fn release(self) {
        let Self::Http1 { sender, pool, .. } = self else {
            return;
        };
        if sender.is_ready() {
            return pool.put(sender);
        }
        // The connection's own task has still to notice that the answer ended.
        tokio::spawn(async move {
            let mut sender = sender;
            if sender.ready().await.is_ok() {
                pool.put(sender);
            }
        });
    }
}

/// One stream of a connection's allowance, given back on drop.
pub(super) struct Stream(Arc<Http2>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// HTTP/1.1 form: path and query alone in the request line, the server's name in `Host`.
pub(super) fn to_origin_form(request: &mut Request<RequestBody>, uri: &Uri, host: &HeaderValue) {
    let path = uri.path_and_query().cloned();
    *request.uri_mut() = path.unwrap_or(PathAndQuery::from_static("/")).into();
    *request.version_mut() = Version::HTTP_11;
    request.headers_mut().insert(HOST, host.clone());
    // hyper takes a GET whose body has no known length for one without a body.
    let body = request.body();
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
}
