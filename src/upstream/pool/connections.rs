//! [`Connections`]: everything that a pool has open.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;

use super::{
    http1_connections::{Http1Connections, MAX_BUSY},
    http2_connections::Http2Connections,
    key::PoolKey,
    lease::Lease,
    protocols::Protocols,
};
use crate::upstream::traffic_class::TrafficClass;

/// Everything that a pool has open, and the choice among it for a request.
pub(super) struct Connections {
    short: Http2Connections,
    long: Http2Connections,
    http1: Arc<Http1Connections>,
    protocols: Arc<Protocols>,
    closed: AtomicBool,
}

impl Connections {
    pub(super) fn new(http1: Http1Connections, protocols: Arc<Protocols>) -> Self {
        Self {
            short: Http2Connections::default(),
            long: Http2Connections::default(),
            http1: Arc::new(http1),
            protocols,
            closed: AtomicBool::new(false),
        }
    }

    /// The connections that a request uses. HTTP/2 streams share connections and cost least. Large
    /// responses get an HTTP/1.1 connection each: there is no second flow control beside TCP's,
    /// and they delay no other response.
    pub(super) fn key(&self, class: TrafficClass) -> PoolKey {
        if self.protocols.http1_only() {
            return PoolKey::Http1;
        }
        match class {
            TrafficClass::Bulk if !self.protocols.http2_only() && self.http1.busy() < MAX_BUSY => {
                PoolKey::Http1
            }
            TrafficClass::Short | TrafficClass::Bulk => PoolKey::Short,
            TrafficClass::Long => PoolKey::Long,
        }
    }

    /// A lease on an open connection, and whether another connection will be needed soon.
    pub(super) fn lease(&self, key: PoolKey, class: TrafficClass) -> Option<(Lease, bool)> {
        if key == PoolKey::Http1 {
            return Some((Lease::Http1(self.http1.lease(class)?), false));
        }
        let (lease, nearly_full) = self.http2(key).lease()?;
        Some((Lease::Http2(lease), nearly_full))
    }

    pub(super) fn http1(&self) -> &Arc<Http1Connections> {
        &self.http1
    }

    /// The HTTP/2 connections for `key`. A request of [`PoolKey::Http1`] that gets no HTTP/1.1
    /// connection uses those for short requests.
    pub(super) fn http2(&self, key: PoolKey) -> &Http2Connections {
        match key {
            PoolKey::Long => &self.long,
            PoolKey::Short | PoolKey::Http1 => &self.short,
        }
    }

    /// Whether anything was received over HTTP/2 after `time`.
    pub(super) fn received_since(&self, time: Instant) -> bool {
        self.short.received_since(time) || self.long.received_since(time)
    }

    /// Lets no connection that is open now take another request.
    pub(super) fn retire_all(&self) {
        self.short.retire_all();
        self.long.retire_all();
        self.http1.close_idle();
    }

    /// Lets the requests under way end, and keeps nothing after them.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.http1.close();
        self.retire_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}
