//! The connections to one API server under one identity, and how requests travel on them.
//!
//! HTTP/2 where the server offers it: as many connections as the streams in flight need,
//! since a server allows only so many on each (100 on real API servers), and requests that stay
//! open apart from those that are short. Large answers come over HTTP/1.1. Picking a connection
//! waits for nothing; where there is none, see [`Shared`].

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use http::{HeaderValue, Request, Response, Uri};
use tokio::time::Instant;

use super::{
    Error, RequestBody, ResponseBody, Timeouts, TrafficClass, Unanswered,
    body::Answer,
    breaker::Guarded,
    http1::{Exchange, Wire},
    http2::Stream,
    link::Link,
    opening::Connectors,
    shared::Shared,
};
use crate::dial::Connection;

/// How often one request may meet a connection that closed, or a server that refused it, before
/// anything was done with it: as with Go's transport.
const ATTEMPTS: usize = 7;

/// How often one that a server may have begun to serve, and that changes nothing, goes out again:
/// it may be why the connection broke.
const COPIES: usize = 3;

/// Dropped, it lets end what runs, and nothing more begins.
pub(super) struct Pool(pub(super) Arc<Shared>);

impl Pool {
    pub(super) fn new(connectors: Connectors, address: Uri, times: Timeouts) -> Self {
        Self(Shared::new(connectors, address, times))
    }

    /// Sends a request whose URI is absolute and that has no `Host`. It is sent once; only a
    /// request that the server certainly did nothing with goes to another connection, and one
    /// that changes nothing where a connection turned out to be closed or dead.
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
        host: &HeaderValue,
        kind: TrafficClass,
    ) -> Result<Response<ResponseBody>, Error> {
        let asked = Instant::now();
        let uri = request.uri().clone();
        let fault = request.body().fault();
        let (mut attempt, mut copies) = (1, 0);
        loop {
            let mut lease = self.0.lease(kind, asked, request.headers()).await?;
            let unanswered = match lease.send(request, &uri, host).await {
                Ok(response) => {
                    return Ok(response.map(|answer| ResponseBody::pooled(answer, lease)));
                }
                Err(unanswered) => unanswered,
            };
            let copy = unanswered.spare.filter(|_| copies < COPIES);
            copies += usize::from(unanswered.again.is_none());
            match unanswered.again.or(copy) {
                Some(again) if attempt < ATTEMPTS => request = again,
                _ if unanswered.silent => return Err(self.silent(asked)),
                _ => return Err(Error::broken(&self.0.address, &fault, unanswered.error)),
            }
            if matches!(lease, Lease::Http1(_)) {
                // The others that were kept may be closed too.
                self.0.http1.close_idle();
            }
            attempt += 1;
        }
    }

    /// Watches over a connection of an upgrade's own for as long as it lasts.
    pub(super) fn tunnel(&self, connection: Connection) -> (Guarded<Connection>, Arc<Wire>) {
        let tunnel = self.0.http1.tunnel(connection);
        self.0.upkeep.begin(&self.0);
        tunnel
    }

    pub(super) fn silent(&self, asked: Instant) -> Error {
        Error::Unresponsive {
            server: super::server_name(&self.0.address),
            waited: asked.elapsed(),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The right to one exchange on one connection.
pub(super) enum Lease {
    Http2(Ride),
    Http1(Exchange),
}

impl Lease {
    async fn send(
        &mut self,
        request: Request<RequestBody>,
        uri: &Uri,
        host: &HeaderValue,
    ) -> Result<Response<Answer>, Unanswered> {
        match self {
            Self::Http2(ride) => {
                let response = ride.send(request, uri).await?;
                Ok(response.map(Answer::Http2))
            }
            Self::Http1(exchange) => {
                let response = exchange.send(request, uri, host).await?;
                Ok(response.map(Answer::Http1))
            }
        }
    }
}

/// A stream on a connection that is watched over.
pub(super) struct Ride {
    stream: Stream,
    link: Arc<Link>,
}

impl Ride {
    pub(super) fn new(stream: Stream, link: Arc<Link>) -> Self {
        Self { stream, link }
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    async fn send(
        &self,
        request: Request<RequestBody>,
        uri: &Uri,
    ) -> Result<Response<super::http2::Answer>, Unanswered> {
        let alarm = self.link.alarm.notified();
        if self.link.is_suspect() {
            // Since the stream was taken. Nothing was sent.
            let error = io::Error::from(io::ErrorKind::NotConnected);
            return Err(Unanswered::unprocessed(error, request));
        }
        let _waits = Waits::begin(&self.link);
        self.stream.send(request, uri, alarm).await
    }
}

/// A request that waits for the head of its answer, until dropped.
struct Waits<'a>(&'a Link);

impl<'a> Waits<'a> {
    fn begin(link: &'a Link) -> Self {
        link.waiting.fetch_add(1, Ordering::Relaxed);
        Self(link)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
