//! An `OpenShift` to try kubegate against and to test it against: the demo's control plane with
//! `OpenShift`'s users, sessions and projects, the OAuth server on a host with an authority of its
//! own, and the integrated registry on another.
//!
//! It answers as oauth-server, oauth-apiserver and image-registry do, with one difference: tokens
//! end to the millisecond and a revoked one at once, where real caches take their time.
//!
//! `oauth` holds all that is known; `authorize`, `token` and `web` are its paths, `api` is the
//! control plane's part, `registry` the registry.

mod answers;
mod api;
mod authorize;
mod browser;
mod clients;
mod codes;
mod oauth;
mod registry;
mod scopes;
mod sessions;
mod token;
mod web;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

pub(super) use self::oauth::Directory;
use self::{oauth::OAuthServer, registry::Registry};
use super::{Error, certificates::Authority};
use crate::demo::{
    https::{Faults, Host, Seen},
    kubernetes::{ControlPlane, vendor::Flavor},
};
use crate::secret::Secret;

/// The user there is from the start, and the password.
const DEVELOPER: &str = "developer";

/// The image there is from the start.
const IMAGE: &str = "demo/hello";

/// How long the tokens of the control plane's own `demo-admin` last.
const ADMIN_TOKEN: Duration = Duration::from_secs(3600);

/// What flows the OAuth server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flows {
    /// Code and implicit, with PKCE.
    Pkce,
    /// Code and implicit, from before PKCE.
    Code,
    /// The implicit flow alone.
    Implicit,
}

/// How the cluster is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Life of new tokens, in seconds; 0 never ends.
    pub token_max_age: u64,
    /// After how many seconds without use new tokens end; 0 never. Real servers take no less
    /// than 300.
    pub inactivity_timeout: u64,
    /// The flows offered.
    pub flows: Flows,
    /// Whether an identity provider can check a password that a terminal sends; if not, only
    /// the login page is left.
    pub challenge: bool,
    /// Whether there is an OAuth server to be found; not so where users come from elsewhere.
    pub discovery: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            token_max_age: 86_400,
            inactivity_timeout: 0,
            flows: Flows::Pkce,
            challenge: true,
            discovery: true,
        }
    }
}

/// A running `OpenShift`. It stops when dropped.
#[derive(Debug)]
pub struct OpenShift {
    api: ControlPlane,
    oauth: Host,
    registry: Host,
    server: Arc<OAuthServer>,
    images: Arc<Registry>,
    faults: Faults,
}

impl OpenShift {
    /// Starts the API server, the OAuth server and the registry, each on a port and with a CA of
    /// its own. There is a user `developer` with the password `developer`.
    ///
    /// # Errors
    /// One of them did not start.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let authority = || Authority::generate().map_err(Error::Certificates);
        let authorities = [authority()?, authority()?, authority()?].map(Arc::new);
        let started = Self::start_under(authorities, options, None).await?;
        started.add_user(DEVELOPER, DEVELOPER);
        Ok(started)
    }

    /// Starts it under the authorities given, for API server, OAuth server and registry, with
    /// users who are known elsewhere.
    pub(super) async fn start_under(
        [of_api, of_oauth, of_registry]: [Arc<Authority>; 3],
        options: Options,
        directory: Option<Arc<dyn Directory>>,
    ) -> Result<Self, Error> {
        let server = Arc::new(OAuthServer::new(options, directory));
        let faults = Faults::default();
        let answering = server.clone();
        let oauth = Host::start_under(&of_oauth, &[], faults.clone(), move |request, now| {
            answering.answer(&request, now)
        });
        let oauth = oauth.await?;
        // It was empty until now: nobody else sets it.
        let _ = server.issuer.set(oauth.url());

        let flavor: Arc<dyn Flavor> = server.clone();
        let api = ControlPlane::start_under(of_api, ADMIN_TOKEN, Some(flavor)).await?;
        let images = Arc::new(Registry::new(api.plane.clone()));
        images.add_image(IMAGE);
        let answering = images.clone();
        let registry =
            Host::start_under(&of_registry, &[], Faults::default(), move |request, _| {
                answering.answer(&request)
            });
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

    /// The OAuth server's URL, the issuer.
    #[must_use]
    pub fn oauth_url(&self) -> String {
        self.oauth.url()
    }

    /// The CA to verify the OAuth server with, PEM.
    #[must_use]
    pub fn oauth_ca_pem(&self) -> &str {
        self.oauth.ca_pem()
    }

    /// The registry's URL.
    #[must_use]
    pub fn registry_url(&self) -> String {
        self.registry.url()
    }

    /// The CA to verify the registry with, PEM.
    #[must_use]
    pub fn registry_ca_pem(&self) -> &str {
        self.registry.ca_pem()
    }

    /// Adds an image to a repository (`namespace/name`) of the registry and returns its digest;
    /// `demo/hello` has one.
    #[must_use]
    pub fn add_image(&self, repository: &str) -> String {
        self.images.add_image(repository)
    }

    /// Adds a user, or sets the password of one.
    pub fn add_user(&self, name: &str, password: &str) {
        self.server.add_user(name, password);
    }

    /// A session of a user, as if they had logged in now; `None` if there is no such user.
    #[must_use]
    pub fn issue_session(&self, user: &str) -> Option<Secret> {
        let scopes = vec![scopes::FULL.to_owned()];
        let back = format!("{}/oauth/token/implicit", self.server.url());
        let now = self.faults.now();
        let client = clients::CHALLENGING;
        let issued = self.server.issue(user, client, scopes, (&back, None), now);
        issued.map(|(token, _)| token)
    }

    /// Ends a session at once. Says whether there was one.
    #[must_use]
    pub fn revoke(&self, token: &str) -> bool {
        let name = sessions::object_name(token);
        name.is_some_and(|name| self.server.sessions.delete(&name, None).is_some())
    }

    /// Changes the set-up from now on; tokens that were issued keep their lives.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.server.options());
    }

    /// What is wrong with the OAuth server.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// How many tokens were issued so far, those of [`Self::issue_session`] included.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.server.logins()
    }

    /// The requests to the OAuth server so far.
    #[must_use]
    pub fn oauth_requests(&self) -> Vec<Seen> {
        self.oauth.requests()
    }

    /// The requests to the registry so far.
    #[must_use]
    pub fn registry_requests(&self) -> Vec<Seen> {
        self.registry.requests()
    }

    /// The queries that came to `/oauth/authorize` so far.
    #[must_use]
    pub fn authorizations(&self) -> Vec<String> {
        self.server.authorizations()
    }

    /// Does what a user does in a browser that was sent to `url` of the OAuth server: signs in
    /// on the login page and follows the redirects. Returns the URL that they end at, such as
    /// the callback of a login; `None` where the user is not let in.
    #[must_use]
    pub fn browse(&self, url: &str, user: &str, password: &str) -> Option<String> {
        browser::sign_in(&self.server, url, (user, password), self.faults.now())
    }
}

/// 32 random bytes, as text of 43 characters.
fn random_text() -> String {
    let mut bytes = Zeroizing::new([0; 32]);
    // Without random numbers there is no TLS either, and nobody comes this far.
    let _ = rand::fill(&mut *bytes);
    URL_SAFE_NO_PAD.encode(*bytes)
}
