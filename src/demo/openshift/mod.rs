//! An `OpenShift` cluster in miniature: the demo's control plane with the users, sessions and
//! projects of `OpenShift`, an OAuth server and an image registry, each with a CA of its own.
//!
//! They respond as oauth-server, oauth-apiserver and image-registry do, with one difference:
//! tokens expire to the millisecond and are revoked at once, where real servers have caches.
//!
//! `oauth_server` holds the state. `oauth_routes` leads to its paths, which are in
//! `authorization_endpoint`, `token_endpoint` and `pages`. `api` extends the control plane, and
//! `registry` is the image registry.

mod api;
mod authorization_endpoint;
mod browser;
mod clients;
mod codes;
mod oauth_request;
mod oauth_routes;
mod oauth_server;
mod options;
mod pages;
mod projects;
mod registry;
mod resources;
mod responses;
mod scopes;
mod sessions;
mod token_endpoint;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;

pub(crate) use self::oauth_server::UserDirectory;
pub use self::options::{Challenge, Flows, Options, Projects};
use self::{oauth_server::OAuthServer, registry::Registry};
use crate::{
    demo::{
        certificates::Authority,
        error::Error,
        https::{Faults, HttpsServer, ReceivedRequest},
        kubernetes::{ControlPlane, vendor::VendorExtension},
    },
    secret::Secret,
};

/// The name and the password of the user that exists at start.
const DEVELOPER: &str = "developer";

/// The image that exists at start.
const IMAGE: &str = "demo/hello";

/// Lifetime of the tokens of the control plane's own `demo-admin`.
const ADMIN_TOKEN_TTL: Duration = Duration::from_secs(3600);

/// A running cluster. Dropping it stops it.
#[derive(Debug)]
pub struct OpenShift {
    api: ControlPlane,
    oauth: HttpsServer,
    registry: HttpsServer,
    server: Arc<OAuthServer>,
    images: Arc<Registry>,
    faults: Faults,
}

