//! `OpenShift`: sessions at a cluster's own OAuth server.
//!
//! | file | does |
//! |---|---|
//! | `discovery` | asks the API server where its OAuth server is |
//! | `challenge` | user name and password become a code, or at old servers a session |
//! | `web` | the address at which a browser logs in |
//! | `grant` | a code becomes a session |
//! | `expiry` | when a session ends of which only the token is known |
//! | `saved` | the source for a session that a human began |
//! | `account` | how a session is ended, and what it may see |
//! | `unattended` | the source that begins sessions with user name and password from files |
//!
//! A session cannot be renewed, only followed by another: there are no refresh tokens.

mod account;
mod challenge;
mod discovery;
mod expiry;
mod grant;
mod saved;
mod unattended;
mod web;

use std::{path::Path, sync::Arc};

use http::Uri;

pub use discovery::Oauth;
pub use expiry::{Finding, object_name};
pub use grant::{Ends, Session};
pub(super) use saved::SavedSession;
use unattended::Unattended;
pub use web::WebLogin;

use super::{
    Error, Source,
    blocking::blocking,
    issuer::{self, Issuer},
    store::{Place, Store},
};
use crate::{
    dial::Environment,
    kubeconfig::{Cluster, Pem},
    secret::Secret,
    settings::OpenshiftFlags,
    tls::Trust,
};

/// The source for a login of our own at `cluster`: the session that rests in the state folder,
/// or where user name and password stand in files, one after another.
pub(super) fn source(flags: &OpenshiftFlags, cluster: &Cluster) -> Result<Arc<dyn Source>, Error> {
    let access = Access::new(cluster, flags.files.oauth_certificate_authority.as_deref());
    let saved = match &flags.login {
        Some(login) => {
            let store = Store::of_user(&|name| std::env::var_os(name));
            let here = store.map_err(Error::store)?.at(Place::of_cluster(cluster));
            Some((here, login.clone()))
        }
        None => None,
    };
    if let Some((user, password)) = flags.files.username_and_password() {
        return Ok(Arc::new(Unattended::new(access, user, password, saved)));
    }
    let (store, login) = saved.ok_or_else(|| Error::LoginNeeded {
        subject: format!("the OpenShift login at {}", access.server()),
        problem: "neither a saved login nor a file with a password is given".into(),
        remedy: "give --login, or --openshift-username-file and --openshift-password-file".into(),
    })?;
    Ok(Arc::new(SavedSession::saved(access, store, &login)))
}

/// What every session token of a cluster's OAuth server begins with.
pub const TOKEN_PREFIX: &str = "sha256~";

/// A cluster as its kubeconfig describes it, and how its OAuth server is trusted.
#[derive(Clone)]
pub struct Access {
    cluster: Cluster,
    oauth_authority: Option<Pem>,
    environment: Environment,
}

impl Access {
    /// `oauth_authority` is a file with authorities to trust for the OAuth server, beside the
    /// system's and the cluster's own: its certificate is often the ingress's, not the API
    /// server's.
    #[must_use]
    pub fn new(cluster: &Cluster, oauth_authority: Option<&Path>) -> Self {
        Self {
            cluster: cluster.clone(),
            oauth_authority: oauth_authority.map(|path| Pem::File {
                path: path.to_owned(),
                origin: "flags: --oauth-certificate-authority".to_owned(),
            }),
            environment: Environment::read(|name| std::env::var(name).ok()),
        }
    }

    /// The API server's URL, as humans write it.
    #[must_use]
    pub fn server(&self) -> String {
        let url = self.cluster.server.to_string();
        url.trim_end_matches('/').to_owned()
    }

    /// Finds the OAuth server.
    ///
    /// # Errors
    /// No answer; a cluster without an OAuth server; a document that cannot be used.
    pub async fn discover(&self) -> Result<Oauth, Error> {
        discovery::discover(self).await
    }

    /// Begins a session with a user name and a password.
    ///
    /// # Errors
    /// As [`Access::discover`] and [`Oauth::challenge_login`].
    pub async fn challenge_login(&self, user: &str, password: &Secret) -> Result<Session, Error> {
        self.discover().await?.challenge_login(user, password).await
    }

    /// How the API server is reached.
    ///
    /// # Errors
    /// An authority that cannot be read.
    pub async fn api(&self) -> Result<Issuer, Error> {
        Ok(self.clients().await?.0)
    }

    /// How the API server is reached, and how its OAuth server is. Reads authorities' files.
    async fn clients(&self) -> Result<(Issuer, Issuer), Error> {
        let access = self.clone();
        blocking(|| self.server(), move || access.read_clients()).await?
    }

    fn read_clients(&self) -> Result<(Issuer, Issuer), Error> {
        let api = Issuer::of_cluster(&self.cluster, self.environment.clone())?;
        let authorities = [&self.cluster.certificate_authority, &self.oauth_authority];
        let mut pems = Vec::new();
        for authority in authorities.into_iter().flatten() {
            pems.push((authority.read().map_err(Error::pem)?, authority.place()));
        }
        let pems: Vec<(&[u8], &str)> = pems
            .iter()
            .map(|(pem, origin)| (pem.as_slice(), origin.as_ref()))
            .collect();
        let trust = Trust::system_and(&pems).map_err(|e| Error::Certificate(Arc::new(e)))?;
        let oauth = Issuer::new(trust, self.environment.clone());
        Ok((api, oauth.through(self.cluster.proxy_url.clone())))
    }

    /// The URL of a path at the API server.
    ///
    /// # Errors
    /// A server that is not reached by https: no login is safe there.
    pub fn url(&self, path: &str) -> Result<Uri, Error> {
        issuer::https("the server's URL", &format!("{}{path}", self.server()))
    }
}
