//! [`Access`]: connects to a cluster and to its OAuth server.

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

/// The prefix of every session token of a cluster's OAuth server.
pub const TOKEN_PREFIX: &str = "sha256~";

/// A cluster of a kubeconfig, and the authorities of its OAuth server.
#[derive(Clone)]
pub struct Access {
    cluster: Cluster,
    oauth_authority: Option<Pem>,
    environment: Environment,
}

impl Access {
    /// `oauth_authority` is a file with CA certificates to trust for the OAuth server, in addition to
    /// those of the system and the cluster: its certificate is often that of the ingress.
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

    /// Returns the API server's URL without a slash at the end.
    #[must_use]
    pub fn server(&self) -> String {
        let url = self.cluster.server.to_string();
        url.trim_end_matches('/').to_owned()
    }

    /// Returns a client of the API server.
    ///
    /// # Errors
    /// A CA certificate cannot be read.
    pub async fn api(&self) -> Result<Issuer, Error> {
        Ok(self.clients().await?.0)
    }

    /// Returns the clients of the API server and of the OAuth server. Reads the files with their CA
    /// certificates.
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

    /// Returns the URL of a path at the API server.
    ///
    /// # Errors
    /// The server's URL is not https, which no login is safe over.
    pub fn url(&self, path: &str) -> Result<Uri, Error> {
        issuer::https("the server's URL", &format!("{}{path}", self.server()))
    }
}
