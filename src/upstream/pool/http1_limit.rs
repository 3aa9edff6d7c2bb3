//! [`Http1Limit`]: how many HTTP/1.1 connections may be busy, and each client's share of them.

use std::{sync::Arc, thread::available_parallelism};

use http::HeaderValue;

use super::{
    connections::Connections,
    http1_connections::MAX_BUSY,
    key::PoolKey,
    protocols::Protocols,
    queue::{WaitQueue, WaitQueues},
};
use crate::{descriptors, upstream::traffic_class::TrafficClass};

/// File descriptors for each busy connection where the server speaks HTTP/1.1 alone: each request
/// also has a client's connection. All pools share the connections that result.
const DESCRIPTORS_PER_CONNECTION: usize = 3;
/// More pools would open more connections than an API server needs to be busy.
const MAX_POOLS: usize = 8;
/// The most busy connections of one pool where the server speaks HTTP/1.1 alone.
const MAX_BUSY_HTTP1_ONLY: usize = 8192;

/// How many HTTP/1.1 connections may be busy. Where the server speaks nothing else, one client may
/// use three of four; its other requests are held back.
///
/// Clients are told apart by their IP address, so all clients on this machine count as one.
pub(super) struct Http1Limit {
    connections: Arc<Connections>,
    protocols: Arc<Protocols>,
    /// The limit where the server speaks HTTP/1.1 alone.
    max_busy_http1_only: usize,
}

impl Http1Limit {
    pub(super) fn new(
        connections: &Arc<Connections>,
        protocols: &Arc<Protocols>,
        max_busy_http1_only: usize,
    ) -> Self {
        Self {
            connections: Arc::clone(connections),
            protocols: Arc::clone(protocols),
            max_busy_http1_only,
        }
    }

    /// How many connections may be busy.
    pub(super) fn max_busy(&self) -> usize {
        if self.protocols.http1_only() {
            self.max_busy_http1_only
        } else {
            MAX_BUSY
        }
    }

    /// How many more connections may be busy.
    pub(super) fn available(&self) -> usize {
        let busy = self.connections.http1().busy();
        self.max_busy().saturating_sub(busy)
    }

    /// Whether the connections that are busy and the requests in `queue` reach the limit of a
    /// server that speaks HTTP/2 too.
    pub(super) fn is_exhausted_with(&self, queue: &WaitQueue) -> bool {
        queue.len() + self.connections.http1().busy() >= MAX_BUSY
    }

    /// How many connections the requests in `queue` need and may have. Long requests are not
    /// limited.
    pub(super) fn needed_by(&self, queue: &WaitQueue) -> usize {
        let long = queue.iter().filter(|w| w.class == TrafficClass::Long);
        queue.len().min(self.available() + long.count())
    }

    /// Tells the connections how many requests wait for one. Only while there are any do they
    /// report that one is free.
    pub(super) fn publish_queued(&self, queues: &WaitQueues) {
        let waiting = queues.waiting_for_http1();
        self.connections.http1().set_queued(waiting);
    }

    /// Whether `client` uses or waits for its share of the connections.
    pub(super) fn is_reached_by(
        &self,
        client: Option<&HeaderValue>,
        queues: &mut WaitQueues,
    ) -> bool {
        let (share, http1) = (self.share(), self.connections.http1());
        let queue = queues.queue(PoolKey::Http1);
        if !self.protocols.http1_only() || http1.busy() + queue.len() < share {
            return false;
        }
        let waiting = queue.iter().filter(|w| w.client.as_ref() == client);
        waiting.count() + http1.open().count_for(client) >= share
    }

    /// Lets requests that were held back wait in the queue, where their clients have less than
    /// their share now.
    pub(super) fn admit(&self, queues: &mut WaitQueues) {
        let share = if self.protocols.http1_only() {
            self.share()
        } else {
            usize::MAX
        };
        let open = self.connections.http1().open();
        queues.admit(share, |client| open.count_for(client));
    }

    /// Holds back what clients have in the queue beyond their share.
    pub(super) fn hold_back_excess(&self, queues: &mut WaitQueues) {
        let open = self.connections.http1().open();
        queues.hold_back_excess(self.share(), |client| open.count_for(client));
    }

    /// Three of four connections. The rest is for other clients.
    fn share(&self) -> usize {
        self.max_busy() / 4 * 3
    }
}

/// Returns the number of pools that requests of one identity are spread over, one for each worker:
/// as many as cores are available to the process, at most eight.
#[must_use]
pub fn pool_count() -> usize {
    available_parallelism().map_or(1, |cores| cores.get().min(MAX_POOLS))
}

/// The connections that each of the workers' pools may have busy.
pub(super) fn max_busy_http1_only() -> usize {
    let share = descriptors::limit() / (DESCRIPTORS_PER_CONNECTION * pool_count());
    share.clamp(MAX_BUSY, MAX_BUSY_HTTP1_ONLY)
}
