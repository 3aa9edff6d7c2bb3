//! [`Fleet`]: the HTTP/2 connections of one kind of requests. [`Link`]: one of them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::Notify, time::Instant};

use super::{
    Timeouts,
    http2::{Http2, Stream},
};

/// The connections, oldest first. Each request takes the first that has room, so that the last
/// ones empty when there are too many.
#[derive(Default)]
pub(super) struct Fleet(ArcSwap<Vec<Arc<Link>>>);

/// An HTTP/2 connection, and what is known of it.
pub(super) struct Link {
    pub(super) http2: Arc<Http2>,
    /// When it is too old for more requests.
    retires: Option<Instant>,
    /// Streams taken so far.
    taken: AtomicUsize,
    /// Requests on it that wait for the head of their answer.
    pub(super) waiting: AtomicUsize,
    /// It was asked for a sign of life that has not come.
    pub(super) asked: AtomicBool,
    /// It has not come in time: requests go another way.
    suspect: AtomicBool,
    /// Tells those who wait so.
    pub(super) alarm: Notify,
    /// `taken` as it was when first seen unused, and when that was.
    unused: Mutex<Option<(usize, Instant)>>,
}

impl Fleet {
    /// A stream on a connection that has room, and whether a further connection will soon be
    /// needed.
    pub(super) fn reserve(&self) -> Option<(Stream, Arc<Link>, bool)> {
        let links = self.0.load();
        let mut links = links.iter();
        let (stream, link) = links.find_map(|link| Some((link.reserve()?, link)))?;
        let last = link.is_nearly_full() && !links.any(|link| link.has_room());
        Some((stream, Arc::clone(link), last))
    }

    pub(super) fn add(&self, link: &Arc<Link>) {
        self.0.rcu(|all| {
            let mut all = Vec::clone(all);
            all.push(Arc::clone(link));
            all
        });
    }

    pub(super) fn links(&self) -> Arc<Vec<Arc<Link>>> {
        self.0.load_full()
    }

    /// Whether something has come over one of them.
    pub(super) fn heard_since(&self, time: Instant) -> bool {
        let links = self.0.load();
        let mut heard = links.iter().map(|link| link.http2.heard());
        heard.any(|heard| Instant::from_std(heard) > time)
    }

    /// No connection that is open now takes a request any more.
    pub(super) fn retire(&self) {
        for link in self.0.load().iter() {
            link.http2.retire();
        }
    }

    /// Closes what is too old, unused for too long or superfluous, and forgets what is closed.
    /// Gives the time at which there may be more of it.
    pub(super) fn trim(&self, now: Instant, times: &Timeouts) -> Option<Instant> {
        let links = self.0.load_full();
        let mut next = None;
        let mut spare = links.iter().any(|link| link.has_room() && link.is_used());
        for link in links.iter() {
            let idle = if spare { surplus(times) } else { times.idle };
            let due = [
                link.retires,
                link.unused_since(now).and_then(|s| after(s, idle)),
            ];
            let due = due.into_iter().flatten().min();
            match due {
                Some(due) if due <= now => link.http2.retire(),
                Some(due) => next = Some(next.map_or(due, |next: Instant| next.min(due))),
                None => {}
            }
            spare |= link.has_room();
        }
        if links.iter().any(|link| link.is_gone()) {
            self.0.rcu(|all| {
                let left = all.iter().filter(|link| !link.is_gone());
                left.cloned().collect::<Vec<_>>()
            });
        }
        next
    }
}

/// How long a connection is kept that is one more than needed.
fn surplus(times: &Timeouts) -> Duration {
    times.idle / 6
}

fn after(since: Instant, idle: Duration) -> Option<Instant> {
    (idle > Duration::ZERO).then(|| since + idle)
}

impl Link {
    pub(super) fn new(http2: Arc<Http2>, times: &Timeouts) -> Arc<Self> {
        // A tenth more or less, so that those of many kubegates do not go all at once.
        let age = times.max_age.mul_f64(0.9 + 0.2 * crate::jitter::fraction());
        Arc::new(Self {
            http2,
            retires: after(Instant::now(), age),
            taken: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
            alarm: Notify::new(),
            unused: Mutex::new(None),
        })
    }

    /// A stream, where it has room and may be trusted.
    pub(super) fn reserve(&self) -> Option<Stream> {
        if self.is_suspect() {
            return None;
        }
        let stream = self.http2.reserve()?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Some(stream)
    }

    /// The stream that it was opened for.
    pub(super) fn reserve_first(&self) -> Stream {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.http2.reserve_first()
    }

    fn has_room(&self) -> bool {
        !self.is_suspect() && self.http2.has_room()
    }

    fn is_nearly_full(&self) -> bool {
        let limit = self.http2.limit();
        self.http2.in_flight() + limit / 10 >= limit
    }

    fn is_used(&self) -> bool {
        self.http2.in_flight() > 0
    }

    fn is_gone(&self) -> bool {
        !self.http2.is_open() && !self.is_used()
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    /// Requests go another way from now on, those that wait included.
    pub(super) fn suspect(&self) {
        self.suspect.store(true, Ordering::Relaxed);
        self.alarm.notify_waiters();
    }

    /// It lives.
    pub(super) fn trust(&self) {
        self.suspect.store(false, Ordering::Relaxed);
    }

    /// Since when it has been without a stream.
    fn unused_since(&self, now: Instant) -> Option<Instant> {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_used() {
            *unused = None;
            return None;
        }
        let taken = self.taken.load(Ordering::Relaxed);
        match *unused {
            Some((before, since)) if before == taken => Some(since),
            _ => {
                *unused = Some((taken, now));
                Some(now)
            }
        }
    }
}
