//! An embedded control plane to try kubegate against and to test it against.
//!
//! It is a Kubernetes API server in miniature: real TLS, real HTTP/2 and HTTP/1.1, bearer
//! tokens that expire, discovery, `OpenAPI`, a store with resource versions and watches.
//! Nothing runs behind it: pods are pretended, deployments are always rolled out.
//!
//! The path of a request: `server` -> `router` -> `authentication` -> `route` -> then
//! one of `read`, `watch`, `write`, `review`, `discovery`, `openapi` or
//! `pod_streams`. What kinds there are is written once, in `resources`.

mod age;
mod apply;
mod authentication;
mod body;
mod certificates;
mod columns;
mod defaults;
mod delete;
mod discovery;
mod fields;
mod handshake;
mod identity;
mod object;
mod openapi;
mod ownership;
mod patch;
mod pod_streams;
mod probes;
mod protobuf;
mod query;
mod read;
mod resources;
mod respond;
mod review;
mod route;
mod router;
mod scale;
mod seed;
mod selector;
mod server;
mod status;
mod store;
mod strategic;
mod table;
mod tokens;
mod validate;
mod view;
mod watch;
mod watch_socket;
mod write;

#[cfg(test)]
mod tests;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{
    authentication::Authentication, certificates::Authority, router::Plane, store::Store,
    tokens::Tokens,
};
use crate::{secret::Secret, tls};

/// The body of every answer of the control plane.
pub type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, io::Error>;

/// How the control plane behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a token from [`ControlPlane::token`] is valid. 30 s by default.
    pub token_ttl: Duration,
    /// HTTP/2 streams that one connection may have open at once; 100 as real servers.
    pub max_concurrent_streams: u32,
    /// Whether HTTP/2 is offered in ALPN.
    pub http2: bool,
    /// How often a quiet watch gets a `BOOKMARK`, if it asked for them. 60 s by default.
    pub bookmark_interval: Duration,
    /// How many past changes a watch may start from before it gets `410 Expired`.
    pub history: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token_ttl: Duration::from_secs(30),
            max_concurrent_streams: 100,
            http2: true,
            bookmark_interval: Duration::from_secs(60),
            history: 10_000,
        }
    }
}

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No loopback port could be had.
    #[error("cannot listen on {address}")]
    Bind {
        /// Where it tried to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificates made on the spot were refused.
    #[error("cannot make the control plane's certificates")]
    Certificates(#[source] rcgen::Error),
    /// The TLS settings were refused.
    #[error("cannot set up the control plane's TLS")]
    Tls(#[source] tls::Error),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// TCP connections accepted.
    pub connections: u64,
    /// Requests received, refused ones included.
    pub requests: u64,
    /// Requests answered with 401.
    pub unauthorized: u64,
    /// Watches open now, over HTTP and WebSocket.
    pub open_watches: u64,
}

/// A running control plane. It stops when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    plane: Arc<Plane>,
    authority: Authority,
    address: SocketAddr,
    stop: CancellationToken,
}

impl ControlPlane {
    /// Starts on a random port of 127.0.0.1, with a CA and a certificate made on the spot.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let authority = Authority::generate().map_err(Error::Certificates)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bind = |source| Error::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;

        let tokens = Tokens::new(options.token_ttl).map_err(|_| Error::Random)?;
        let store = Store::new(options.history);
        seed::fill(&store);
        let stop = CancellationToken::new();
        let plane = Arc::new(Plane::new(
            store,
            Authentication::new(tokens),
            address,
            options.bookmark_interval,
            stop.clone(),
        ));
        let acceptor = server::acceptor(&authority, options.http2).map_err(Error::Tls)?;
        let server = server::Server::new(acceptor, options.max_concurrent_streams, plane.clone());
        tokio::spawn(server.run(listener, stop.clone()));
        Ok(Self {
            plane,
            authority,
            address,
            stop,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, by IP address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The CA to verify it with, PEM. The certificate names localhost, 127.0.0.1 and `::1`.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.authority.ca_pem()
    }

    /// A fresh bearer token for `demo-admin`, and when it stops being accepted.
    #[must_use]
    pub fn token(&self) -> (Secret, SystemTime) {
        self.plane.authentication.tokens().issue_admin()
    }

    /// Refuses, from now on, every token issued so far.
    pub fn revoke_tokens(&self) {
        self.plane.authentication.tokens().revoke();
    }

    /// A client certificate for `demo-admin` in `system:masters`, and its key, both PEM.
    pub fn client_certificate(&self) -> Result<(String, Secret), Error> {
        self.authority
            .client_certificate()
            .map_err(Error::Certificates)
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.plane.counts()
    }

    /// Stops listening and cuts every connection, watch and tunnel.
    pub fn shutdown(&self) {
        self.stop.cancel();
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.shutdown();
    }
}
