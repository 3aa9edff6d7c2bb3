//! How a host is reached: TCP, a proxy on the way, and TLS on top.
//!
//! The same [`Dialer`] makes the connections for ordinary requests and for upgrades, so that
//! neither can bypass the proxy or the verifier of the other.

mod environment;
mod error;
mod punycode;
mod read_ahead;

pub use environment::Environment;
pub use error::Error;
pub use read_ahead::ReadAhead;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Uri, header};
use hyper_rustls::{
    FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream,
};
use hyper_util::{
    client::legacy::connect::{
        HttpConnector,
        proxy::{SocksV5, Tunnel},
    },
    rt::TokioIo,
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tower::Service;

use crate::{
    error::BoxError,
    kubeconfig::{Cluster, ProxyScheme, ProxyUrl},
    tls::{self, Refusal, Trust},
};

/// How TCP connections are made, and how they detect that the other end is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// The time limit for one, over all of the host's addresses.
    pub connect_timeout: Duration,
    /// The idle time before TCP keep-alive probes; `None` sends none.
    pub keepalive: Option<Duration>,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            keepalive: None,
        }
    }
}

/// `User-Agent` of the requests that kubegate itself makes.
pub const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("kubegate/", env!("CARGO_PKG_VERSION")));

/// Unanswered keep-alive probes after which a connection is closed.
const KEEPALIVE_PROBES: u32 = 3;

/// What a [`Dialer`] yields: plain TCP, or a tunnel inside of TLS to a proxy.
pub type Stream = ReadAhead<MaybeHttpsStream<TokioIo<TcpStream>>>;

/// What [`connector`] yields: a [`Stream`], or TLS to the server over it.
pub type Connection = MaybeHttpsStream<Stream>;

/// Opens byte streams to hosts, through a proxy where there is one. It has no `Debug`, since it
/// holds the proxy's password.
#[derive(Clone)]
pub struct Dialer(Route);

#[derive(Clone)]
enum Route {
    Direct(HttpConnector),
    Connect {
        tunnel: Tunnel<HttpsConnector<HttpConnector>>,
        proxy: Arc<str>,
    },
    Socks {
        socks: SocksV5<HttpConnector>,
        proxy: Arc<str>,
    },
}

impl Dialer {
    /// The dialer for a cluster. The cluster's `proxy-url` takes precedence over the environment.
    pub fn new(cluster: &Cluster, environment: &Environment, tcp: Tcp) -> Result<Self, Error> {
        let proxy = cluster.proxy_url.as_ref();
        Self::to(&cluster.server, proxy, environment, tcp)
    }

    /// The dialer for any server. `proxy` takes precedence over the environment.
    pub fn to(
        server: &Uri,
        proxy: Option<&ProxyUrl>,
        environment: &Environment,
        tcp: Tcp,
    ) -> Result<Self, Error> {
        let tcp = tcp.connector();
        let proxy = match proxy {
            Some(proxy) => Some(proxy.clone()),
            None => environment.proxy_for(server)?,
        };
        match proxy {
            Some(proxy) => Self::through(&proxy, tcp),
            None => Ok(Self(Route::Direct(tcp))),
        }
    }

    fn through(proxy: &ProxyUrl, tcp: HttpConnector) -> Result<Self, Error> {
        let name: Arc<str> = proxy.address().into();
        let invalid = || Error::ServerName {
            name: proxy.host.clone(),
        };
        let scheme = match proxy.scheme {
            ProxyScheme::Https => "https",
            ProxyScheme::Http | ProxyScheme::Socks5 => "http",
        };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(name.as_ref())
            .path_and_query("/")
            .build()
            .map_err(|_| invalid())?;
        if proxy.scheme == ProxyScheme::Socks5 {
            let mut socks = SocksV5::new(uri, tcp).local_dns(false);
            if let Some((user, password)) = &proxy.credentials {
                socks = socks.with_auth(user.clone(), password.expose().to_owned());
            }
            return Ok(Self(Route::Socks { socks, proxy: name }));
        }
        // The proxy is verified against the system's roots. The cluster's CA, client certificate
        // and server name are not used for it.
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(&Trust::system(), None))
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let agent = HeaderMap::from_iter([(header::USER_AGENT, USER_AGENT)]);
        let mut tunnel = Tunnel::new(uri, connector).with_headers(agent);
        if let Some((user, password)) = &proxy.credentials {
            tunnel = tunnel.with_auth(basic(user, password.expose()).ok_or_else(invalid)?);
        }
        Ok(Self(Route::Connect {
            tunnel,
            proxy: name,
        }))
    }
}

