//! A cluster, and how it and its OAuth server are reached.

use std::{path::Path, sync::Arc};

use http::Uri;

use crate::{
    credential::{
        Error,
        blocking::blocking,
        issuer::{self, Issuer},
    },
    dial::Environment,
    kubeconfig::{Cluster, Pem},
    tls::Trust,
};

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

    /// How the API server is reached.
    ///
    /// # Errors
    /// An authority that cannot be read.
    pub async fn api(&self) -> Result<Issuer, Error> {
        Ok(self.clients().await?.0)
    }

    /// How the API server is reached, and how its OAuth server is. Reads authorities' files.
    pub(super) async fn clients(&self) -> Result<(Issuer, Issuer), Error> {
        let access = self.clone();
        blocking(|| self.server(), move || access.read_clients()).await?
    }

    fn read_clients(&self) -> Result<(Issuer, Issuer), Error> {
        let api = Issuer::of_cluster(&self.cluster, self.environment.clone())?;
        let authorities = [&self.cluster.certificate_authority, &self.oauth_authority];
        let mut pems = Vec::new();
        for authority in authorities.into_iter().flatten() {
            pems.push((authority.read().map_err(Error::pem)?, authority.location()));
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
