//! [`Shared`]: what a pool's requests and tasks share, and how a request gets its place.
//!
//! A request that finds no connection with room waits in a line, see [`Desk`]; as many are
//! opened as those in the line need, see `opening`. While the server cannot be reached, one task
//! alone tries, see `attempts`.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::{sync::Notify, time::Instant};

use super::{
    Error, Timeouts, TrafficClass,
    circuit::{LastLoss, Verdict},
    desk::{Class, Desk},
    http1::Http1,
    link::Fleet,
    opening::Connectors,
    pool::{Lease, Ride},
    traffic_class::Protocol,
    upkeep::Upkeep,
};
use crate::descriptors;

/// HTTP/1.1 connections that a pool has busy before large answers travel over HTTP/2 instead.
pub(super) const MAX_HTTP1: usize = 64;
/// The same where the server speaks nothing else: all pools together have one for every so many
/// descriptors that we may have open, as each request has another one downstream,
const DESCRIPTORS_PER_HTTP1: usize = 3;
/// for at most so many pools that are in use at once,
const LANES: usize = 8;
/// and a pool has no more than this.
const MAX_HTTP1_ALONE: usize = 8192;
/// How often the time to connect a request waits for others to end, where there is no other way.
const QUEUE: u32 = 2;
/// By whom a request comes, as our own server says.
pub(super) const CLIENT: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A pool as its tasks see it.
pub(super) struct Shared {
    pub(super) connectors: Connectors,
    pub(super) address: Uri,
    pub(super) times: Timeouts,
    pub(super) short: Fleet,
    pub(super) long: Fleet,
    pub(super) http1: Http1,
    /// The server chose HTTP/1.1 where it had the choice.
    pub(super) no_http2: AtomicBool,
    /// The server refused to speak HTTP/1.1.
    pub(super) no_http1: AtomicBool,
    /// Requests that wait for an HTTP/1.1 connection, or until their client may.
    pub(super) queueing: AtomicUsize,
    desk: Mutex<Desk>,
    /// Wakes the task that looks whether the server is back.
    pub(super) poke: Notify,
    pub(super) upkeep: Upkeep,
    /// How long the last connection took to come about, in milliseconds.
    pub(super) handshake: AtomicU64,
    pub(super) last_loss: Arc<LastLoss>,
    /// HTTP/1.1 connections that may be busy where the server speaks nothing else.
    max_http1_alone: usize,
    closed: AtomicBool,
}

impl Shared {
    pub(super) fn new(connectors: Connectors, address: Uri, times: Timeouts) -> Arc<Self> {
        Arc::new(Self {
            connectors,
            address,
            times,
            short: Fleet::default(),
            long: Fleet::default(),
            http1: Http1::default(),
            no_http2: AtomicBool::new(false),
            no_http1: AtomicBool::new(false),
            queueing: AtomicUsize::new(0),
            desk: Mutex::default(),
            poke: Notify::new(),
            upkeep: Upkeep::new(),
            handshake: AtomicU64::new(0),
            last_loss: Arc::default(),
            max_http1_alone: max_http1_alone(),
            closed: AtomicBool::new(false),
        })
    }

    /// A place on a connection for a request with these headers. Who asked at `asked` is answered
    /// in time for it.
    pub(super) async fn lease(
        self: &Arc<Self>,
        kind: TrafficClass,
        asked: Instant,
        headers: &HeaderMap,
    ) -> Result<Lease, Error> {
        self.upkeep.wake(self);
        match self.ready(self.class(kind), kind) {
            Some(lease) => Ok(lease),
            // Boxed, so that a request that finds a connection need not have room for it.
            None => Box::pin(self.wait(kind, asked, headers.get(&CLIENT).cloned())).await,
        }
    }

    fn class(&self, kind: TrafficClass) -> Class {
        let class = match kind {
            TrafficClass::Long => Class::Long,
            TrafficClass::Short | TrafficClass::Bulk => Class::Short,
        };
        if self.no_http2.load(Ordering::Relaxed) {
            return Class::Http1;
        }
        match kind.protocol() {
            Protocol::Http1
                if !self.no_http1.load(Ordering::Relaxed) && self.http1.busy() < MAX_HTTP1 =>
            {
                Class::Http1
            }
            _ => class,
        }
    }

    /// Nobody joins a long line for HTTP/1.1, or waits for a connection that does not come about,
    /// where there is another way.
    fn class_to_wait_for(&self, desk: &mut Desk, kind: TrafficClass) -> Class {
        let class = self.class(kind);
        if class == Class::Http1 && !self.no_http2.load(Ordering::Relaxed) {
            let crowd = desk.line(class).waiting.len() + self.http1.busy();
            if crowd >= MAX_HTTP1 || desk.circuit.is_down() {
                return Class::Short;
            }
        }
        class
    }

    pub(super) fn fleet(&self, class: Class) -> &Fleet {
        match class {
            Class::Long => &self.long,
            Class::Short | Class::Http1 => &self.short,
        }
    }

    fn ready(self: &Arc<Self>, class: Class, kind: TrafficClass) -> Option<Lease> {
        if class == Class::Http1 {
            return self.http1.take(self, kind).map(Lease::Http1);
        }
        let (stream, link, last) = self.fleet(class).reserve()?;
        if last {
            self.open_ahead(class);
        }
        Some(Lease::Http2(Ride::new(stream, link)))
    }

