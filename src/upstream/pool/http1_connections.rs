//! [`Http1Connections`]: the HTTP/1.1 connections of a pool, and [`Http1Lease`], the right to one
//! request on one of them.

use std::{
    error::Error,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::Instant};

use super::{protocols::Protocols, silence::SilenceTracker};
use crate::upstream::{
    body::RequestBody,
    http1::{Connection, ConnectionState, HeadTooLarge, MAX_HEADERS, MORE_HEADERS},
    send_failure::SendFailure,
    timeouts::Timeouts,
    traffic_class::TrafficClass,
};

/// HTTP/1.1 connections that a pool has busy before large responses use HTTP/2 instead.
pub(super) const MAX_BUSY: usize = 64;
/// Idle connections that are kept. As many may be busy beside HTTP/2, so that a steady load opens
/// no new ones.
const MAX_IDLE: usize = MAX_BUSY;
/// How long a connection may be idle at most. No PING tells whether it still leads to the server.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Carries the address of the client, as kubegate's own server sets it.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The HTTP/1.1 connections of one pool.
pub(super) struct Http1Connections {
    protocols: Arc<Protocols>,
    idle: Mutex<Vec<IdleConnection>>,
    /// All that are open.
    open: SilenceTracker,
    /// Requests under way, except those that stay open.
    busy: AtomicUsize,
    /// Requests that wait for one of these connections.
    queued: AtomicUsize,
    /// Called after a request has ended while others wait.
    on_freed: Box<dyn Fn() + Send + Sync>,
    /// A response had more than [`MAX_HEADERS`] lines, so new connections take [`MORE_HEADERS`].
    more_headers: AtomicBool,
    /// No connection is kept any more.
    closed: AtomicBool,
}

struct IdleConnection {
    connection: Connection,
    since: Instant,
}

impl Http1Connections {
    pub(super) fn new(
        protocols: Arc<Protocols>,
        on_freed: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self {
            protocols,
            idle: Mutex::default(),
            open: SilenceTracker::default(),
            busy: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            on_freed: Box::new(on_freed),
            more_headers: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// All that are open, those of upgrades included.
    pub(super) fn open(&self) -> &SilenceTracker {
        &self.open
    }

    /// The number of requests under way, except those that stay open.
    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Sets how many requests wait for one of these connections.
    pub(super) fn set_queued(&self, queued: usize) {
        self.queued.store(queued, Ordering::Relaxed);
    }

    /// How many header lines of a response new connections take.
    pub(super) fn max_headers(&self) -> usize {
        if self.more_headers.load(Ordering::Relaxed) {
            MORE_HEADERS
        } else {
            MAX_HEADERS
        }
    }

    /// Lets new connections take more header lines, after a response had too many.
    pub(super) fn learn_from(&self, error: &(dyn Error + Send + Sync + 'static)) {
        if error.is::<HeadTooLarge>() {
            self.more_headers.store(true, Ordering::Relaxed);
        }
    }

    /// The connection that became idle last, where one is still open.
    pub(super) fn lease(self: &Arc<Self>, class: TrafficClass) -> Option<Http1Lease> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(IdleConnection { connection, .. }) = idle.pop() {
            connection.state().set_idle(false);
            if connection.is_ready() {
                drop(idle);
                return Some(Http1Lease::new(connection, self, class));
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, connection: Connection) {
        let takes_enough = connection.state().max_headers() >= self.max_headers();
        if !takes_enough || self.closed.load(Ordering::Relaxed) {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            let since = Instant::now();
            connection.state().set_idle(true);
            idle.push(IdleConnection { connection, since });
        }
    }

    /// Closes all idle connections.
    pub(super) fn close_idle(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let closing = std::mem::take(&mut *idle);
        drop(idle);
        for IdleConnection { connection, .. } in &closing {
            connection.state().set_idle(false);
        }
        drop(closing);
    }

    /// Keeps no connection after its request from now on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.close_idle();
    }

    /// Closes what has been idle for too long. Returns when there may be more of it, and whether
    /// any connection is open.
    pub(super) fn trim(&self, now: Instant, timeouts: &Timeouts) -> (Option<Instant>, bool) {
        let (any, any_upgrade) = self.open.prune();
        // Nothing tells when an upgraded connection becomes silent.
        let upgrades = any_upgrade.then(|| now + timeouts.silence / 2);
        let limit = if timeouts.idle == Duration::ZERO {
            IDLE_TIMEOUT
        } else {
            IDLE_TIMEOUT.min(timeouts.idle)
        };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|IdleConnection { connection, since }| {
            let keep = !connection.is_closed() && now < *since + limit;
            if !keep {
                connection.state().set_idle(false);
            }
            keep
        });
        let expiry = idle.iter().map(|connection| connection.since + limit);
        (expiry.chain(upgrades).min(), any)
    }
}

/// The right to one request on an HTTP/1.1 connection. Its end, by [`Self::release`] or drop, lets
/// the next request proceed.
pub(super) struct Http1Lease {
    connection: Option<Connection>,
    connections: Arc<Http1Connections>,
    counted: bool,
    /// The connection has carried a request before.
    reused: bool,
}

impl Http1Lease {
    fn new(
        connection: Connection,
        connections: &Arc<Http1Connections>,
        class: TrafficClass,
    ) -> Self {
        let counted = class != TrafficClass::Long;
        if counted {
            connections.busy.fetch_add(1, Ordering::Relaxed);
        }
        Self {
            reused: connection.state().begin_request(),
            connection: Some(connection),
            connections: Arc::clone(connections),
            counted,
        }
    }

    /// Counts the connection as one that `client` uses. Where the server speaks HTTP/1.1 alone, no
    /// client may use all connections.
    pub(super) fn count_for(&self, client: Option<&HeaderValue>) {
        if let Some(connection) = &self.connection
            && self.counted
            && self.connections.protocols.http1_only()
        {
            connection.state().set_client(client.cloned());
        }
    }

    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
        uri: &Uri,
        host: &HeaderValue,
    ) -> Result<Response<Incoming>, SendFailure> {
        self.count_for(request.headers().get(&X_FORWARDED_FOR));
        let Some(connection) = &mut self.connection else {
            let error = io::Error::from(io::ErrorKind::NotConnected);
            return Err(SendFailure::unsent(error, request));
        };
        let sent = connection.send(request, uri, host, self.reused).await;
        if let Err(failure) = &sent {
            self.connections.learn_from(&*failure.error);
        }
        sent
    }

    /// Gives the connection back for the next request, after the response has ended.
    pub(super) fn release(mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        self.ended(connection.state());
        if self.connections.closed.load(Ordering::Relaxed) {
            return;
        }
        if connection.is_ready() {
            return self.connections.put(connection);
        }
        // The connection's task has not seen the end of the response yet.
        let connections = Arc::clone(&self.connections);
        tokio::spawn(async move {
            if connection.ready().await.is_ok() {
                connections.put(connection);
            }
        });
    }

    fn ended(&self, state: &ConnectionState) {
        state.end_request();
        if self.counted && self.connections.protocols.http1_only() {
            state.clear_client();
        }
    }
}

impl Drop for Http1Lease {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            self.ended(connection.state());
        }
        let connections = &self.connections;
        if self.counted {
            connections.busy.fetch_sub(1, Ordering::Relaxed);
        }
        if connections.queued.load(Ordering::Relaxed) > 0 && Handle::try_current().is_ok() {
            (connections.on_freed)();
        }
    }
}
