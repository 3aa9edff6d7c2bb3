//! A Kubernetes API server in miniature: real TLS, real HTTP/2 and HTTP/1.1, bearer tokens that
//! expire, discovery, `OpenAPI`, a store with resource versions and watches. Nothing runs behind
//! it: pods are pretended, deployments are always rolled out.
//!
//! The path of a request: `router` -> `authentication` -> `route` -> one of `handlers`, which
//! read and write `objects` and answer in the forms of `encoding`.

pub(crate) mod additional_listener;
pub(crate) mod authentication;
pub(crate) mod authorization;
pub(crate) mod encoding;
pub(crate) mod handlers;
pub(crate) mod objects;
pub(crate) mod route;
pub(crate) mod router;
pub(crate) mod seed;
pub(crate) mod vendor;
pub(crate) mod websocket_handshake;

#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

use self::{
    additional_listener::Door,
    authentication::{Authentication, tokens::Tokens},
    objects::store::{HISTORY, Store},
    router::Plane,
    vendor::Flavor,
};
use crate::{
    demo::{Error, certificates::Authority, server},
    secret::Secret,
};

/// A running control plane. It stops when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    pub(crate) plane: Arc<Plane>,
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
    pub(crate) async fn start_as(
        token_ttl: Duration,
        flavor: Option<Arc<dyn Flavor>>,
    ) -> Result<Self, Error> {
        let authority = Authority::generate().map_err(Error::Certificates)?;
        Self::start_under(Arc::new(authority), token_ttl, flavor).await
    }

    /// As [`Self::start_as`], with a certificate of `authority`.
    pub(crate) async fn start_under(
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
    pub(crate) async fn another_door(&self) -> Result<Door, Error> {
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
