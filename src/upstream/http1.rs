//! HTTP/1.1 connections, one exchange at a time on each, and those that wait for their next.

mod exchange;
mod pieces;

pub(super) use exchange::{Exchange, to_origin_form};
pub(super) use pieces::Pieces;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use hyper::client::conn::http1;
use tokio::{sync::Notify, time::Instant};

use super::{
    Timeouts, TrafficClass,
    breaker::{Breaker, Guarded},
    circuit::LastLoss,
    shared::{MAX_HTTP1, Shared},
};
use crate::dial::Connection;

/// Header lines that a connection takes in an answer. For every answer hyper sets aside 64 bytes
/// for each of them, and more memory than this would take calls into the system.
const MAX_HEADERS: usize = 512;
/// The same where an answer of this server had more than [`MAX_HEADERS`], and for the one answer to
/// an upgrade. [`http::HeaderMap`] holds about 24,000.
pub(super) const MORE_HEADERS: usize = 16 * 1024;
/// Bytes of an answer's head. What is read of a body ahead of its client is less: one read of
/// [`Guarded`].
pub(super) const HEAD: usize = 1024 * 1024 + 64 * 1024;
/// Idle connections kept: as many as may be busy at once beside HTTP/2, so that a steady crowd
/// opens none anew.
const MAX_IDLE: usize = MAX_HTTP1;
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
    /// An answer had more than [`MAX_HEADERS`] lines: new connections take [`MORE_HEADERS`].
    more_headers: AtomicBool,
}

struct Waiting {
    sender: http1::SendRequest<Pieces>,
    wire: Arc<Wire>,
    since: Instant,
}

/// The address of who sent a request, where it is known.
struct Client(Option<HeaderValue>);

/// A connection as it is watched over.
#[derive(Default)]
pub(super) struct Wire {
    breaker: Arc<Breaker>,
    /// It has had an exchange.
    used: AtomicBool,
    /// An exchange is under way.
    in_use: AtomicBool,
    /// It waits for its next exchange.
    idle: AtomicBool,
    /// Its request waits for the head of the answer.
    waits: AtomicBool,
    /// Tells that request to go another way.
    alarm: Notify,
    /// By whom the exchange under way came, where it counts as busy.
    client: Mutex<Option<Client>>,
    /// It is an upgrade's alone. Nobody knows what that waits for: it is quiet only where
    /// something was sent and nothing followed.
    is_tunnel: bool,
    /// How many header lines of an answer it takes.
    max_headers: usize,
}

/// The head of an answer is larger than what is taken.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it has more than {max_headers} header lines or more than {HEAD} bytes")]
pub(super) struct HeadTooLarge {
    pub(super) max_headers: usize,
}

struct Watched {
    wire: Arc<Wire>,
    arrivals: u32,
    /// Since when nothing has arrived in the exchange that is under way.
    quiet: Option<Instant>,
}

impl Http1 {
    /// Exchanges under way, but for those that stay open.
    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Of these, the ones that came by `client`.
    pub(super) fn busy_for(&self, client: Option<&HeaderValue>) -> usize {
        let wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = |watched: &&Watched| {
            let by = watched.wire.client.lock();
            let by = by.unwrap_or_else(PoisonError::into_inner);
            by.as_ref().is_some_and(|Client(by)| by.as_ref() == client)
        };
        wires.iter().filter(of_client).count()
    }

    /// The connection that waited last, where one is still open.
    pub(super) fn take(&self, home: &Arc<Shared>, kind: TrafficClass) -> Option<Exchange> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(Waiting { sender, wire, .. }) = idle.pop() {
            wire.idle.store(false, Ordering::Relaxed);
            if sender.is_ready() {
                drop(idle);
                return Some(Exchange::new(sender, wire, home, kind));
            }
        }
        None
    }

    pub(super) fn put(&self, sender: http1::SendRequest<Pieces>, wire: Arc<Wire>) {
        if wire.max_headers < self.max_headers() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            let since = Instant::now();
            wire.idle.store(true, Ordering::Relaxed);
            idle.push(Waiting {
                sender,
                wire,
                since,
            });
        }
    }

    /// How many header lines of an answer new connections take.
    fn max_headers(&self) -> usize {
        if self.more_headers.load(Ordering::Relaxed) {
            MORE_HEADERS
        } else {
            MAX_HEADERS
        }
    }

    /// Closes those that wait: one that waited beside them was found to be closed.
    pub(super) fn close_idle(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let closing = std::mem::take(&mut *idle);
        drop(idle);
        for waiting in &closing {
            waiting.wire.idle.store(false, Ordering::Relaxed);
        }
        drop(closing);
    }

    /// Begins to speak HTTP/1.1 on `connection`.
    pub(super) async fn handshake(
        &self,
        connection: Connection,
        last_loss: Arc<LastLoss>,
    ) -> hyper::Result<(http1::SendRequest<Pieces>, Arc<Wire>)> {
        let wire = Arc::new(Wire {
            max_headers: self.max_headers(),
            ..Wire::default()
        });
        let guarded = Guarded::new(connection, Arc::clone(&wire.breaker));
        let (mut sender, driver) = builder(wire.max_headers).handshake(guarded).await?;
        let own = Arc::clone(&wire);
        tokio::spawn(async move {
            let ended = driver.await;
            if own.is_wanted() {
                last_loss.note();
            }
            if let Err(error) = ended {
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
            max_headers: MORE_HEADERS,
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
    pub(super) fn trim(&self, now: Instant, times: &Timeouts) -> (Option<Instant>, bool) {
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
        idle.retain(|w| {
            let keep = !w.sender.is_closed() && now < w.since + limit;
            w.wire.idle.fetch_and(keep, Ordering::Relaxed);
            keep
        });
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

/// How answers are read. What older servers and bad gateways do to a head is mended where it has
/// one meaning (RFC 9112 sections 5.1 and 5.2).
pub(super) fn builder(max_headers: usize) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_headers(max_headers)
        .max_buf_size(HEAD)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true);
    builder
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

impl Wire {
    /// Notes by whom the exchange under way came; `None` where there is none.
    fn set_client(&self, client: Option<Client>) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// Whether it is not we who end the connection.
    fn is_wanted(&self) -> bool {
        self.in_use.load(Ordering::Relaxed) || self.idle.load(Ordering::Relaxed)
    }

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
