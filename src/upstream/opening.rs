//! [`Shared`]: how a pool's connections come about, and who gets them.
//!
//! Requests that find none wait in line; as many are opened as those in the line need, and each
//! goes to who waits first. A task opens them, so that a client that goes away takes nothing
//! from the others. While the server cannot be reached, one task alone tries.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Uri;
use hyper::client::conn::http1::SendRequest;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::Connection as _;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    Error, Kind, RequestBody, Times,
    body::Fault,
    circuit::{Circuit, Verdict},
    connect,
    http1::{Http1, Wire},
    http2::Http2,
    kind::Protocol,
    link::{Fleet, Link},
    pool::{Lease, Ride},
    upkeep::Upkeep,
};
use crate::{dial::Dialer, tls};

/// HTTP/1.1 connections that a pool has busy before large answers travel over HTTP/2 instead.
const MAX_HTTP1: usize = 64;
/// The same where the server speaks nothing else.
const MAX_HTTP1_ALONE: usize = 256;
/// Streams that a server is taken to allow on a connection that is not open yet.
const STREAMS: usize = 100;

/// What makes connections.
#[derive(Clone)]
pub(super) struct Connectors {
    /// HTTP/2, or HTTP/1.1 where the server does not speak it.
    pub(super) either: HttpsConnector<Dialer>,
    /// HTTP/1.1 alone.
    pub(super) http1: HttpsConnector<Dialer>,
}

/// A pool as its tasks see it.
pub(super) struct Shared {
    connectors: Connectors,
    pub(super) address: Uri,
    pub(super) times: Times,
    pub(super) short: Fleet,
    pub(super) long: Fleet,
    pub(super) http1: Http1,
    /// The server chose HTTP/1.1 where it had the choice.
    no_http2: AtomicBool,
    /// The server refused to speak HTTP/1.1.
    no_http1: AtomicBool,
    /// Those in the line for an HTTP/1.1 connection.
    queueing: AtomicUsize,
    desk: Mutex<Desk>,
    /// Wakes the task that looks whether the server is back.
    poke: Notify,
    pub(super) upkeep: Upkeep,
    closed: AtomicBool,
}

/// Which connections a request travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Short,
    Long,
    Http1,
}

const CLASSES: [Class; 3] = [Class::Short, Class::Long, Class::Http1];

#[derive(Default)]
struct Desk {
    lines: [Line; 3],
    circuit: Circuit,
    /// A task looks whether the server is back,
    looking: bool,
    /// and is at it right now.
    attempting: bool,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiter>,
    openings: usize,
}

struct Waiter {
    kind: Kind,
    asked: Instant,
    reply: oneshot::Sender<Result<Lease, Error>>,
}

/// A connection that came about.
enum Opened {
    Http2(Arc<Link>),
    Http1(SendRequest<RequestBody>, Arc<Wire>),
}