impl Tcp {
    fn connector(self) -> HttpConnector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(self.connect_timeout));
        if let Some(idle) = self.keepalive {
            // Systems count in whole seconds and do not accept zero.
            let interval = (idle / KEEPALIVE_PROBES).max(Duration::from_secs(1));
            tcp.set_keepalive(Some(idle.max(Duration::from_secs(1))));
            tcp.set_keepalive_interval(Some(interval));
            tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
        }
        // TCP_USER_TIMEOUT is not set: with it Linux also closes connections whose other end
        // acknowledges everything but reads nothing for a while.
        tcp
    }
}

impl Service<Uri> for Dialer {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, host: Uri) -> Self::Future {
        match &mut self.0 {
            Route::Direct(tcp) => {
                let connecting = tcp.call(host);
                Box::pin(
                    async move { Ok(ReadAhead::new(MaybeHttpsStream::Http(connecting.await?))) },
                )
            }
            Route::Connect { tunnel, proxy } => {
                let (connecting, proxy) = (tunnel.call(host), proxy.clone());
                Box::pin(async move {
                    let stream = connecting.await.map_err(|e| via(&proxy, e))?;
                    Ok(ReadAhead::new(stream))
                })
            }
            Route::Socks { socks, proxy } => {
                let (connecting, proxy) = (socks.call(host), proxy.clone());
                Box::pin(async move {
                    let stream = connecting.await.map_err(|e| via(&proxy, e))?;
                    Ok(ReadAhead::new(MaybeHttpsStream::Http(stream)))
                })
            }
        }
    }
}

/// Which protocols to offer to the server (ALPN).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/2 first, HTTP/1.1 where the server does not speak it.
    Http2OrHttp1,
    /// HTTP/1.1 alone, which upgrades need.
    Http1,
}

/// Puts TLS on top of `dialer`. `server_name` is sent as SNI, unless it is an IP address (RFC 6066
/// section 3), and is the name that the certificate must be valid for. A URL of scheme `http` gets
/// no TLS.
pub fn connector(
    dialer: Dialer,
    config: ClientConfig,
    server_name: &str,
    offer: Offer,
) -> Result<HttpsConnector<Dialer>, Error> {
    let bare = server_name.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| Error::ServerName {
        name: server_name.to_owned(),
    })?;
    let builder = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .with_server_name_resolver(FixedServerNameResolver::new(name));
    Ok(match offer {
        Offer::Http2OrHttp1 => builder.enable_all_versions().wrap_connector(dialer),
        Offer::Http1 => builder.enable_http1().wrap_connector(dialer),
    })
}

/// An error that names the proxy and keeps its source.
#[derive(Debug, thiserror::Error)]
#[error("through proxy {proxy}")]
struct Via {
    proxy: String,
    source: BoxError,
}

/// The proxy's certificate was refused. The refusal is not the error's `source`, so that it is not
/// mistaken for one of the API server's certificate, which was not received yet.
#[derive(Debug, thiserror::Error)]
#[error(
    "the proxy's own certificate was refused (a proxy is checked by this system's CA \
     certificates and the name in its URL, not by certificate-authority or tls-server-name): \
     {refusal}"
)]
struct UntrustedProxy {
    refusal: Refusal,
}

fn via(proxy: &str, source: impl Into<BoxError>) -> BoxError {
    let mut source: BoxError = source.into();
    if let Some(refusal) = tls::refusal(source.as_ref()).cloned() {
        source = UntrustedProxy { refusal }.into();
    } else if let Some(failure) = tls::tls_error(source.as_ref()) {
        source = failure.into();
    }
    Box::new(Via {
        proxy: proxy.to_owned(),
        source,
    })
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!(
        "Basic {}",
        STANDARD.encode(format!("{user}:{password}"))
    ))
    .ok()?;
    value.set_sensitive(true);
    Some(value)
}