    async fn wait(
        self: &Arc<Self>,
        kind: TrafficClass,
        asked: Instant,
        client: Option<HeaderValue>,
    ) -> Result<Lease, Error> {
        let now = Instant::now();
        let connect = self.times.connect;
        let end = asked + QUEUE * connect;
        // However much of its time is gone, it has some for another way.
        let mut until = (asked + connect).max(now + connect / 4);
        let (id, mut answered) = {
            let mut desk = self.desk();
            let class = self.class_to_wait_for(&mut desk, kind);
            // What came free or about in the meantime.
            if desk.line(class).waiting.is_empty()
                && let Some(lease) = self.ready_quietly(class, kind)
            {
                return Ok(lease);
            }
            let (waiter, answered) = desk.waiter(kind, client, now);
            let id = waiter.id;
            if class == Class::Http1
                && kind != TrafficClass::Long
                && self.has_its_share(&mut desk, waiter.client.as_ref())
            {
                desk.hold_back(waiter);
                self.count_queueing(&desk);
                until = end;
            } else {
                let under_way = desk.attempting;
                if let Verdict::Fail(error) = desk.circuit.ask(now, under_way) {
                    return Err(error);
                }
                if desk.circuit.is_down() && !desk.circuit.has_grace(now) {
                    self.poke.notify_one();
                }
                let line = desk.line(class);
                line.waiting.retain(|waiter| !waiter.reply.is_closed());
                line.waiting.push_back(waiter);
                self.open_for_line(&mut desk, class);
            }
            (id, answered)
        };
        loop {
            tokio::select! {
                biased;
                answer = &mut answered => return answer.unwrap_or_else(|_| Err(self.timed_out())),
                () = tokio::time::sleep_until(until) => {
                    if !self.waits_for_others(id) {
                        return Err(self.timed_out());
                    }
                    if until >= end {
                        return Err(self.busy(0));
                    }
                    until = (until + connect).min(end);
                }
            }
        }
    }

    /// As [`Self::ready`], under the desk's lock.
    fn ready_quietly(self: &Arc<Self>, class: Class, kind: TrafficClass) -> Option<Lease> {
        if class == Class::Http1 {
            return self.http1.take(self, kind).map(Lease::Http1);
        }
        let (stream, link, _) = self.fleet(class).reserve()?;
        Some(Lease::Http2(Ride::new(stream, link)))
    }

    /// Whether there is nothing to wait for but that other requests end.
    fn waits_for_others(&self, id: u64) -> bool {
        let mut desk = self.desk();
        let full = self.http1.busy() >= self.max_http1();
        desk.is_held_back(id)
            || (!desk.circuit.is_down() && desk.line(Class::Http1).openings == 0 && full)
    }

    pub(super) fn timed_out(&self) -> Error {
        Error::ConnectTimeout {
            server: super::server_name(&self.address),
            limit: self.times.connect,
        }
    }

    /// Whether a client has three of four connections that a server which speaks HTTP/1.1 alone
    /// may get. The rest is for others.
    fn has_its_share(&self, desk: &mut Desk, client: Option<&HeaderValue>) -> bool {
        let share = self.share();
        let waiting = &desk.line(Class::Http1).waiting;
        if !self.no_http2.load(Ordering::Relaxed) || self.http1.busy() + waiting.len() < share {
            return false;
        }
        let waiting = waiting.iter().filter(|w| w.client.as_ref() == client);
        waiting.count() + self.http1.busy_for(client) >= share
    }

    /// Keeps to the same where it turns out only now that the server speaks nothing else.
    pub(super) fn keep_to_shares(&self, desk: &mut Desk) {
        desk.hold_back_excess(self.share(), |client| self.http1.busy_for(client));
        self.count_queueing(desk);
    }

    /// Lets requests that were held back wait in the line, where their clients have less than
    /// their share now.
    pub(super) fn admit_held_back(&self, desk: &mut Desk) {
        let share = if self.no_http2.load(Ordering::Relaxed) {
            self.share()
        } else {
            usize::MAX
        };
        desk.admit(share, |client| self.http1.busy_for(client));
    }

    pub(super) fn count_queueing(&self, desk: &Desk) {
        self.queueing.store(desk.queueing(), Ordering::Relaxed);
    }

    /// What one client may have of the connections to a server that speaks HTTP/1.1 alone.
    fn share(&self) -> usize {
        self.max_http1() / 4 * 3
    }

    /// For who does not wait for others to end, or not any more; so many still wait.
    fn busy(&self, waiting: usize) -> Error {
        Error::Busy {
            server: super::server_name(&self.address),
            under_way: self.http1.busy() + waiting,
        }
    }

    pub(super) fn max_http1(&self) -> usize {
        if self.no_http2.load(Ordering::Relaxed) {
            self.max_http1_alone
        } else {
            MAX_HTTP1
        }
    }

    /// An exchange has ended: somebody may wait for its place.
    pub(super) fn place_free(self: &Arc<Self>) {
        if self.queueing.load(Ordering::Relaxed) > 0
            && tokio::runtime::Handle::try_current().is_ok()
        {
            let mut desk = self.desk();
            self.admit_held_back(&mut desk);
            self.serve_http1(&mut desk);
            self.open_for_line(&mut desk, Class::Http1);
        }
    }

    /// What runs may end; nothing more begins.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.start_afresh();
        self.upkeep.look_soon();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one of the lanes' pools may have.
fn max_http1_alone() -> usize {
    let pools = available_parallelism().map_or(1, |cores| cores.get().min(LANES));
    let share = descriptors::limit() / (DESCRIPTORS_PER_HTTP1 * pools);
    share.clamp(MAX_HTTP1, MAX_HTTP1_ALONE)
}

#[cfg(test)]
mod tests;
