//! [`Http2Connections`]: the open HTTP/2 connections of one key, and [`PooledConnection`], one of
//! them.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use http::{Request, Response, Uri};
use tokio::{sync::Notify, time::Instant};

use crate::{
    jitter,
    upstream::{
        awaited_heads::AwaitedHeads,
        body::RequestBody,
        http2::{self, Connection, Stream},
        send_failure::SendFailure,
        timeouts::Timeouts,
    },
};

/// The open HTTP/2 connections of one key, oldest first. Each request takes the first that has a
/// stream left, so that the newest become idle when there are more than needed.
#[derive(Default)]
pub(super) struct Http2Connections(ArcSwap<Vec<Arc<PooledConnection>>>);

/// An HTTP/2 connection, and what the pool knows of it.
pub(super) struct PooledConnection {
    http2: Arc<Connection>,
    /// When it is too old for more requests.
    retires_at: Option<Instant>,
    /// The number of streams leased so far.
    leased: AtomicUsize,
    awaited_heads: AwaitedHeads,
    /// A liveness probe is in flight.
    probing: AtomicBool,
    /// A liveness probe was not answered in time. No request uses the connection.
    unresponsive: AtomicBool,
    /// Tells requests that wait for a response that it became unresponsive.
    became_unresponsive: Notify,
    /// `leased` as it was when the connection was first seen unused, and when that was.
    unused: Mutex<Option<(usize, Instant)>>,
}

impl Http2Connections {
    /// A stream on the first connection that has one left, and whether another connection will be
    /// needed soon.
    pub(super) fn lease(&self) -> Option<(StreamLease, bool)> {
        let connections = self.0.load();
        let mut connections = connections.iter();
        let lease = connections.find_map(PooledConnection::lease)?;
        let nearly_full = lease.connection.is_nearly_full()
            && !connections.any(|connection| connection.has_capacity());
        Some((lease, nearly_full))
    }

    pub(super) fn add(&self, connection: &Arc<PooledConnection>) {
        self.0.rcu(|all| {
            let mut all = Vec::clone(all);
            all.push(Arc::clone(connection));
            all
        });
    }

    pub(super) fn all(&self) -> Arc<Vec<Arc<PooledConnection>>> {
        self.0.load_full()
    }

    /// Whether anything was received on one of them after `time`.
    pub(super) fn received_since(&self, time: Instant) -> bool {
        let connections = self.0.load();
        connections.iter().any(|c| c.http2.last_read() > time)
    }

    /// Lets none of the connections take a new request.
    pub(super) fn retire_all(&self) {
        for connection in self.0.load().iter() {
            connection.http2.retire();
        }
    }

    /// Retires connections that are too old, unused for too long or superfluous, and drops those
    /// that have closed. Returns when the next will be due.
    pub(super) fn trim(&self, now: Instant, timeouts: &Timeouts) -> Option<Instant> {
        let connections = self.0.load_full();
        let mut next = None;
        let mut superfluous = connections.iter().any(|c| c.has_capacity() && c.is_used());
        for connection in connections.iter() {
            let idle = if superfluous {
                superfluous_idle(timeouts)
            } else {
                timeouts.idle
            };
            let idle = connection.unused_since(now).and_then(|s| after(s, idle));
            let due = [connection.retires_at, idle].into_iter().flatten().min();
            match due {
                Some(due) if due <= now => connection.http2.retire(),
                Some(due) => next = Some(next.map_or(due, |next: Instant| next.min(due))),
                None => {}
            }
            superfluous |= connection.has_capacity();
        }
        if connections.iter().any(|c| c.has_closed()) {
            self.0.rcu(|all| {
                let open = all.iter().filter(|connection| !connection.has_closed());
                open.cloned().collect::<Vec<_>>()
            });
        }
        next
    }
}

/// How long a connection that is one more than needed may be idle.
fn superfluous_idle(timeouts: &Timeouts) -> Duration {
    timeouts.idle / 6
}

