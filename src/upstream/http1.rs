//! HTTP/1.1 connections, one exchange at a time on each, and those that wait for their next.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{
    HeaderValue, Request, Response, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
    uri::PathAndQuery,
};
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::http1};
use tokio::{sync::Notify, time::Instant};

use super::{
    Kind, RequestBody, Times, Unanswered,
    breaker::{Breaker, Guarded},
    opening::Shared,
};
use crate::dial::Connection;

/// Header lines of an answer; hyper's default of 100 is too small for many cookies.
const MAX_HEADERS: usize = 512;
/// Idle connections kept.
const MAX_IDLE: usize = 32;
/// How long at most: no PING tells whether the way still leads there.
const IDLE: Duration = Duration::from_secs(15);

/// The HTTP/1.1 connections of one pool.
#[derive(Default)]
pub(super) struct Http1 {
    idle: Mutex<Vec<Waiting>>,
    /// All that are open, to be watched over.
    wires: Mutex<Vec<Watched>>,
    /// Exchanges under way, but for those that stay open.
    busy: AtomicUsize,
}

struct Waiting {
    sender: http1::SendRequest<RequestBody>,
    wire: Arc<Wire>,
    since: Instant,
}

/// A connection as it is watched over.
#[derive(Default)]
pub(super) struct Wire {
    breaker: Arc<Breaker>,
    /// It has had an exchange.
    used: AtomicBool,
    /// An exchange is under way.
    in_use: AtomicBool,
    /// Its request waits for the head of the answer.
    waits: AtomicBool,
    /// Tells that request to go another way.
    alarm: Notify,
    /// It is an upgrade's alone. Nobody knows what that waits for: it is quiet only where
    /// something was sent and nothing followed.
    is_tunnel: bool,
}

struct Watched {
    wire: Arc<Wire>,
    arrivals: u32,
    /// Since when nothing has arrived in the exchange that is under way.
    quiet: Option<Instant>,
}

/// A connection with an exchange on it.
pub(super) struct Exchange {
    sender: Option<http1::SendRequest<RequestBody>>,
    wire: Arc<Wire>,
    home: Arc<Shared>,
    counted: bool,
    /// It was used before.
    kept: bool,
}

impl Http1 {
    /// Exchanges under way, but for those that stay open.
    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// The connection that waited last, where one is still open.
    pub(super) fn take(&self, home: &Arc<Shared>, kind: Kind) -> Option<Exchange> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(Waiting { sender, wire, .. }) = idle.pop() {
            if sender.is_ready() {
                drop(idle);
                return Some(Exchange::new(sender, wire, home, kind));
            }
        }
        None
    }

    pub(super) fn put(&self, sender: http1::SendRequest<RequestBody>, wire: Arc<Wire>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            let since = Instant::now();
            idle.push(Waiting {
                sender,
                wire,
                since,
            });
        }
    }

    /// Closes those that wait: one that waited beside them was found to be closed.
    pub(super) fn close_idle(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let closing = std::mem::take(&mut *idle);
        drop(idle);
        drop(closing);
    }

    /// Begins to speak HTTP/1.1 on `connection`.
    pub(super) async fn handshake(
        &self,
        connection: Connection,
    ) -> hyper::Result<(http1::SendRequest<RequestBody>, Arc<Wire>)> {
        let wire = Arc::new(Wire::default());
        let guarded = Guarded::new(connection, Arc::clone(&wire.breaker));
        let (mut sender, driver) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .handshake(guarded)
            .await?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "upstream connection ended"
                );
            }
        });
        self.watch(&wire);
        // Before its task has begun it takes no request.
        sender.ready().await?;
        Ok((sender, wire))
    }

    /// Watches over a connection of an upgrade's own for as long as it lasts.
    pub(super) fn tunnel(&self, connection: Connection) -> (Guarded<Connection>, Arc<Wire>) {
        let wire = Arc::new(Wire {
            is_tunnel: true,
            ..Wire::default()
        });
        self.watch(&wire);
        (Guarded::new(connection, Arc::clone(&wire.breaker)), wire)
    }

    fn watch(&self, wire: &Arc<Wire>) {
        let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        wires.push(Watched {
            wire: Arc::clone(wire),
            arrivals: 0,
            quiet: None,
        });
    }

    /// Closes what has been idle for too long. Gives the time at which there may be more of it,
    /// and whether any connection is left.
    pub(super) fn trim(&self, now: Instant, times: &Times) -> (Option<Instant>, bool) {
        let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        wires.retain(|watched| !watched.wire.breaker.is_gone());
        let any = !wires.is_empty();
        // Tunnels tell nobody when they begin to be quiet.
        let tunnels = wires.iter().any(|watched| watched.wire.is_tunnel);
        let tunnels = tunnels.then(|| now + times.silence / 2);
        drop(wires);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = if times.idle == Duration::ZERO {
            IDLE
        } else {
            IDLE.min(times.idle)
        };
        idle.retain(|w| !w.sender.is_closed() && now < w.since + limit);
        let next = idle.iter().map(|w| w.since + limit).chain(tunnels).min();
        (next, any)
    }

    /// The longest silence in an exchange that is under way, and the longest of those whose
    /// request waits for an answer.
    pub(super) fn silence(&self, now: Instant) -> Silence {
        let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        let mut silence = Silence::default();
        for watched in wires.iter_mut() {
            let Some(quiet) = watched.look(now) else {
                continue;
            };
            let quiet = now.saturating_duration_since(quiet);
            let longest = if watched.wire.waits.load(Ordering::Relaxed) {
                &mut silence.waiting
            } else {
                &mut silence.running
            };
            *longest = Some(longest.map_or(quiet, |longest| longest.max(quiet)));
        }
        silence
    }

    /// Requests that wait for an answer since before `since`, in silence, go another way; what
    /// was silent since before `dead` ends.
    pub(super) fn give_up(&self, now: Instant, since: Instant, dead: Option<Instant>) {
        let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        for watched in wires.iter_mut() {
            let Some(quiet) = watched.look(now) else {
                continue;
            };
            if dead.is_some_and(|dead| quiet <= dead) {
                watched.wire.breaker.trip();
            } else if quiet <= since && watched.wire.waits.load(Ordering::Relaxed) {
                watched.wire.alarm.notify_waiters();
            }
        }
    }
}

