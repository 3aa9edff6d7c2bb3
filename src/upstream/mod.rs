//! ONE API SERVER: its connections, and what can go wrong with them.
//!
//! [`Upstream`] knows where the server is and whom to trust there. Requests share pooled
//! connections; an upgrade gets an HTTP/1.1 connection of its own, made by the same dialer
//! and checked by the same verifier.

mod attempts;
mod body;
mod breaker;
mod circuit;
mod desk;
mod error;
mod http1;
mod http2;
mod link;
mod opening;
mod pool;
mod shared;
mod timeouts;
mod traffic_class;
mod unanswered;
mod upkeep;

pub use body::{Replay, RequestBody, ResponseBody, ResponseBodyError, TrailerFilter};
pub use error::Error;
pub use timeouts::Timeouts;
pub use traffic_class::TrafficClass;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use http::{
    HeaderValue, Request, Response, Uri,
    header::HOST,
    uri::{Authority, Scheme},
};
use hyper_rustls::HttpsConnector;
use rustls::sign::CertifiedKey;
use tokio::time::Instant;
use tower::Service as _;

use crate::{
    dial::{self, Connection, Dialer, Offer},
    kubeconfig::{self, Cluster},
    tls::{self, Trust},
};
use opening::Connectors;
use pool::Pool;
use unanswered::Unanswered;

/// An API server.
pub struct Upstream {
    server: Arc<Server>,
    anonymous: Arc<Identity>,
    certified: ArcSwapOption<Identity>,
}

/// Where the server is and how to get there: what does not depend on who asks.
struct Server {
    scheme: Scheme,
    authority: Authority,
    /// Scheme, host and an explicit port: what is dialled, also through proxies.
    address: Uri,
    /// What is sent as SNI and checked.
    name: String,
    dialer: Dialer,
    trust: Trust,
    base_path: String,
    host: HeaderValue,
    origin: HeaderValue,
    times: Timeouts,
}

/// The connections made with one client certificate, or with none. They never mix: a
/// certificate is part of a connection's handshake and so of every request on it.
struct Identity {
    certificate: Option<Arc<CertifiedKey>>,
    pool: Pool,
    upgrades: HttpsConnector<Dialer>,
}

impl Upstream {
    /// Makes ready to speak to `cluster`; connects when the first request comes. With
    /// `append_path`, a path in the server's URL is put before every request's.
    ///
    /// # Errors
    /// A server name that no certificate could be checked for.
    pub fn new(
        cluster: &Cluster,
        trust: Trust,
        dialer: Dialer,
        append_path: bool,
        times: Timeouts,
    ) -> Result<Self, dial::Error> {
        let parts = cluster.server.clone().into_parts();
        let scheme = parts.scheme.unwrap_or(Scheme::HTTPS);
        let authority = parts.authority.ok_or_else(|| dial::Error::ServerName {
            name: cluster.server.to_string(),
        })?;
        let base_path = if append_path {
            cluster.server.path().trim_end_matches('/').to_owned()
        } else {
            String::new()
        };
        let invalid = |_| dial::Error::ServerName {
            name: authority.to_string(),
        };
        let host = HeaderValue::try_from(authority.as_str()).map_err(invalid)?;
        let origin = HeaderValue::try_from(format!("{scheme}://{authority}")).map_err(invalid)?;
        let name = cluster
            .tls_server_name
            .clone()
            .unwrap_or_else(|| authority.host().to_owned());
        let server = Server {
            address: address(&cluster.server).map_err(|_| dial::Error::ServerName {
                name: authority.to_string(),
            })?,
            scheme,
            authority,
            name,
            dialer,
            trust,
            base_path,
            host,
            origin,
            times,
        };
        Self::of(Arc::new(server))
    }

    fn of(server: Arc<Server>) -> Result<Self, dial::Error> {
        Ok(Self {
            anonymous: Arc::new(Identity::new(&server, None)?),
            certified: ArcSwapOption::empty(),
            server,
        })
    }

    /// The same API server once more, with connections of its own.
    ///
    /// # Errors
    /// As for [`Upstream::new`].
    pub fn with_own_connections(&self) -> Result<Self, dial::Error> {
        Self::of(Arc::clone(&self.server))
    }

    /// Whether requests travel unencrypted, so that no credential of ours may go with them.
    #[must_use]
    pub fn is_plaintext(&self) -> bool {
        self.server.scheme == Scheme::HTTP
    }

    /// The server's own origin, `https://host:port`.
    #[must_use]
    pub fn origin(&self) -> &HeaderValue {
        &self.server.origin
    }

