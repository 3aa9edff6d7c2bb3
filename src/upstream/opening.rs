//! How a pool's connections come about, and who gets them.
//!
//! As many are opened as those who wait need, and each goes to who waits first. A task opens
//! them, so that a client that goes away takes nothing from the others.

use std::sync::{Arc, atomic::Ordering};

use hyper::client::conn::http1::SendRequest;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::Connection as _;
use tokio::time::Instant;

use super::{
    Error, TrafficClass,
    body::Fault,
    connect,
    desk::{CLASSES, Class, Desk},
    http1::{Pieces, Wire},
    http2::Http2,
    link::Link,
    pool::{Lease, Ride},
    shared::Shared,
};
use crate::{dial::Dialer, tls};

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

/// A connection that came about.
pub(super) enum Opened {
    Http2(Arc<Link>),
    Http1(SendRequest<Pieces>, Arc<Wire>),
}

impl Shared {
    /// A connection more, before it is needed.
    pub(super) fn open_ahead(self: &Arc<Self>, class: Class) {
        let mut desk = self.desk();
        if desk.line(class).openings == 0 && !desk.circuit.is_down() {
            self.open_one(&mut desk, class);
        }
    }

    pub(super) fn open_for_line(self: &Arc<Self>, desk: &mut Desk, class: Class) {
        if desk.circuit.is_down() {
            return self.look_for_server(desk, class);
        }
        if class == Class::Http1 {
            self.count_queueing(desk);
        }
        let line = desk.line(class);
        let waiting = line.waiting.len();
        let needed = if class == Class::Http1 {
            let long = line.waiting.iter().filter(|w| w.kind == TrafficClass::Long);
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

    pub(super) async fn open(&self, class: Class) -> Result<Opened, Error> {
        let (began, limit) = (Instant::now(), self.times.connect);
        let opening = tokio::time::timeout(limit, self.shake_hands(class));
        let opened = opening.await.unwrap_or_else(|_| Err(self.timed_out()));
        if opened.is_ok() {
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.handshake.store(took, Ordering::Relaxed);
        }
        opened
    }

    async fn shake_hands(&self, class: Class) -> Result<Opened, Error> {
        let connector = match class {
            Class::Http1 if !self.no_http2.load(Ordering::Relaxed) => &self.connectors.http1,
            _ => &self.connectors.either,
        };
        let connection = connect(connector.clone(), &self.address, self.times.connect).await?;
        if connection.connected().is_negotiated_h2() {
            let http2 = Http2::handshake(connection, Arc::clone(&self.last_loss)).await;
            let http2 = http2.map_err(|e| self.broken(e))?;
            return Ok(Opened::Http2(Link::new(http2, &self.times)));
        }
        if class != Class::Http1 {
            self.no_http2.store(true, Ordering::Relaxed);
        }
        let (sender, wire) = self
            .http1
            .handshake(connection, Arc::clone(&self.last_loss))
            .await
            .map_err(|e| self.broken(e))?;
        Ok(Opened::Http1(sender, wire))
    }

    fn broken(&self, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::broken(&self.address, &Fault::default(), Arc::new(error))
    }

    /// What came of an attempt is given to those who waited for it.
    pub(super) fn settle(
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
                if self.is_closed() {
                    self.start_afresh();
                }
            }
            Err(error) if class == Class::Http1 && self.refuses_http1(&error) => {
                self.no_http1.store(true, Ordering::Relaxed);
                desk.move_line(Class::Http1, Class::Short);
            }
            Err(error) => {
                let now = Instant::now();
                desk.circuit.failed(now, &error, self.last_loss.get());
                self.make_do(desk);
                if !desk.circuit.has_grace(now) {
                    desk.fail(began, &error);
                }
                // It may be another server that comes back.
                self.no_http1.store(false, Ordering::Relaxed);
            }
        }
        self.admit_held_back(desk);
        for class in CLASSES {
            self.open_for_line(desk, class);
        }
    }

    /// A server that takes no more connections may have room on those that it has: large answers
    /// come over HTTP/2 then.
    fn make_do(&self, desk: &mut Desk) {
        let waiting = &mut desk.line(Class::Http1).waiting;
        while let Some(waiter) = waiting.pop_front() {
            let Some((stream, link, _)) = self.short.reserve() else {
                waiting.push_front(waiter);
                break;
            };
            // Where nobody waits any more, the lease gives its place back.
            let _ = waiter.reply.send(Ok(Lease::Http2(Ride::new(stream, link))));
        }
        self.count_queueing(desk);
    }

    fn refuses_http1(&self, error: &Error) -> bool {
        !self.no_http2.load(Ordering::Relaxed)
            && matches!(error, Error::Connect { source, .. }
                if tls::is_alpn_refusal(source.as_ref()))
    }

    fn serve(self: &Arc<Self>, desk: &mut Desk, class: Class, opened: Opened) {
        match opened {
            Opened::Http1(sender, wire) => {
                if self.no_http2.load(Ordering::Relaxed) {
                    let late = desk.move_line(Class::Short, Class::Http1)
                        + desk.move_line(Class::Long, Class::Http1);
                    if late > 0 {
                        self.keep_to_shares(desk);
                    }
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
    pub(super) fn serve_http1(self: &Arc<Self>, desk: &mut Desk) {
        let line = desk.line(Class::Http1);
        while let Some(waiter) = line.waiting.pop_front() {
            if waiter.reply.is_closed() {
                continue;
            }
            let Some(exchange) = self.http1.take(self, waiter.kind) else {
                line.waiting.push_front(waiter);
                break;
            };
            // Now, as others are let into the line by how many each client has.
            exchange.count_for(waiter.client.as_ref());
            if let Err(Ok(Lease::Http1(exchange))) = waiter.reply.send(Ok(Lease::Http1(exchange))) {
                // Not here: whoever gives a place back needs the desk.
                tokio::spawn(async move { exchange.release() });
            }
        }
        self.count_queueing(desk);
    }
}
