//! An embedded control plane to try kubegate against and to test it against.
//!
//! It is a Kubernetes API server in miniature: real TLS, real HTTP/2 and HTTP/1.1, bearer
//! tokens that expire, discovery, `OpenAPI`, a store with resource versions and watches.
//! Nothing runs behind it: pods are pretended, deployments are always rolled out.
//!
//! The path of a request: `server` -> `router` -> `authentication` -> `route` -> then
//! one of `read`, `watch`, `write`, `review`, `discovery`, `openapi` or
//! `pod_streams`. What kinds there are is written once, in `resources`.

mod account_secret;
mod age;
mod apply;
mod authentication;
mod body;
mod certificates;
mod columns;
mod defaults;
mod delete;
mod discovery;
mod door;
mod fields;
mod flavor;
mod handshake;
pub mod host;
pub mod ibm;
mod identity;
mod jwt;
mod object;
pub mod oidc;
mod openapi;
pub mod openshift;
mod ownership;
mod patch;
mod permission;
mod pod_streams;
mod probes;
mod protobuf;
mod query;
mod read;
mod request_body;
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
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use self::{
    authentication::Authentication, certificates::Authority, door::Door, flavor::Flavor,
    router::Plane, store::Store, tokens::Tokens,
};
use crate::{secret::Secret, tls};

/// How many past changes a watch may start from before it gets `410 Expired`.
const HISTORY: usize = 10_000;

/// The body of every answer of the control plane.
pub type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, io::Error>;

/// Why a demo server did not start.
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
    #[error("cannot make a demo server's certificates")]
    Certificates(#[source] rcgen::Error),
    /// The TLS settings were refused.
    #[error("cannot set up a demo server's TLS")]
    Tls(#[source] tls::Error),
    /// The system gave no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// A running control plane. It stops when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    plane: Arc<Plane>,
    authority: Arc<Authority>,
    address: SocketAddr,
    stop: CancellationToken,
}

impl ControlPlane {
    /// Starts on a random port of 127.0.0.1, with a CA and a certificate made on the spot. Its
    /// tokens are valid for `token_ttl`.
    pub async fn start(token_ttl: Duration) -> Result<Self, Error> {
        Self::start_as(token_ttl, None).await
    }

    /// As [`Self::start`], with a vendor's part.
    async fn start_as(token_ttl: Duration, flavor: Option<Arc<dyn Flavor>>) -> Result<Self, Error> {
        let authority = Authority::generate().map_err(Error::Certificates)?;
        Self::start_under(Arc::new(authority), token_ttl, flavor).await
    }

    /// As [`Self::start_as`], with a certificate of `authority`.
    async fn start_under(
        authority: Arc<Authority>,
        token_ttl: Duration,
        flavor: Option<Arc<dyn Flavor>>,
    ) -> Result<Self, Error> {
        let (listener, address) = server::listen().await?;
        let tokens = Tokens::new(token_ttl).map_err(|_| Error::Random)?;
        let store = Arc::new(Store::new(HISTORY));
        seed::fill(&store);
        let stop = CancellationToken::new();
        let plane = Arc::new(Plane {
            store,
            authentication: Authentication::new(tokens, flavor),
            address,
            stop: stop.clone(),
        });
        let acceptor = server::acceptor(&authority, &[])?;
        let server = server::Server::new(acceptor, plane.clone());
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

    /// Lets service accounts' tokens have lifetimes from `shortest` on, in place of the 600 s
    /// below which real servers refuse.
    pub fn allow_account_tokens_from(&self, shortest: Duration) {
        self.plane.authentication.tokens().allow_from(shortest);
    }

    /// How many tokens service accounts were given so far.
    #[must_use]
    pub fn account_tokens(&self) -> u64 {
        self.plane.authentication.tokens().account_tokens()
    }

    /// Listens on another random port too.
    async fn another_door(&self) -> Result<Door, Error> {
        Door::open(&self.plane, &self.authority, self.stop.clone()).await
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
