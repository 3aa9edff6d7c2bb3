//! [`Connector`]: makes one connection to the API server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::Connection as _;
use tokio::time::{Instant, timeout};
use tower::Service as _;

use super::{key::PoolKey, protocols::Protocols};
use crate::{
    dial::{self, Dialer},
    tls,
    upstream::{
        error::{Error, server_name},
        http1, http2,
        last_disconnect::LastDisconnect,
        timeouts::Timeouts,
    },
};

/// Opens TCP and TLS, through a proxy where there is one.
#[derive(Clone)]
pub(in crate::upstream) struct Connectors {
    /// Offers HTTP/2, and HTTP/1.1 where the server does not speak it.
    pub(in crate::upstream) either: HttpsConnector<Dialer>,
    /// Offers HTTP/1.1 alone.
    pub(in crate::upstream) http1: HttpsConnector<Dialer>,
}

/// Makes connections to one API server under one identity.
pub(super) struct Connector {
    connectors: Connectors,
    address: Uri,
    timeouts: Timeouts,
    protocols: Arc<Protocols>,
    /// How long the last connection took to be made, in milliseconds.
    last_handshake: AtomicU64,
    last_disconnect: Arc<LastDisconnect>,
}

/// A new connection.
pub(super) enum Connected {
    Http1(http1::Connection),
    Http2(Arc<http2::Connection>),
}

impl Connector {
    pub(super) fn new(
        connectors: Connectors,
        address: Uri,
        timeouts: Timeouts,
        protocols: Arc<Protocols>,
    ) -> Self {
        Self {
            connectors,
            address,
            timeouts,
            protocols,
            last_handshake: AtomicU64::new(0),
            last_disconnect: Arc::default(),
        }
    }

    /// Scheme, host and port of the server.
    pub(super) fn address(&self) -> &Uri {
        &self.address
    }

    /// When the server last closed a connection.
    pub(super) fn last_disconnect(&self) -> Option<Instant> {
        self.last_disconnect.get()
    }

    /// Makes a connection for requests of `key`. One of HTTP/1.1 takes `max_headers` header lines
    /// of a response.
    pub(super) async fn connect(
        &self,
        key: PoolKey,
        max_headers: usize,
    ) -> Result<Connected, Error> {
        let (began, limit) = (Instant::now(), self.timeouts.connect);
        let connected = timeout(limit, self.handshake(key, max_headers)).await;
        let connected = connected.unwrap_or_else(|_| Err(self.timed_out()));
        if connected.is_ok() {
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.last_handshake.store(took, Ordering::Relaxed);
        }
        connected
    }

    async fn handshake(&self, key: PoolKey, max_headers: usize) -> Result<Connected, Error> {
        let connector = match key {
            PoolKey::Http1 if !self.protocols.http1_only() => &self.connectors.http1,
            _ => &self.connectors.either,
        };
        let io = self.open(connector, self.timeouts.connect).await?;
        let last_disconnect = Arc::clone(&self.last_disconnect);
        if io.connected().is_negotiated_h2() {
            let connection = http2::Connection::handshake(io, last_disconnect).await;
            return connection
                .map(Connected::Http2)
                .map_err(|error| self.broken(error));
        }
        if key != PoolKey::Http1 {
            self.protocols.set_http1_only(true);
        }
        let connection = http1::Connection::handshake(io, max_headers, last_disconnect).await;
        connection
            .map(Connected::Http1)
            .map_err(|error| self.broken(error))
    }

    /// Opens TCP and TLS for HTTP/1.1 alone.
    pub(super) async fn open_http1(&self, limit: Duration) -> Result<dial::Connection, Error> {
        self.open(&self.connectors.http1, limit).await
    }

    async fn open(
        &self,
        connector: &HttpsConnector<Dialer>,
        limit: Duration,
    ) -> Result<dial::Connection, Error> {
        let mut connector = connector.clone();
        match timeout(limit, connector.call(self.address.clone())).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(source)) => Err(Error::connect(&self.address, limit, source)),
            Err(_) => Err(Error::ConnectTimeout {
                server: self.server(),
                limit,
            }),
        }
    }

    /// Whether the server answers a handshake, to tell one that is slow from one that is gone.
    pub(super) async fn probe(&self) -> bool {
        // Allows twice the last handshake time, for distant servers.
        let last = Duration::from_millis(self.last_handshake.load(Ordering::Relaxed));
        let limit = (2 * last)
            .min(self.timeouts.connect)
            .max(self.timeouts.ping_timeout);
        // A refusal is an answer too: a server that is being stopped may still finish its work.
        !matches!(
            self.open_http1(limit).await,
            Err(Error::ConnectTimeout { .. } | Error::Unreachable { .. })
        )
    }

    /// Whether the error of an attempt says that the server speaks no HTTP/1.1.
    pub(super) fn refuses_http1(&self, error: &Error) -> bool {
        !self.protocols.http1_only()
            && matches!(error, Error::Connect { source, .. }
                if tls::is_alpn_refusal(source.as_ref()))
    }

    pub(super) fn timed_out(&self) -> Error {
        Error::ConnectTimeout {
            server: self.server(),
            limit: self.timeouts.connect,
        }
    }

    fn broken(&self, error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::broken(&self.address, None, Arc::new(error))
    }

    /// Host and port, as errors name the server.
    pub(super) fn server(&self) -> String {
        server_name(&self.address)
    }
}
