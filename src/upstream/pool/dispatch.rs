//! [`Dispatcher`]: opens connections for the requests that wait, and gives them out.
//!
//! As many connections are opened as the waiting requests need, and each goes to the oldest of
//! them. Tasks open them, so that a client that goes away takes nothing from the others. While the
//! server cannot be reached, a single task tries to reconnect.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::{HeaderValue, Uri};
use tokio::{sync::Notify, time::Instant};

use super::{
    circuit_breaker::{CircuitBreaker, Verdict},
    connect::{Connected, Connector, Connectors},
    connections::Connections,
    health::HealthMonitor,
    http1_connections::Http1Connections,
    http1_limit::{Http1Limit, max_busy_http1_only},
    http2_connections::PooledConnection,
    key::PoolKey,
    protocols::Protocols,
    queue::{Enqueued, WaitQueues},
    reconnect::{Reconnection, reconnect},
};
use crate::upstream::{
    error::Error, http2::INITIAL_MAX_STREAMS, timeouts::Timeouts, traffic_class::TrafficClass,
};

/// Opens connections for the requests that wait, and gives them out.
pub(super) struct Dispatcher {
    connector: Arc<Connector>,
    connections: Arc<Connections>,
    protocols: Arc<Protocols>,
    health: Arc<HealthMonitor>,
    timeouts: Timeouts,
    http1_limit: Http1Limit,
    state: Mutex<State>,
    /// Ends the delay before the next attempt to reconnect.
    retry_now: Notify,
}

#[derive(Default)]
struct State {
    queues: WaitQueues,
    breaker: CircuitBreaker,
    reconnection: Reconnection,
}

impl Dispatcher {
    pub(super) fn new(connectors: Connectors, address: Uri, timeouts: Timeouts) -> Arc<Self> {
        Self::with_max_busy(connectors, address, timeouts, max_busy_http1_only())
    }

