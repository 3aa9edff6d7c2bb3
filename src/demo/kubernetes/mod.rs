//! A Kubernetes API server in miniature: real TLS, HTTP/2 and HTTP/1.1, bearer tokens that expire,
//! discovery, `OpenAPI`, a store with resource versions, and watches. Nothing runs behind it:
//! pods are simulated, and deployments are rolled out at once.
//!
//! A request takes the path `router` -> `authentication` -> `route` -> one of the `handlers`,
//! which read and write `objects` and respond in the forms of `encoding`.

pub(crate) mod api_server;
pub(crate) mod authentication;
pub(crate) mod authorization;
pub(crate) mod encoding;
pub(crate) mod handlers;
pub(crate) mod listener;
pub(crate) mod objects;
pub(crate) mod route;
mod router;
mod seed;
mod self_review;
pub(crate) mod vendor;
mod websocket_handshake;

#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio_util::sync::CancellationToken;

pub use self::self_review::SelfReviews;
use self::{
    api_server::ApiServer,
    authentication::{Authentication, tokens::Tokens},
    listener::Listener,
    objects::store::{HISTORY, Store},
    vendor::VendorExtension,
};
use crate::{
    demo::{certificates::Authority, error::Error, server},
    secret::Secret,
};

/// A running control plane. Dropping it stops it.
#[derive(Debug)]
pub struct ControlPlane {
    pub(crate) server: Arc<ApiServer>,
    listener: Listener,
    authority: Arc<Authority>,
    stop: CancellationToken,
}

impl ControlPlane {
    /// Starts on a random port of 127.0.0.1, with a new CA. Its tokens are valid for `token_ttl`.
    pub async fn start(token_ttl: Duration) -> Result<Self, Error> {
        Self::start_for_vendor(token_ttl, None).await
    }

    /// Like [`Self::start`], with a vendor's extension.
    pub(crate) async fn start_for_vendor(
        token_ttl: Duration,
        extension: Option<Arc<dyn VendorExtension>>,
    ) -> Result<Self, Error> {
        let authority = Authority::generate().map_err(Error::Certificates)?;
        Self::start_with_authority(Arc::new(authority), token_ttl, extension).await
    }

    /// Like [`Self::start_for_vendor`], with a certificate issued by `authority`.
    pub(crate) async fn start_with_authority(
        authority: Arc<Authority>,
        token_ttl: Duration,
        extension: Option<Arc<dyn VendorExtension>>,
    ) -> Result<Self, Error> {
        let (socket, address) = server::listen().await?;
        let tokens = Tokens::new(token_ttl).map_err(|_| Error::Random)?;
        let store = Arc::new(Store::new(HISTORY));
        seed::fill(&store);
        let stop = CancellationToken::new();
        let server = Arc::new(ApiServer {
            store,
            authentication: Authentication::new(tokens, extension),
            address,
            self_reviews: Mutex::default(),
            stop: stop.clone(),
        });
        let listener = Listener::start((socket, address), &server, &authority, stop.clone())?;
        Ok(Self {
            server,
            listener,
            authority,
            stop,
        })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Its URL by IP address.
    #[must_use]
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// The CA of its certificate, in PEM. The certificate is valid for localhost, 127.0.0.1 and
    /// `::1`.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.authority.ca_pem()
    }

    /// How many connections it accepted so far, without those to private endpoints.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.listener.connections()
    }

    /// A new bearer token of `demo-admin`, and when it expires.
    #[must_use]
    pub fn token(&self) -> (Secret, SystemTime) {
        self.server.authentication.tokens().issue_admin()
    }

    /// Allows lifetimes of service account tokens down to `shortest`. API servers allow none
    /// below 600 s.
    pub fn allow_account_tokens_from(&self, shortest: Duration) {
        self.server.authentication.tokens().allow_from(shortest);
    }

    /// Changes which version of `SelfSubjectReview` there is.
    pub fn set_self_reviews(&self, reviews: SelfReviews) {
        let mut current = (self.server.self_reviews.lock()).unwrap_or_else(PoisonError::into_inner);
        *current = reviews;
    }

    /// How many service account tokens were issued so far.
    #[must_use]
    pub fn account_tokens(&self) -> u64 {
        self.server.authentication.tokens().account_tokens()
    }

    /// Listens on another random port too.
    pub(crate) async fn add_listener(&self) -> Result<Listener, Error> {
        let socket = server::listen().await?;
        Listener::start(socket, &self.server, &self.authority, self.stop.clone())
    }

    /// Stops listening and cuts every connection, watch and stream.
    pub fn shutdown(&self) {
        self.stop.cancel();
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.shutdown();
    }
}
