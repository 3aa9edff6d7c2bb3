//! The connections to one API server under one identity.
//!
//! HTTP/2 where the server offers it: as many connections as the streams in flight need,
//! since a server allows only so many on each (100 on real API servers). Otherwise HTTP/1.1
//! with keep-alive. Picking a connection takes no lock; opening one does, so that a burst
//! at start opens one and not one each.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
use http::{HeaderValue, Request, Response, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::Connection as _;

use super::{
    Error, RequestBody, ResponseBody, Times, Unanswered,
    body::{Answer, Fault},
    connect,
    http1::{Exchange, Idle},
    http2::{Http2, Stream},
};
use crate::dial::Dialer;

/// How often one request may meet a connection that closed, or a server that refused it, before
/// anything was done with it: as with Go's transport.
const ATTEMPTS: usize = 7;

pub(super) struct Pool {
    connector: HttpsConnector<Dialer>,
    address: Uri,
    times: Times,
    http2: ArcSwap<Vec<Arc<Http2>>>,
    /// Set once the server has chosen HTTP/1.1.
    speaks_http1: AtomicBool,
    http1: Arc<Idle>,
    opening: tokio::sync::Mutex<Option<Failure>>,
}

/// The last attempt to open a connection, for those who waited for it.
struct Failure {
    at: Instant,
    error: Error,
}

impl Pool {
    pub(super) fn new(connector: HttpsConnector<Dialer>, address: Uri, times: Times) -> Self {
        Self {
            connector,
            address,
            times,
            http2: ArcSwap::default(),
            speaks_http1: AtomicBool::default(),
            http1: Arc::default(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// Sends a request whose URI is absolute and that has no `Host`. It is sent once; only a
    /// request that the server certainly did nothing with goes to another connection, and one
    /// that changes nothing where a kept connection turned out to be closed.
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
        host: &HeaderValue,
    ) -> Result<Response<ResponseBody>, Error> {
        let uri = request.uri().clone();
        let fault = request.body().fault();
        let mut lease = self.lease().await?;
        let mut attempt = 1;
        loop {
            let spare = lease.spare(&request);
            match lease.send(request, &uri, host).await {
                Ok(response) => {
                    return Ok(response.map(|body| ResponseBody::pooled(body, lease)));
                }
                Err(Unanswered { error, again }) => match again.or(spare) {
                    Some(again) if attempt < ATTEMPTS => request = again,
                    _ => return Err(Error::broken(&self.address, &fault, error)),
                },
            }
            attempt += 1;
            lease = match lease {
                Lease::Http2(_) => self.lease().await?,
                // The others that were kept may be closed too.
                Lease::Http1(_) => self.open().await?,
            };
        }
    }

    async fn lease(&self) -> Result<Lease, Error> {
        if let Some(lease) = self.ready() {
            return Ok(lease);
        }
        if self.speaks_http1.load(Ordering::Relaxed) {
            return self.open().await;
        }
        let asked = Instant::now();
        let mut last = self.opening.lock().await;
        if let Some(lease) = self.ready() {
            return Ok(lease);
        }
        if let Some(failure) = last.as_ref().filter(|failure| failure.at >= asked) {
            return Err(failure.error.clone());
        }
        let opened = self.open().await;
        *last = opened.as_ref().err().map(|error| Failure {
            at: Instant::now(),
            error: error.clone(),
        });
        opened
    }

    /// A lease on a connection that is open and has room.
    fn ready(&self) -> Option<Lease> {
        let http2 = self.http2.load();
        if let Some(stream) = http2.iter().find_map(Http2::reserve) {
            return Some(Lease::Http2(stream));
        }
        if http2.is_empty() && self.speaks_http1.load(Ordering::Relaxed) {
            return self.http1.take().map(Lease::Http1);
        }
        None
    }

    /// Boxed, so that a request that finds a connection need not have room for a handshake.
    fn open(&self) -> Pin<Box<dyn Future<Output = Result<Lease, Error>> + Send + '_>> {
        Box::pin(self.connect())
    }

    async fn connect(&self) -> Result<Lease, Error> {
        let broken = |e| Error::broken(&self.address, &Fault::default(), e);
        let connection = connect(self.connector.clone(), &self.address, self.times.connect).await?;
        if !connection.connected().is_negotiated_h2() {
            let exchange = Exchange::handshake(connection, Arc::clone(&self.http1)).await;
            self.speaks_http1.store(true, Ordering::Relaxed);
            return exchange.map(Lease::Http1).map_err(|e| broken(Arc::new(e)));
        }
        let opened = Http2::handshake(connection)
            .await
            .map_err(|e| broken(Arc::new(e)))?;
        let stream = opened.reserve_first();
        self.http2.rcu(|all| {
            let open = all.iter().filter(|c| c.is_open()).cloned();
            open.chain([Arc::clone(&opened)]).collect::<Vec<_>>()
        });
        Ok(Lease::Http2(stream))
    }
}

/// The right to one exchange on one connection.
pub(super) enum Lease {
    Http2(Stream),
    Http1(Exchange),
}

impl Lease {
    /// A copy to send again where the connection may turn out to be closed.
    fn spare(&self, request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
        match self {
            Self::Http2(_) => None,
            Self::Http1(exchange) => exchange.spare(request),
        }
    }

    async fn send(
        &mut self,
        request: Request<RequestBody>,
        uri: &Uri,
        host: &HeaderValue,
    ) -> Result<Response<Answer>, Unanswered> {
        match self {
            Self::Http2(stream) => {
                let response = stream.send(request, uri).await?;
                Ok(response.map(Answer::Http2))
            }
            Self::Http1(exchange) => {
                let response = exchange.send(request, uri, host).await?;
                Ok(response.map(Answer::Http1))
            }
        }
    }
}
