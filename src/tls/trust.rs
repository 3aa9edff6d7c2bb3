//! [`Trust`]: which servers are accepted.

use std::sync::{Arc, OnceLock};

use rustls::{
    ClientConfig,
    client::{Resumption, danger::ServerCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{Error, pem, provider, roots::Roots, verifier::Verifier};
use crate::kubeconfig::Cluster;

/// The servers that are accepted. Clones are cheap and share the loaded certificates.
#[derive(Clone, Debug)]
pub struct Trust(Arc<Verifier>);

impl Trust {
    /// Trusts only the certificates in `ca_pem`. `origin` is for error messages.
    ///
    /// # Errors
    /// PEM text without a usable certificate.
    pub fn roots(ca_pem: &[u8], origin: &str) -> Result<Self, Error> {
        let roots = Roots::new(&pem::certificates(ca_pem, origin)?, origin)?;
        Ok(Self(Arc::new(Verifier::Roots(roots))))
    }

    /// Trusts the system's CAs, which are loaded at the first handshake.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Verifier::System(OnceLock::new(), Vec::new())))
    }

    /// Trusts the system's CAs and the certificates in each of `ca_pems` (PEM text and its origin), for
    /// servers that may have either, such as a cluster's OAuth server.
    ///
    /// # Errors
    /// PEM text without a certificate.
    pub fn system_and(ca_pems: &[(&[u8], &str)]) -> Result<Self, Error> {
        let mut more = Vec::new();
        for (pem, origin) in ca_pems {
            more.extend(pem::certificates(pem, origin)?);
        }
        Ok(Self(Arc::new(Verifier::System(OnceLock::new(), more))))
    }

    /// Trusts what the kubeconfig's cluster says: its CA alone, the system's CAs if it has none, or every
    /// server with `insecure-skip-tls-verify`. Reads the CA file.
    ///
    /// # Errors
    /// A CA file that cannot be read, or has no usable certificate.
    pub fn of_cluster(cluster: &Cluster) -> Result<Self, Error> {
        if cluster.insecure_skip_tls_verify {
            return Ok(Self::insecure());
        }
        match &cluster.certificate_authority {
            Some(ca) => Self::roots(&ca.read().map_err(Box::new)?, &ca.location()),
            None => Ok(Self::system()),
        }
    }

    /// Accepts every server (`insecure-skip-tls-verify`). Only the signature of the handshake is
    /// verified: the server has the key of the certificate that it presents.
    #[must_use]
    pub fn insecure() -> Self {
        Self(Arc::new(Verifier::Insecure))
    }

    /// The verifier for rustls. Its errors contain a [`Refusal`](super::Refusal).
    #[must_use]
    pub fn verifier(&self) -> Arc<dyn ServerCertVerifier> {
        self.0.clone()
    }
}

/// Returns a configuration for TLS 1.2 and 1.3 to servers that `trust` accepts. Servers that request a
/// client certificate get `identity`, whatever CAs their request names. ALPN is not set.
///
/// Sessions are never resumed, as in kubectl: a resumed session would neither verify the server's
/// certificate again nor present a changed identity.
///
/// # Panics
/// Never: aws-lc-rs has suites for both versions.
#[must_use]
pub fn client_config(trust: &Trust, identity: Option<Arc<CertifiedKey>>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider().clone())
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(trust.verifier());
    let mut config = match identity {
        Some(identity) => {
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config
}

#[cfg(test)]
mod tests;
