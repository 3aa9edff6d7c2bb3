//! The client of one API server: its connections, and what can go wrong with them.
//!
//! [`Upstream`] knows where the server is and how to verify it. Requests share the connections of a
//! pool. An upgrade gets an HTTP/1.1 connection of its own, which the same dialer makes and the same
//! verifier checks.

mod awaited_heads;
mod body;
mod error;
mod extra_headers;
mod http1;
mod http2;
mod last_disconnect;
mod monitored_io;
mod pool;
mod send_failure;
mod timeouts;
mod traffic_class;

pub use body::{Replay, RequestBody, TrailerFilter};
pub use error::Error;
pub use extra_headers::ExtraHeaders;
pub use pool::{ResponseBody, ResponseBodyError, pool_count};
pub use timeouts::Timeouts;
pub use traffic_class::TrafficClass;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::{
    HeaderMap, HeaderValue, Request, Response, Uri,
    header::HOST,
    uri::{Authority, PathAndQuery, Scheme},
};
use rustls::sign::CertifiedKey;

use crate::{
    dial::{self, Dialer, Offer},
    kubeconfig::{self, Cluster},
    tls::{self, Trust},
};
use pool::{Connectors, Pool};

/// An API server.
pub struct Upstream {
    server: Arc<Server>,
    anonymous: Arc<Identity>,
    certified: ArcSwapOption<Identity>,
    /// What every request gets, the later ones in place of the earlier.
    headers: Arc<[ExtraHeaders]>,
}

/// What is known of the server, for all users alike.
struct Server {
    scheme: Scheme,
    authority: Authority,
    /// Scheme, host and an explicit port, as they are dialled, also through proxies.
    address: Uri,
    /// The name that is sent as SNI and verified.
    name: String,
    dialer: Dialer,
    trust: Trust,
    base_path: String,
    host: HeaderValue,
    origin: HeaderValue,
    timeouts: Timeouts,
}

/// The connections made with one client certificate, or with none. They never mix: a certificate
/// is part of a connection's handshake, and so of every request on it.
struct Identity {
    certificate: Option<Arc<CertifiedKey>>,
    pool: Pool,
}

impl Upstream {
    /// Prepares to send requests to `cluster`. The first request connects. With `append_path`, the
    /// path of the server's URL is put before every request's path.
    ///
    /// # Errors
    /// The server's name is not one that a certificate can be verified for.
    pub fn new(
        cluster: &Cluster,
        trust: Trust,
        dialer: Dialer,
        append_path: bool,
        timeouts: Timeouts,
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
            timeouts,
        };
        Self::of(Arc::new(server), Arc::default())
    }

    /// Adds headers to every request, in place of those that it brings. Over plain http they are not sent.
    #[must_use]
    pub fn with_headers(mut self, headers: Vec<ExtraHeaders>) -> Self {
        if !self.is_plaintext() {
            self.headers = headers.into();
        }
        self
    }

    /// Adds the headers that every request gets.
    pub fn add_headers(&self, headers: &mut HeaderMap) {
        for extra in &*self.headers {
            extra.apply(headers);
        }
    }

    fn of(server: Arc<Server>, headers: Arc<[ExtraHeaders]>) -> Result<Self, dial::Error> {
        Ok(Self {
            anonymous: Arc::new(Identity::new(&server, None)?),
            certified: ArcSwapOption::empty(),
            headers,
            server,
        })
    }

    /// The same API server, with connections of its own.
    ///
    /// # Errors
    /// As for [`Upstream::new`].
    pub fn with_own_connections(&self) -> Result<Self, dial::Error> {
        Self::of(Arc::clone(&self.server), Arc::clone(&self.headers))
    }

    /// Whether requests are sent unencrypted, so that no credential may go with them.
    #[must_use]
    pub fn is_plaintext(&self) -> bool {
        self.server.scheme == Scheme::HTTP
    }

    /// The server's own origin, `https://host:port`.
    #[must_use]
    pub fn origin(&self) -> &HeaderValue {
        &self.server.origin
    }

    /// Sends one request, over a connection made with `certificate` or with none. The request's
    /// URI must be in origin form. Its path and query are sent byte for byte, after the server's
    /// own path.
    ///
    /// # Errors
    /// There was no response. A request is sent again only where the server certainly did not
    /// process it, or where that does no harm.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
        certificate: Option<&Arc<CertifiedKey>>,
        class: TrafficClass,
    ) -> Result<Response<ResponseBody>, Error> {
        let identity = self.identity(certificate)?;
        *request.uri_mut() = self.target(request.uri())?;
        request.headers_mut().remove(HOST);
        identity.pool.send(request, &self.server.host, class).await
    }

    /// Sends one upgrade request over a connection of its own. After a `101` the caller takes the
    /// byte stream with [`hyper::upgrade::on`]. After any other response the connection ends with
    /// the response's body.
    ///
    /// # Errors
    /// There was no response.
    pub async fn upgrade(
        &self,
        request: Request<RequestBody>,
        certificate: Option<&Arc<CertifiedKey>>,
    ) -> Result<Response<ResponseBody>, Error> {
        let target = self.target(request.uri())?;
        let identity = self.identity(certificate)?;
        let host = &self.server.host;
        identity.pool.upgrade(request, &target, host).await
    }

    /// The connections of one identity. A new certificate gets new ones, and the requests under way
    /// on the old ones end there.
    fn identity(&self, certificate: Option<&Arc<CertifiedKey>>) -> Result<Arc<Identity>, Error> {
        let Some(certificate) = certificate else {
            return Ok(self.anonymous.clone());
        };
        if let Some(current) = self.certified.load_full()
            && current.has(certificate)
        {
            return Ok(current);
        }
        let identity = Identity::new(&self.server, Some(certificate.clone()))
            .map_err(|e| Error::connect(&self.server.address, self.server.timeouts.connect, e))?;
        let identity = Arc::new(identity);
        self.certified.store(Some(identity.clone()));
        Ok(identity)
    }

    /// The request's path and query, unchanged, after the server's own path: what was authorized is
    /// what is sent.
    fn target(&self, uri: &Uri) -> Result<Uri, Error> {
        let target = Uri::builder()
            .scheme(self.server.scheme.clone())
            .authority(self.server.authority.clone());
        let path = non_empty_path(uri);
        let target = if self.server.base_path.is_empty() {
            target.path_and_query(path)
        } else {
            target.path_and_query(format!("{}{path}", self.server.base_path))
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
            pool: Pool::new(connectors, server.address.clone(), server.timeouts),
            certificate,
        })
    }

    fn has(&self, certificate: &Arc<CertifiedKey>) -> bool {
        self.certificate
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, certificate))
    }
}

/// Returns the path and query of a request, where an empty path is `/`. `http::Uri` can hold an empty
/// one, which would leave the request line without a target.
fn non_empty_path(uri: &Uri) -> PathAndQuery {
    match uri.path_and_query() {
        // `as_str` shows an empty path as `/`.
        Some(path) if path.as_str() != "/" => path.clone(),
        _ => PathAndQuery::from_static("/"),
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