impl OpenShift {
    /// Starts the API server, the OAuth server and the registry, each with a port and a CA of its
    /// own. There is a user `developer` with the password `developer`.
    ///
    /// # Errors
    /// One of them did not start.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let authority = || Authority::generate().map_err(Error::Certificates);
        let authorities = [authority()?, authority()?, authority()?].map(Arc::new);
        let cluster = Self::start_with_authorities(authorities, options, None).await?;
        cluster.add_user(DEVELOPER, DEVELOPER);
        Ok(cluster)
    }

    /// Like [`Self::start`], with the CAs of the API server, the OAuth server and the registry, and
    /// with the users of a directory.
    pub(crate) async fn start_with_authorities(
        [api_authority, oauth_authority, registry_authority]: [Arc<Authority>; 3],
        options: Options,
        directory: Option<Arc<dyn UserDirectory>>,
    ) -> Result<Self, Error> {
        let server = Arc::new(OAuthServer::new(options, directory));
        let faults = Faults::default();
        let handler = {
            let server = server.clone();
            move |request: Request<Bytes>, now| oauth_routes::respond(&server, &request, now)
        };
        let oauth =
            HttpsServer::start_with_authority(&oauth_authority, &[], faults.clone(), handler);
        let oauth = oauth.await?;
        // This is the only place that sets it, so it was not set before.
        let _ = server.issuer.set(oauth.url());

        let extension: Arc<dyn VendorExtension> = server.clone();
        let api =
            ControlPlane::start_with_authority(api_authority, ADMIN_TOKEN_TTL, Some(extension));
        let api = api.await?;
        let images = Arc::new(Registry::new(api.server.clone()));
        images.add_image(IMAGE);
        let handler = {
            let images = images.clone();
            move |request: Request<Bytes>, _| images.respond(&request)
        };
        let registry =
            HttpsServer::start_with_authority(&registry_authority, &[], Faults::default(), handler);
        Ok(Self {
            registry: registry.await?,
            api,
            oauth,
            server,
            images,
            faults,
        })
    }

    /// The API server.
    #[must_use]
    pub fn api(&self) -> &ControlPlane {
        &self.api
    }

    /// The URL of the OAuth server, which is its issuer.
    #[must_use]
    pub fn oauth_url(&self) -> String {
        self.oauth.url()
    }

    /// The CA of the OAuth server's certificate, in PEM.
    #[must_use]
    pub fn oauth_ca_pem(&self) -> &str {
        self.oauth.ca_pem()
    }

    /// The URL of the registry.
    #[must_use]
    pub fn registry_url(&self) -> String {
        self.registry.url()
    }

    /// The CA of the registry's certificate, in PEM.
    #[must_use]
    pub fn registry_ca_pem(&self) -> &str {
        self.registry.ca_pem()
    }

    /// Adds an image to a repository (`namespace/name`) of the registry and returns its digest.
    /// `demo/hello` has one at start.
    #[must_use]
    pub fn add_image(&self, repository: &str) -> String {
        self.images.add_image(repository)
    }

    /// Starts the proxy of a request-header identity provider, with a CA of its own, and lets the OAuth
    /// server redirect programs to it.
    ///
    /// # Errors
    /// It did not start.
    pub async fn start_challenging_proxy(&self) -> Result<HttpsServer, Error> {
        let server = self.server.clone();
        let handler = move |request: Request<Bytes>, now| {
            oauth_routes::respond_as_proxy(&server, &request, now)
        };
        let proxy = HttpsServer::start(&[], Faults::default(), handler).await?;
        let url = format!("{}{}", proxy.url(), oauth_routes::PROXY_PATH);
        self.change(|options| options.challenge = Challenge::Redirect(url));
        Ok(proxy)
    }

    /// Adds a user, or sets the password of an existing one.
    pub fn add_user(&self, name: &str, password: &str) {
        self.server.add_user(name, password);
    }

    /// Begins a session of a user and returns its token; `None` if there is no such user.
    #[must_use]
    pub fn issue_session(&self, user: &str) -> Option<Secret> {
        let scopes = vec![scopes::FULL.to_owned()];
        let redirect_uri = format!("{}/oauth/token/implicit", self.server.url());
        let now = self.faults.now();
        let client = clients::CHALLENGING;
        let issued = self
            .server
            .issue(user, client, scopes, (&redirect_uri, None), now);
        issued.map(|(token, _)| token)
    }

    /// Ends a session at once. Returns whether there was one.
    #[must_use]
    pub fn revoke(&self, token: &str) -> bool {
        let name = sessions::object_name(token);
        name.is_some_and(|name| self.server.sessions.delete(&name, None).is_some())
    }

    /// Changes the options. Tokens that were issued before keep their lifetimes.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.server.options());
    }

    /// The faults of the OAuth server.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// How many tokens were issued so far, including those of [`Self::issue_session`].
    #[must_use]
    pub fn logins(&self) -> usize {
        self.server.logins()
    }

    /// How many wrong passwords were sent so far, for users that exist.
    #[must_use]
    pub fn wrong_passwords(&self) -> usize {
        self.server.wrong_passwords()
    }

    /// The requests that the OAuth server received so far.
    #[must_use]
    pub fn oauth_requests(&self) -> Vec<ReceivedRequest> {
        self.oauth.requests()
    }

    /// The requests that the registry received so far.
    #[must_use]
    pub fn registry_requests(&self) -> Vec<ReceivedRequest> {
        self.registry.requests()
    }

    /// The queries of the requests to `/oauth/authorize` so far.
    #[must_use]
    pub fn authorizations(&self) -> Vec<String> {
        self.server.authorizations()
    }

    /// Logs a user in with a minimal browser that opens `url` of the OAuth server. Returns the URL
    /// of the first redirect to another server, such as the callback of a login; `None` if the
    /// login fails.
    #[must_use]
    pub fn browse(&self, url: &str, user: &str, password: &str) -> Option<String> {
        browser::log_in(&self.server, url, (user, password), self.faults.now())
    }
}