    /// As [`Self::new`], with the most HTTP/1.1 connections that may be busy where the server speaks
    /// nothing else.
    pub(super) fn with_max_busy(
        connectors: Connectors,
        address: Uri,
        timeouts: Timeouts,
        max_busy_http1_only: usize,
    ) -> Arc<Self> {
        let protocols = Arc::<Protocols>::default();
        let connector = Connector::new(connectors, address, timeouts, Arc::clone(&protocols));
        let connector = Arc::new(connector);
        Arc::new_cyclic(|this: &Weak<Self>| {
            let this = Weak::clone(this);
            let on_freed = move || {
                if let Some(dispatcher) = this.upgrade() {
                    dispatcher.on_freed();
                }
            };
            let http1 = Http1Connections::new(Arc::clone(&protocols), on_freed);
            let connections = Arc::new(Connections::new(http1, Arc::clone(&protocols)));
            let http1_limit = Http1Limit::new(&connections, &protocols, max_busy_http1_only);
            let health = HealthMonitor::new(&connections, &connector, timeouts);
            Self {
                connector,
                connections,
                protocols,
                health: Arc::new(health),
                timeouts,
                http1_limit,
                state: Mutex::default(),
                retry_now: Notify::new(),
            }
        })
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(super) fn health(&self) -> &Arc<HealthMonitor> {
        &self.health
    }

    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Opens one connection more, before it is needed.
    pub(super) fn open_ahead(self: &Arc<Self>, key: PoolKey) {
        let mut state = self.lock();
        if state.queues.queue(key).opening == 0 && !state.breaker.is_open() {
            self.open_one(&mut state, key);
        }
    }

    /// Has a request of `client` wait for a connection, unless one is free now or the server
    /// cannot be reached.
    pub(super) fn enqueue(
        self: &Arc<Self>,
        class: TrafficClass,
        client: Option<HeaderValue>,
    ) -> Result<Enqueued, Error> {
        let now = Instant::now();
        let mut state = self.lock();
        let key = self.key_to_wait_for(&mut state, class);
        if state.queues.queue(key).is_empty()
            && let Some((lease, _)) = self.connections.lease(key, class)
        {
            return Ok(Enqueued::Ready(lease));
        }
        let (waiter, receiver) = state.queues.waiter(class, client, now);
        let (id, limit) = (waiter.id, &self.http1_limit);
        let held_back = key == PoolKey::Http1
            && class != TrafficClass::Long
            && limit.is_reached_by(waiter.client.as_ref(), &mut state.queues);
        if held_back {
            state.queues.hold_back(waiter);
            limit.publish_queued(&state.queues);
        } else {
            let attempting = state.reconnection.is_attempting();
            if let Verdict::Fail(error) = state.breaker.verdict(now, attempting) {
                return Err(error);
            }
            if state.breaker.is_open() && !state.breaker.in_grace(now) {
                self.retry_now.notify_one();
            }
            state.queues.queue(key).push(waiter);
            self.open_for_queue(&mut state, key);
        }
        Ok(Enqueued::Waiting {
            id,
            receiver,
            held_back,
        })
    }

    /// As [`Connections::key`], but a request does not join a long queue for HTTP/1.1, or wait for
    /// a connection that cannot be made, where the server speaks HTTP/2 too.
    fn key_to_wait_for(&self, state: &mut State, class: TrafficClass) -> PoolKey {
        let key = self.connections.key(class);
        if key == PoolKey::Http1 && !self.protocols.http1_only() {
            let queue = state.queues.queue(key);
            if self.http1_limit.is_exhausted_with(queue) || state.breaker.is_open() {
                return PoolKey::Short;
            }
        }
        key
    }

    /// Whether a waiting request can only be served when others have ended.
    pub(super) fn waits_for_others(&self, id: u64) -> bool {
        let mut state = self.lock();
        let full = self.http1_limit.available() == 0;
        let opening = state.queues.queue(PoolKey::Http1).opening > 0;
        state.queues.is_held_back(id) || (full && !opening && !state.breaker.is_open())
    }

    /// The error of a request that has waited too long for others to end.
    pub(super) fn busy(&self) -> Error {
        Error::Busy {
            server: self.connector.server(),
            under_way: self.connections.http1().busy(),
        }
    }

    /// Called when an HTTP/1.1 request has ended while others wait.
    fn on_freed(self: &Arc<Self>) {
        let mut state = self.lock();
        self.http1_limit.admit(&mut state.queues);
        state.queues.serve_http1(&self.connections);
        self.open_for_queue(&mut state, PoolKey::Http1);
    }

    /// Opens as many connections as the requests in a queue need, or starts to reconnect.
    fn open_for_queue(self: &Arc<Self>, state: &mut State, key: PoolKey) {
        if key == PoolKey::Http1 {
            self.http1_limit.publish_queued(&state.queues);
        }
        if state.breaker.is_open() {
            return self.start_reconnecting(state, key);
        }
        let queue = state.queues.queue(key);
        let needed = if key == PoolKey::Http1 {
            self.http1_limit.needed_by(queue)
        } else {
            queue.len().div_ceil(INITIAL_MAX_STREAMS)
        };
        let opening = queue.opening;
        for _ in opening..needed {
            self.open_one(state, key);
        }
    }

    /// Opens one connection in a task.
    fn open_one(self: &Arc<Self>, state: &mut State, key: PoolKey) {
        state.queues.queue(key).opening += 1;
        let dispatcher = Arc::clone(self);
        tokio::spawn(async move {
            let began = Instant::now();
            let connected = dispatcher.connect(key).await;
            let mut state = dispatcher.lock();
            state.queues.queue(key).opening -= 1;
            dispatcher.settle(&mut state, key, began, connected);
        });
    }

    async fn connect(&self, key: PoolKey) -> Result<Connected, Error> {
        let max_headers = self.connections.http1().max_headers();
        self.connector.connect(key, max_headers).await
    }

    /// Starts a task that tries to reconnect until it succeeds or no requests come any more.
    fn start_reconnecting(self: &Arc<Self>, state: &mut State, key: PoolKey) {
        if !state.reconnection.start() {
            return;
        }
        let dispatcher = Arc::clone(self);
        let mut key = key;
        tokio::spawn(async move {
            let delay = || dispatcher.next_delay();
            let attempt = || {
                key = dispatcher.begin_attempt(key);
                dispatcher.attempt(key)
            };
            reconnect(&dispatcher.retry_now, delay, attempt).await;
        });
    }

    fn next_delay(&self) -> Option<Duration> {
        let state = &mut *self.lock();
        let request_waits = state.queues.first_waiting().is_some();
        state
            .reconnection
            .next_delay(&state.breaker, Instant::now(), request_waits)
    }

    fn begin_attempt(&self, key: PoolKey) -> PoolKey {
        let mut state = self.lock();
        state.reconnection.begin_attempt();
        state.queues.first_waiting().unwrap_or(key)
    }

    async fn attempt(self: &Arc<Self>, key: PoolKey) {
        let began = Instant::now();
        let connected = self.connect(key).await;
        let mut state = self.lock();
        state.reconnection.end_attempt();
        self.settle(&mut state, key, began, connected);
    }

    /// Gives the result of an attempt to the requests that waited for it.
    fn settle(
        self: &Arc<Self>,
        state: &mut State,
        key: PoolKey,
        began: Instant,
        connected: Result<Connected, Error>,
    ) {
        match connected {
            Ok(connected) => {
                state.breaker.record_success();
                self.serve(state, key, connected);
                self.health.start();
                if self.connections.is_closed() {
                    self.connections.retire_all();
                }
            }
            Err(error) if key == PoolKey::Http1 && self.connector.refuses_http1(&error) => {
                self.protocols.set_http2_only(true);
                state.queues.move_waiters(PoolKey::Http1, PoolKey::Short);
            }
            Err(error) => {
                let now = Instant::now();
                let last_disconnect = self.connector.last_disconnect();
                state.breaker.record_failure(now, &error, last_disconnect);
                state
                    .queues
                    .serve_http1_waiters_over_http2(&self.connections);
                if !state.breaker.in_grace(now) {
                    state.queues.fail(began, &error);
                }
                // Another server may come back in its place.
                self.protocols.set_http2_only(false);
            }
        }
        self.http1_limit.admit(&mut state.queues);
        for key in PoolKey::ALL {
            self.open_for_queue(state, key);
        }
    }

    /// Adds a new connection to the open ones, and gives it to the requests that wait.
    fn serve(&self, state: &mut State, key: PoolKey, connected: Connected) {
        match connected {
            Connected::Http1(connection) => {
                if self.protocols.http1_only() {
                    let moved = state.queues.move_waiters(PoolKey::Short, PoolKey::Http1)
                        + state.queues.move_waiters(PoolKey::Long, PoolKey::Http1);
                    if moved > 0 {
                        self.http1_limit.hold_back_excess(&mut state.queues);
                    }
                }
                let http1 = self.connections.http1();
                http1.open().add(connection.state());
                http1.put(connection);
                state.queues.serve_http1(&self.connections);
            }
            Connected::Http2(connection) => {
                self.protocols.set_http1_only(false);
                // The server may have spoken HTTP/1.1 alone until now.
                let key = if key == PoolKey::Http1 {
                    PoolKey::Short
                } else {
                    key
                };
                let connection = PooledConnection::new(connection, &self.timeouts);
                state.queues.queue(key).serve_http2(&connection);
                self.connections.http2(key).add(&connection);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of requests that wait for an HTTP/1.1 connection.
    #[cfg(test)]
    pub(super) fn waiting_for_http1(&self) -> usize {
        self.lock().queues.waiting_for_http1()
    }
}
