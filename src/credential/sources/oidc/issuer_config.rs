//! [`IssuerConfig`]: an issuer and its client as the kubeconfig or flags configure them.

use std::sync::Arc;

use super::Client;
use crate::{
    credential::{Error, protocol::issuer::Issuer},
    dial::Environment,
    kubeconfig::{OidcConfig, Pem, issuer_name},
    settings::OidcFlags,
    tls::Trust,
};

/// See the module.
#[derive(Clone)]
pub(super) struct IssuerConfig {
    pub(super) issuer: String,
    /// Where the issuer's URL was given, for errors.
    origin: String,
    client_id: String,
    authority: Option<Pem>,
    uses_access_token: bool,
}

impl IssuerConfig {
    pub(super) fn of_config(config: &OidcConfig) -> Self {
        Self {
            issuer: issuer_name(&config.issuer).to_owned(),
            origin: format!(
                "kubeconfig {}: user {:?}: auth-provider.config.idp-issuer-url",
                config.file.display(),
                config.user
            ),
            client_id: config.client_id.clone(),
            authority: config.certificate_authority.clone(),
            uses_access_token: false,
        }
    }

    pub(super) fn of_flags(flags: &OidcFlags) -> Result<Self, Error> {
        let (data, file) = (
            flags.certificate_authority_data.as_ref(),
            flags.certificate_authority.as_ref(),
        );
        let data_origin = "flags: --certificate-authority-data";
        let authority = match (data, file) {
            (Some(text), _) => Some(Pem::from_base64(data_origin, text).map_err(Error::pem)?),
            (None, Some(path)) => Some(Pem::from_flag("--certificate-authority", path)),
            (None, None) => None,
        };
        Ok(Self {
            issuer: issuer_name(&flags.oidc_issuer_url).to_owned(),
            origin: "--oidc-issuer-url".to_owned(),
            client_id: flags.oidc_client_id.clone(),
            authority,
            uses_access_token: flags.grant.uses_access_token(),
        })
    }

    /// Creates the client. Reads the file with the issuer's CA certificates.
    pub(super) fn client(&self) -> Result<Client, Error> {
        let trust = match &self.authority {
            Some(ca) => Trust::roots(&ca.read().map_err(Error::pem)?, &ca.location())
                .map_err(|error| Error::Certificate(Arc::new(error)))?,
            None => Trust::system(),
        };
        let calls = Issuer::new(trust, Environment::read(|name| std::env::var(name).ok()));
        let client = Client::new(calls, &self.origin, &self.issuer, &self.client_id)?;
        Ok(client.with_access_tokens(self.uses_access_token))
    }
}

impl Client {
    /// Creates the client that flags configure.
    ///
    /// # Errors
    /// The URL is not https, or certificates cannot be read.
    pub fn of_flags(flags: &OidcFlags) -> Result<Self, Error> {
        IssuerConfig::of_flags(flags)?.client()
    }
}
