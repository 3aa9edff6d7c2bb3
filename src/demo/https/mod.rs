//! An HTTPS server with a CA of its own that can be told to fail. The demo's issuers, the
//! services of its IBM Cloud and its image registry run on it.

mod faults;
pub(crate) mod message;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header, request};
use http_body_util::{BodyExt as _, Limited};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use tokio_util::sync::CancellationToken;

pub use self::faults::{Faults, FaultyResponse, QUOTED_SECRET, RetryAfter};
use crate::demo::{
    certificates::Authority,
    error::Error,
    request_body::RequestBody,
    server::{self, Body, Server, Service},
};

/// The largest body of a request, in bytes.
const BODY_LIMIT: usize = 1 << 20;

/// A running server. Dropping it stops it and cuts every connection.
#[derive(Debug)]
pub struct HttpsServer {
    address: SocketAddr,
    ca_pem: String,
    log: Arc<RequestLog>,
    stop: CancellationToken,
}

/// A request that the server received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// Its `User-Agent`.
    pub user_agent: Option<String>,
    /// Whether it has an `Authorization` header.
    pub is_authorized: bool,
    /// The status of the response; `None` until there is one, and where the connection was cut.
    pub status: Option<StatusCode>,
}

#[derive(Debug, Default)]
struct RequestLog {
    connections: AtomicUsize,
    requests: Mutex<Vec<ReceivedRequest>>,
}

impl HttpsServer {
    /// Starts on a random port of 127.0.0.1. The certificate is issued by a new CA and is valid
    /// for localhost, 127.0.0.1, `::1` and `dns_names`.
    ///
    /// `handler` gets each request with an absolute URI, and the time by this server's clock,
    /// which [`Faults`] can skew.
    ///
    /// # Errors
    /// No port could be bound, or a name cannot be part of a certificate.
    pub async fn start(
        dns_names: &[&str],
        faults: Faults,
        handler: impl Fn(Request<Bytes>, SystemTime) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let authority = Authority::generate().map_err(Error::Certificates)?;
        Self::start_with_authority(&authority, dns_names, faults, handler).await
    }

    /// Like [`Self::start`], with a certificate issued by `authority`.
    pub(crate) async fn start_with_authority(
        authority: &Authority,
        dns_names: &[&str],
        faults: Faults,
        handler: impl Fn(Request<Bytes>, SystemTime) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let acceptor = server::acceptor(authority, dns_names)?;
        let (listener, address) = server::listen().await?;
        let log = Arc::<RequestLog>::default();
        let service = Arc::new(FaultyService {
            address,
            faults,
            handler,
            log: log.clone(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(Server::new(acceptor, service).run(listener, stop.clone()));
        Ok(Self {
            address,
            ca_pem: authority.ca_pem().to_owned(),
            log,
            stop,
        })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL by IP address, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate of the CA that issued its certificate, in PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The requests received so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.log.requests().clone()
    }

    /// How many requests to `path` were received so far.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        let requests = self.log.requests();
        requests
            .iter()
            .filter(|request| request.path == path)
            .count()
    }

    /// How many connections were accepted so far, including those that were reset at once.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.log.connections.load(Ordering::Relaxed)
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl RequestLog {
    fn requests(&self) -> std::sync::MutexGuard<'_, Vec<ReceivedRequest>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request and returns its index.
    fn add(&self, request: &Request<Bytes>) -> usize {
        let agent = request.headers().get(header::USER_AGENT);
        let mut requests = self.requests();
        requests.push(ReceivedRequest {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            user_agent: agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned()),
            is_authorized: request.headers().contains_key(header::AUTHORIZATION),
            status: None,
        });
        requests.len() - 1
    }
}

/// Passes requests to a handler, subject to faults.
struct FaultyService<H> {
    address: SocketAddr,
    faults: Faults,
    handler: H,
    log: Arc<RequestLog>,
}

impl<H> Service for FaultyService<H>
where
    H: Fn(Request<Bytes>, SystemTime) -> Response<Bytes> + Send + Sync + 'static,
{
    fn accepts_connection(&self) -> bool {
        self.log.connections.fetch_add(1, Ordering::Relaxed);
        !self.faults.resets_connections()
    }

    async fn respond(self: Arc<Self>, request: Request<RequestBody>) -> Option<Response<Body>> {
        let request = collect(request, self.address).await?;
        let index = self.log.add(&request);
        let response = self.faults.apply(request, &self.handler).await?;
        self.log.requests()[index].status = Some(response.status());
        let mut response = response.map(server::full_body);
        if let Some(date) = http_date(self.faults.now()) {
            response.headers_mut().insert(header::DATE, date);
        }
        Some(response)
    }
}

/// Reads the whole body and makes the URI absolute.
async fn collect(request: Request<RequestBody>, address: SocketAddr) -> Option<Request<Bytes>> {
    let (mut head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.ok()?;
    let authority = authority(&head).unwrap_or_else(|| address.to_string());
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = format!("https://{authority}{path}").parse::<Uri>().ok()?;
    Some(Request::from_parts(head, body.to_bytes()))
}

/// The host and port that the client asked for: `:authority` in HTTP/2, `Host` in HTTP/1.1.
fn authority(head: &request::Parts) -> Option<String> {
    if let Some(authority) = head.uri.authority() {
        return Some(authority.as_str().to_owned());
    }
    let host = head.headers.get(header::HOST)?;
    host.to_str().ok().map(str::to_owned)
}

fn http_date(now: SystemTime) -> Option<HeaderValue> {
    let now = Timestamp::try_from(now).ok()?;
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
    HeaderValue::try_from(text.ok()?).ok()
}

#[cfg(test)]
mod tests;
