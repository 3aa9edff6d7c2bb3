//! An HTTPS server with an authority of its own, which can be told to fail: what the issuers of
//! the demo stand on.

mod faults;
pub(crate) mod messages;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use crate::demo::request_body::RequestBody;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use tokio_util::sync::CancellationToken;

pub use self::faults::{Faults, RetryAfter, SECRET, Wrong};
use super::{
    Error,
    certificates::Authority,
    server::{self, Server, Service},
};
use crate::demo::{kubernetes::encoding::response, server::Body};

/// Bytes that a request may have.
const LIMIT: usize = 1 << 20;

/// A running server. It stops, and cuts every connection, when dropped.
#[derive(Debug)]
pub struct Host {
    address: SocketAddr,
    ca_pem: String,
    book: Arc<Book>,
    stop: CancellationToken,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// What it was answered; `None` as long as it is not, or where it was cut.
    pub status: Option<StatusCode>,
}

#[derive(Debug, Default)]
struct Book {
    connections: AtomicUsize,
    requests: Mutex<Vec<Seen>>,
}

impl Host {
    /// Starts on a random port of 127.0.0.1, by TLS with a CA of its own and a certificate for
    /// localhost, 127.0.0.1, `::1` and the DNS names given.
    ///
    /// `handler` gets each request, whose URI begins with this host's own URL, and the time as
    /// this host sees it.
    ///
    /// # Errors
    /// No port, or a name that cannot stand in a certificate.
    pub async fn start(
        names: &[&str],
        faults: Faults,
        handler: impl Fn(Request<Bytes>, SystemTime) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let authority = Authority::generate().map_err(Error::Certificates)?;
        Self::start_under(&authority, names, faults, handler).await
    }

    /// As [`Self::start`], with a certificate of `authority`.
    pub(crate) async fn start_under(
        authority: &Authority,
        names: &[&str],
        faults: Faults,
        handler: impl Fn(Request<Bytes>, SystemTime) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let acceptor = server::acceptor(authority, names)?;
        let (listener, address) = server::listen().await?;
        let book = Arc::<Book>::default();
        let desk = Arc::new(Desk {
            address,
            faults,
            handler,
            book: book.clone(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(Server::new(acceptor, desk).run(listener, stop.clone()));
        Ok(Self {
            address,
            ca_pem: authority.ca_pem().to_owned(),
            book,
            stop,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, by IP address, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The CA to verify it with, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Every request so far, in the order they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.book.requests().clone()
    }

    /// How many requests to `path` came so far.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        let requests = self.book.requests();
        requests.iter().filter(|seen| seen.path == path).count()
    }

    /// How many connections were made so far, those that were reset included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.book.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Book {
    fn requests(&self) -> std::sync::MutexGuard<'_, Vec<Seen>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request and gives its place.
    fn note(&self, request: &Request<Bytes>) -> usize {
        let mut requests = self.requests();
        requests.push(Seen {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            status: None,
        });
        requests.len() - 1
    }
}

/// Where requests are taken.
struct Desk<H> {
    address: SocketAddr,
    faults: Faults,
    handler: H,
    book: Arc<Book>,
}

impl<H> Service for Desk<H>
where
    H: Fn(Request<Bytes>, SystemTime) -> Response<Bytes> + Send + Sync + 'static,
{
    fn admits(&self) -> bool {
        self.book.connections.fetch_add(1, Ordering::Relaxed);
        !self.faults.is_down()
    }

    async fn answer(self: Arc<Self>, request: Request<RequestBody>) -> Option<Response<Body>> {
        let request = whole(request, self.address).await?;
        let place = self.book.note(&request);
        let response = self.faults.meet(request, &self.handler).await?;
        self.book.requests()[place].status = Some(response.status());
        let mut response = response.map(response::body);
        if let Some(date) = date(self.faults.now()) {
            response.headers_mut().insert(header::DATE, date);
        }
        Some(response)
    }
}

/// The request with all of its body and a URI that begins with `https://address`.
async fn whole(request: Request<RequestBody>, address: SocketAddr) -> Option<Request<Bytes>> {
    let (mut head, body) = request.into_parts();
    let body = Limited::new(body, LIMIT).collect().await.ok()?.to_bytes();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = format!("https://{address}{path}").parse::<Uri>().ok()?;
    Some(Request::from_parts(head, body))
}

fn date(now: SystemTime) -> Option<HeaderValue> {
    let now = Timestamp::try_from(now).ok()?;
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
    HeaderValue::try_from(text.ok()?).ok()
}

#[cfg(test)]
mod tests;