/// How long exchanges have gone without a byte from the server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence {
    pub(super) waiting: Option<Duration>,
    pub(super) running: Option<Duration>,
}

impl Watched {
    /// Since when its exchange is quiet; `None` where there is none.
    fn look(&mut self, now: Instant) -> Option<Instant> {
        if self.wire.is_tunnel {
            return self.wire.breaker.owed_since();
        }
        let arrivals = self.wire.breaker.arrivals();
        if !self.wire.in_use.load(Ordering::Relaxed) {
            self.quiet = None;
        } else if self.quiet.is_none() || arrivals != self.arrivals {
            self.quiet = Some(now);
        }
        self.arrivals = arrivals;
        self.quiet
    }
}

impl Exchange {
    fn new(
        sender: http1::SendRequest<RequestBody>,
        wire: Arc<Wire>,
        home: &Arc<Shared>,
        kind: Kind,
    ) -> Self {
        let counted = kind != Kind::Long;
        if counted {
            home.http1.busy.fetch_add(1, Ordering::Relaxed);
        }
        wire.in_use.store(true, Ordering::Relaxed);
        Self {
            sender: Some(sender),
            kept: wire.used.swap(true, Ordering::Relaxed),
            wire,
            home: Arc::clone(home),
            counted,
        }
    }

    pub(super) async fn send(
        &mut self,
        mut request: Request<RequestBody>,
        uri: &Uri,
        host: &HeaderValue,
    ) -> Result<Response<Incoming>, Unanswered> {
        let spare = spare(&request);
        to_origin_form(&mut request, uri, host);
        let Some(sender) = &mut self.sender else {
            let error = io::Error::from(io::ErrorKind::NotConnected);
            return Err(Unanswered::unprocessed(error, request));
        };
        let _waits = Waits::begin(&self.wire);
        tokio::select! {
            biased;
            sent = sender.try_send_request(request) => sent.map_err(|mut error| {
                // A server may close a connection that it kept at any time, also while a
                // request is on its way (RFC 9110 section 9.2.1 lets that be sent again).
                let spare = spare.filter(|_| self.kept);
                let again = error.take_message().or(spare);
                Unanswered::new(error.into_error(), again)
            }),
            () = self.wire.alarm.notified() => Err(Unanswered::silent(spare)),
        }
    }

    /// The exchange is over in good order: the connection can be used again.
    pub(super) fn release(mut self) {
        let Some(mut sender) = self.sender.take() else {
            return;
        };
        self.wire.in_use.store(false, Ordering::Relaxed);
        if self.home.is_closed() {
            return;
        }
        if sender.is_ready() {
            return self.home.http1.put(sender, Arc::clone(&self.wire));
        }
        // The connection's own task has still to notice that the answer ended.
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                self.home.http1.put(sender, Arc::clone(&self.wire));
            }
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.sender.is_some() {
            self.wire.in_use.store(false, Ordering::Relaxed);
        }
        if self.counted {
            self.home.http1.busy.fetch_sub(1, Ordering::Relaxed);
        }
        self.home.place_free();
    }
}

impl Wire {
    /// Waits for the head of an answer; `None` where the server gives no sign of life.
    pub(super) async fn answer<T>(&self, head: impl Future<Output = T>) -> Option<T> {
        let _waits = Waits::begin(self);
        tokio::select! {
            biased;
            head = head => Some(head),
            () = self.alarm.notified() => None,
        }
    }
}

/// A request that waits for its answer, until dropped.
struct Waits<'a>(&'a Wire);

impl<'a> Waits<'a> {
    fn begin(wire: &'a Wire) -> Self {
        wire.waits.store(true, Ordering::Relaxed);
        Self(wire)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waits.store(false, Ordering::Relaxed);
    }
}

/// A copy of a request that can be sent twice: it changes nothing, and has no body.
fn spare(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_safe() || !request.body().is_end_stream() {
        return None;
    }
    let mut spare = Request::new(RequestBody::Empty);
    *spare.method_mut() = request.method().clone();
    *spare.headers_mut() = request.headers().clone();
    Some(spare)
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