    /// Sends one request, over a connection made with `certificate` or with none. The
    /// request's URI must be in origin form; its path and query go out byte for byte behind
    /// the server's own path.
    ///
    /// # Errors
    /// No answer. A request is sent again by itself only where nothing of it was sent.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
        certificate: Option<&Arc<CertifiedKey>>,
        kind: TrafficClass,
    ) -> Result<Response<ResponseBody>, Error> {
        let identity = self.identity(certificate)?;
        *request.uri_mut() = self.target(request.uri())?;
        request.headers_mut().remove(HOST);
        identity.pool.send(request, &self.server.host, kind).await
    }

    /// Sends one upgrade request over a connection of its own. On `101` the caller takes the
    /// byte stream with [`hyper::upgrade::on`]; on anything else the connection ends with
    /// the answer's body.
    ///
    /// # Errors
    /// No answer.
    pub async fn upgrade(
        &self,
        mut request: Request<RequestBody>,
        certificate: Option<&Arc<CertifiedKey>>,
    ) -> Result<Response<ResponseBody>, Error> {
        let asked = Instant::now();
        let target = self.target(request.uri())?;
        let identity = self.identity(certificate)?;
        let connection = connect(
            identity.upgrades.clone(),
            &self.server.address,
            self.server.times.connect,
        )
        .await?;
        let fault = request.body().fault();
        let broken = |source: hyper::Error| {
            let source: Arc<dyn std::error::Error + Send + Sync> = if source.is_parse_too_large() {
                let max_headers = http1::MORE_HEADERS;
                Arc::new(http1::HeadTooLarge { max_headers })
            } else {
                Arc::new(source)
            };
            Error::broken(&self.server.address, &fault, source)
        };
        let (connection, wire) = identity.pool.tunnel(connection);
        let (mut sender, driver) = http1::builder(http1::MORE_HEADERS)
            .handshake(connection)
            .await
            .map_err(broken)?;
        tokio::spawn(driver.with_upgrades());
        http1::to_origin_form(&mut request, &target, &self.server.host);
        let response = wire.answer(sender.send_request(request)).await;
        let response = response.ok_or_else(|| identity.pool.silent(asked))?;
        let response = response.map_err(broken)?;
        Ok(response.map(ResponseBody::unpooled))
    }

    /// The connections of one identity; a new certificate begins anew, and what runs on the
    /// old connections ends there.
    fn identity(&self, certificate: Option<&Arc<CertifiedKey>>) -> Result<Arc<Identity>, Error> {
        let Some(certificate) = certificate else {
            return Ok(self.anonymous.clone());
        };
        if let Some(current) = self.certified.load_full()
            && current.is_of(certificate)
        {
            return Ok(current);
        }
        let identity = Identity::new(&self.server, Some(certificate.clone()))
            .map_err(|e| Error::connect(&self.server.address, self.server.times.connect, e))?;
        let identity = Arc::new(identity);
        self.certified.store(Some(identity.clone()));
        Ok(identity)
    }

    /// The path and query as they came, behind the server's own path. Never any other: what
    /// was judged is what is sent.
    fn target(&self, uri: &Uri) -> Result<Uri, Error> {
        let target = Uri::builder()
            .scheme(self.server.scheme.clone())
            .authority(self.server.authority.clone());
        let target = match uri.path_and_query() {
            None => target.path_and_query(format!("{}/", self.server.base_path)),
            Some(path) if self.server.base_path.is_empty() => target.path_and_query(path.clone()),
            Some(path) => target.path_and_query(format!("{}{path}", self.server.base_path)),
        };
        target.build().map_err(|_| Error::PathTooLong)
    }
}

impl Identity {
    fn new(server: &Server, certificate: Option<Arc<CertifiedKey>>) -> Result<Self, dial::Error> {
        let connector = |offer| {
            let config = tls::client_config(&server.trust, certificate.clone());
            dial::connector(server.dialer.clone(), config, &server.name, offer)
        };
        let connectors = Connectors {
            either: connector(Offer::Http2OrHttp1)?,
            http1: connector(Offer::Http1)?,
        };
        Ok(Self {
            upgrades: connectors.http1.clone(),
            pool: Pool::new(connectors, server.address.clone(), server.times),
            certificate,
        })
    }

    fn is_of(&self, certificate: &Arc<CertifiedKey>) -> bool {
        self.certificate
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, certificate))
    }
}

/// Opens a connection: TCP, proxy and TLS.
async fn connect(
    mut connector: HttpsConnector<Dialer>,
    address: &Uri,
    limit: Duration,
) -> Result<Connection, Error> {
    match tokio::time::timeout(limit, connector.call(address.clone())).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(source)) => Err(Error::connect(address, limit, source)),
        Err(_) => Err(Error::ConnectTimeout {
            server: server_name(address),
            limit,
        }),
    }
}

fn address(server: &Uri) -> Result<Uri, http::Error> {
    let (host, port) = (server.host().unwrap_or_default(), kubeconfig::port(server));
    Uri::builder()
        .scheme(server.scheme_str().unwrap_or("https"))
        .authority(format!("{host}:{port}"))
        .path_and_query("/")
        .build()
}

fn server_name(address: &Uri) -> String {
    address
        .authority()
        .map_or_else(String::new, ToString::to_string)
}