fn after(since: Instant, limit: Duration) -> Option<Instant> {
    (limit > Duration::ZERO).then(|| since + limit)
}

impl PooledConnection {
    pub(super) fn new(http2: Arc<Connection>, timeouts: &Timeouts) -> Arc<Self> {
        // Plus or minus a tenth, so that the connections of many kubegates do not end together.
        let age = timeouts.max_age.mul_f64(0.9 + 0.2 * jitter::fraction());
        Arc::new(Self {
            http2,
            retires_at: after(Instant::now(), age),
            leased: AtomicUsize::new(0),
            awaited_heads: AwaitedHeads::default(),
            probing: AtomicBool::new(false),
            unresponsive: AtomicBool::new(false),
            became_unresponsive: Notify::new(),
            unused: Mutex::new(None),
        })
    }

    /// A stream, where the connection has one left and is responsive.
    pub(super) fn lease(self: &Arc<Self>) -> Option<StreamLease> {
        if self.is_unresponsive() {
            return None;
        }
        let stream = self.http2.reserve()?;
        Some(self.leased(stream))
    }

    /// The stream that the connection was opened for.
    pub(super) fn lease_first(self: &Arc<Self>) -> StreamLease {
        self.leased(self.http2.reserve_first())
    }

    fn leased(self: &Arc<Self>, stream: Stream) -> StreamLease {
        self.leased.fetch_add(1, Ordering::Relaxed);
        StreamLease {
            stream,
            connection: Arc::clone(self),
        }
    }

    pub(super) fn http2(&self) -> &Connection {
        &self.http2
    }

    pub(super) fn is_used(&self) -> bool {
        self.http2.streams() > 0
    }

    pub(super) fn awaits_head(&self) -> bool {
        self.awaited_heads.any()
    }

    pub(super) fn is_probing(&self) -> bool {
        self.probing.load(Ordering::Relaxed)
    }

    pub(super) fn set_probing(&self, probing: bool) {
        self.probing.store(probing, Ordering::Relaxed);
    }

    /// Has requests use other connections from now on, those that wait for a response included.
    pub(super) fn mark_unresponsive(&self) {
        self.unresponsive.store(true, Ordering::Relaxed);
        self.became_unresponsive.notify_waiters();
    }

    pub(super) fn mark_alive(&self) {
        self.unresponsive.store(false, Ordering::Relaxed);
    }

    fn is_unresponsive(&self) -> bool {
        self.unresponsive.load(Ordering::Relaxed)
    }

    fn has_capacity(&self) -> bool {
        !self.is_unresponsive() && self.http2.has_capacity()
    }

    fn is_nearly_full(&self) -> bool {
        let max_streams = self.http2.max_streams();
        self.http2.streams() + max_streams / 10 >= max_streams
    }

    fn has_closed(&self) -> bool {
        !self.http2.is_open() && !self.is_used()
    }

    /// Since when it has had no stream.
    fn unused_since(&self, now: Instant) -> Option<Instant> {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_used() {
            *unused = None;
            return None;
        }
        let leased = self.leased.load(Ordering::Relaxed);
        match *unused {
            Some((before, since)) if before == leased => Some(since),
            _ => {
                *unused = Some((leased, now));
                Some(now)
            }
        }
    }
}

/// One stream of a [`PooledConnection`], given back on drop.
pub(super) struct StreamLease {
    stream: Stream,
    connection: Arc<PooledConnection>,
}

impl StreamLease {
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        uri: &Uri,
    ) -> Result<Response<http2::ResponseBody>, SendFailure> {
        let unresponsive = self.connection.became_unresponsive.notified();
        if self.connection.is_unresponsive() {
            // It became so after the stream was leased. Nothing was sent.
            let error = io::Error::from(io::ErrorKind::NotConnected);
            return Err(SendFailure::unsent(error, request));
        }
        let _awaiting = self.connection.awaited_heads.begin();
        http2::send(&self.stream, request, uri, unresponsive).await
    }
}