impl Shared {
    pub(super) fn new(connectors: Connectors, address: Uri, times: Times) -> Arc<Self> {
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
            closed: AtomicBool::new(false),
        })
    }

    /// A place on a connection. Who asked at `asked` is answered in time for it.
    pub(super) async fn lease(
        self: &Arc<Self>,
        kind: Kind,
        asked: Instant,
    ) -> Result<Lease, Error> {
        self.upkeep.wake(self);
        match self.ready(self.class(kind), kind) {
            Some(lease) => Ok(lease),
            // Boxed, so that a request that finds a connection need not have room for it.
            None => Box::pin(self.wait(kind, asked)).await,
        }
    }

    fn class(&self, kind: Kind) -> Class {
        let class = match kind {
            Kind::Long => Class::Long,
            Kind::Short | Kind::Bulk => Class::Short,
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

    /// Nobody joins a long line for HTTP/1.1 where there is another way.
    fn class_to_wait_for(&self, desk: &mut Desk, kind: Kind) -> Class {
        let class = self.class(kind);
        let crowd = desk.line(class).waiting.len() + self.http1.busy();
        if class == Class::Http1 && crowd >= MAX_HTTP1 && !self.no_http2.load(Ordering::Relaxed) {
            return Class::Short;
        }
        class
    }

    fn fleet(&self, class: Class) -> &Fleet {
        match class {
            Class::Long => &self.long,
            Class::Short | Class::Http1 => &self.short,
        }
    }

    fn ready(self: &Arc<Self>, class: Class, kind: Kind) -> Option<Lease> {
        if class == Class::Http1 {
            return self.http1.take(self, kind).map(Lease::Http1);
        }
        let (stream, link, last) = self.fleet(class).reserve()?;
        if last {
            self.open_ahead(class);
        }
        Some(Lease::Http2(Ride::new(stream, link)))
    }

    async fn wait(self: &Arc<Self>, kind: Kind, asked: Instant) -> Result<Lease, Error> {
        let now = Instant::now();
        let (reply, mut answered) = oneshot::channel();
        {
            let mut desk = self.desk();
            let class = self.class_to_wait_for(&mut desk, kind);
            // What came free or about in the meantime.
            if desk.line(class).waiting.is_empty()
                && let Some(lease) = self.ready_quietly(class, kind)
            {
                return Ok(lease);
            }
            let under_way = desk.attempting;
            if let Verdict::Fail(error) = desk.circuit.ask(now, under_way) {
                return Err(error);
            }
            if desk.circuit.is_down() && !desk.circuit.has_grace(now) {
                self.poke.notify_one();
            }
            let line = desk.line(class);
            line.waiting.retain(|waiter| !waiter.reply.is_closed());
            line.waiting.push_back(Waiter {
                kind,
                asked: now,
                reply,
            });
            self.open_for_line(&mut desk, class);
        }
        // However much of its time is gone, it has some for another way.
        let connect = self.times.connect;
        let mut until = (asked + connect).max(now + connect / 4);
        loop {
            tokio::select! {
                biased;
                answer = &mut answered => return answer.unwrap_or_else(|_| Err(self.timed_out())),
                () = tokio::time::sleep_until(until) => {
                    if !self.is_queue() {
                        return Err(self.timed_out());
                    }
                    until += connect;
                }
            }
        }
    }

    /// As [`Self::ready`], under the desk's lock.
    fn ready_quietly(self: &Arc<Self>, class: Class, kind: Kind) -> Option<Lease> {
        if class == Class::Http1 {
            return self.http1.take(self, kind).map(Lease::Http1);
        }
        let (stream, link, _) = self.fleet(class).reserve()?;
        Some(Lease::Http2(Ride::new(stream, link)))
    }

    /// Whether there is nothing to wait for but that others are done.
    fn is_queue(&self) -> bool {
        let mut desk = self.desk();
        let full = self.http1.busy() >= self.max_http1();
        !desk.circuit.is_down() && desk.line(Class::Http1).openings == 0 && full
    }

    fn timed_out(&self) -> Error {
        Error::ConnectTimeout {
            server: super::server_name(&self.address),
            limit: self.times.connect,
        }
    }

    fn max_http1(&self) -> usize {
        if self.no_http2.load(Ordering::Relaxed) {
            MAX_HTTP1_ALONE
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
            self.serve_http1(&mut desk);
            self.open_for_line(&mut desk, Class::Http1);
        }
    }

    /// A connection more, before it is needed.
    fn open_ahead(self: &Arc<Self>, class: Class) {
        let mut desk = self.desk();
        if desk.line(class).openings == 0 && !desk.circuit.is_down() {
            self.open_one(&mut desk, class);
        }
    }

    fn open_for_line(self: &Arc<Self>, desk: &mut Desk, class: Class) {
        if desk.circuit.is_down() {
            return self.look_for_server(desk, class);
        }
        let line = desk.line(class);
        let waiting = line.waiting.len();
        let needed = if class == Class::Http1 {
            self.queueing.store(waiting, Ordering::Relaxed);
            let long = line.waiting.iter().filter(|w| w.kind == Kind::Long);
            let places = self.max_http1().saturating_sub(self.http1.busy()) + long.count();
            waiting.min(places)
        } else {
            waiting.div_ceil(STREAMS)
        };
        for _ in line.openings..needed {
            self.open_one(desk, class);
        }
    }

    fn open_one(self: &Arc<Self>, desk: &mut Desk, class: Class) {
        desk.line(class).openings += 1;
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let began = Instant::now();
            let opened = shared.open(class).await;
            let mut desk = shared.desk();
            desk.line(class).openings -= 1;
            shared.settle(&mut desk, class, began, opened);
        });
    }

    async fn open(&self, class: Class) -> Result<Opened, Error> {
        let limit = self.times.connect;
        let opening = tokio::time::timeout(limit, self.shake_hands(class));
        opening.await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    async fn shake_hands(&self, class: Class) -> Result<Opened, Error> {
        let connector = match class {
            Class::Http1 if !self.no_http2.load(Ordering::Relaxed) => &self.connectors.http1,
            _ => &self.connectors.either,
        };
        let connection = connect(connector.clone(), &self.address, self.times.connect).await?;
        if connection.connected().is_negotiated_h2() {
            let http2 = Http2::handshake(connection).await;
            let http2 = http2.map_err(|e| self.broken(e))?;
            return Ok(Opened::Http2(Link::new(http2, &self.times)));
        }
        if class != Class::Http1 {
            self.no_http2.store(true, Ordering::Relaxed);
        }
        let (sender, wire) = self
            .http1
            .handshake(connection)
            .await
            .map_err(|e| self.broken(e))?;
        Ok(Opened::Http1(sender, wire))
    }

    fn broken(&self, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::broken(&self.address, &Fault::default(), Arc::new(error))
    }

    /// What came of an attempt is given to those who waited for it.
    fn settle(
        self: &Arc<Self>,
        desk: &mut Desk,
        class: Class,
        began: Instant,
        opened: Result<Opened, Error>,
    ) {
        match opened {
            Ok(opened) => {
                desk.circuit.reached();
                self.serve(desk, class, opened);
                self.upkeep.begin(self);
            }
            Err(error) if class == Class::Http1 && self.refuses_http1(&error) => {
                self.no_http1.store(true, Ordering::Relaxed);
                desk.move_line(Class::Http1, Class::Short);
            }
            Err(error) => {
                let now = Instant::now();
                desk.circuit.failed(now, &error);
                if !desk.circuit.has_grace(now) {
                    desk.fail(began, &error);
                }
                // It may be another server that comes back.
                self.no_http1.store(false, Ordering::Relaxed);
            }
        }
        for class in CLASSES {
            self.open_for_line(desk, class);
        }
    }

    fn refuses_http1(&self, error: &Error) -> bool {
        !self.no_http2.load(Ordering::Relaxed)
            && matches!(error, Error::Connect { source, .. }
                if tls::speaks_none_offered(source.as_ref()))
    }

    fn serve(self: &Arc<Self>, desk: &mut Desk, class: Class, opened: Opened) {
        match opened {
            Opened::Http1(sender, wire) => {
                if self.no_http2.load(Ordering::Relaxed) {
                    desk.move_line(Class::Short, Class::Http1);
                    desk.move_line(Class::Long, Class::Http1);
                }
                self.http1.put(sender, wire);
                self.serve_http1(desk);
            }
            Opened::Http2(link) => {
                self.no_http2.store(false, Ordering::Relaxed);
                // Of a server that spoke HTTP/1.1 alone until now.
                let class = if class == Class::Http1 {
                    Class::Short
                } else {
                    class
                };
                desk.line(class).serve_http2(&link);
                self.fleet(class).add(&link);
            }
        }
    }

    /// Gives idle HTTP/1.1 connections to those who wait for one.
    fn serve_http1(self: &Arc<Self>, desk: &mut Desk) {
        let line = desk.line(Class::Http1);
        while let Some(waiter) = line.waiting.pop_front() {
            if waiter.reply.is_closed() {
                continue;
            }
            let Some(exchange) = self.http1.take(self, waiter.kind) else {
                line.waiting.push_front(waiter);
                break;
            };
            if let Err(Ok(Lease::Http1(exchange))) = waiter.reply.send(Ok(Lease::Http1(exchange))) {
                // Not here: whoever gives a place back needs the desk.
                tokio::spawn(async move { exchange.release() });
            }
        }
        self.queueing.store(line.waiting.len(), Ordering::Relaxed);
    }

    /// Has one task try until the server is back, or nobody asks any more.
    fn look_for_server(self: &Arc<Self>, desk: &mut Desk, class: Class) {
        if desk.looking {
            return;
        }
        desk.looking = true;
        let shared = Arc::clone(self);
        tokio::spawn(async move { shared.attempts(class).await });
    }

    async fn attempts(self: Arc<Self>, mut class: Class) {
        loop {
            let pause = {
                let mut desk = self.desk();
                let pause = desk.pause(Instant::now());
                desk.looking = pause.is_some();
                pause
            };
            let Some(pause) = pause else {
                return;
            };
            if pause > Duration::ZERO {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.poke.notified() => {}
                }
            }
            class = {
                let mut desk = self.desk();
                desk.attempting = true;
                desk.first_line().unwrap_or(class)
            };
            let began = Instant::now();
            let opened = self.open(class).await;
            let mut desk = self.desk();
            desk.attempting = false;
            self.settle(&mut desk, class, began, opened);
        }
    }

    /// Whether a connection can be made, to tell a server that is slow from one that is gone.
    pub(super) async fn lives(&self) -> bool {
        let connecting = connect(
            self.connectors.http1.clone(),
            &self.address,
            self.times.ping_timeout,
        );
        // A refusal is an answer too: a server that is being stopped may still finish its work.
        !matches!(
            connecting.await,
            Err(Error::ConnectTimeout { .. } | Error::Unreachable { .. })
        )
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

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Gives the streams of a new connection to those who wait for one.
    fn serve_http2(&mut self, link: &Arc<Link>) {
        let mut first = true;
        while let Some(waiter) = self.waiting.pop_front() {
            if waiter.reply.is_closed() {
                continue;
            }
            let stream = if std::mem::take(&mut first) {
                Some(link.reserve_first())
            } else {
                link.reserve()
            };
            let Some(stream) = stream else {
                self.waiting.push_front(waiter);
                break;
            };
            // Where nobody waits any more, the lease gives its place back.
            let lease = Lease::Http2(Ride::new(stream, Arc::clone(link)));
            let _ = waiter.reply.send(Ok(lease));
        }
    }
}

impl Desk {
    fn line(&mut self, class: Class) -> &mut Line {
        &mut self.lines[class as usize]
    }

    /// The first line in which somebody waits.
    fn first_line(&self) -> Option<Class> {
        CLASSES
            .into_iter()
            .find(|class| !self.lines[*class as usize].waiting.is_empty())
    }

    fn move_line(&mut self, from: Class, to: Class) {
        let waiting = std::mem::take(&mut self.line(from).waiting);
        self.line(to).waiting.extend(waiting);
    }

    /// Tells those who waited since before `began`, unless something else is under way for them.
    fn fail(&mut self, began: Instant, error: &Error) {
        for line in self.lines.iter_mut().filter(|line| line.openings == 0) {
            let waiting = std::mem::take(&mut line.waiting);
            for waiter in waiting {
                if waiter.asked <= began {
                    // Who does not wait any more need not know.
                    let _ = waiter.reply.send(Err(error.clone()));
                } else {
                    line.waiting.push_back(waiter);
                }
            }
        }
    }

    /// How long until the next attempt; none is needed where nobody waits or asks.
    fn pause(&mut self, now: Instant) -> Option<Duration> {
        if !self.circuit.is_down() {
            return None;
        }
        if self.first_line().is_some() && !self.circuit.has_grace(now) {
            // They asked after the last attempt had begun.
            return Some(self.circuit.soonest(now));
        }
        self.circuit.pause(now, super::jitter())
    }
}
