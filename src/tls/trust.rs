//! [`Trust`]: whom we believe to be the server we asked for.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{
    Error, Refusal,
    certificate::Certificate,
    messages, pem, provider,
    roots::{Roots, Shown},
};
use crate::kubeconfig::Cluster;

/// Whom we trust. Cheap to clone; clones share what was loaded.
#[derive(Clone, Debug)]
pub struct Trust(Arc<Verifier>);

impl Trust {
    /// Trusts the certificates in `ca_pem` alone. `origin` is for errors.
    ///
    /// # Errors
    /// Broken PEM, or no certificate in it that can be used.
    pub fn roots(ca_pem: &[u8], origin: &str) -> Result<Self, Error> {
        let roots = Roots::new(&pem::certificates(ca_pem, origin)?, origin)?;
        Ok(Self(Arc::new(Verifier::Roots(roots))))
    }

    /// Trusts whom this system trusts. The system's store is read at the first handshake.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Verifier::System(OnceLock::new(), Vec::new())))
    }

    /// Trusts whom this system trusts, and the certificates in each of `ca_pems` (PEM and its
    /// origin) too: for servers that may have either, such as a cluster's OAuth server.
    ///
    /// # Errors
    /// Broken PEM, or no certificate in one of them.
    pub fn system_and(ca_pems: &[(&[u8], &str)]) -> Result<Self, Error> {
        let mut more = Vec::new();
        for (pem, origin) in ca_pems {
            more.extend(pem::certificates(pem, origin)?);
        }
        Ok(Self(Arc::new(Verifier::System(OnceLock::new(), more))))
    }

    /// Trusts whom the kubeconfig says is the API server: its authority alone, the system's
    /// where it names none, anybody where it says not to verify. Reads the authority's file.
    ///
    /// # Errors
    /// An authority that cannot be read, or holds no certificate that can be used.
    pub fn of_cluster(cluster: &Cluster) -> Result<Self, Error> {
        if cluster.insecure_skip_tls_verify {
            return Ok(Self::insecure());
        }
        match &cluster.certificate_authority {
            Some(ca) => Self::roots(&ca.read().map_err(Box::new)?, &ca.location()),
            None => Ok(Self::system()),
        }
    }

    /// Trusts anybody (`insecure-skip-tls-verify`). Only the handshake's own signature is
    /// checked: the other end has the key of whatever certificate it showed.
    #[must_use]
    pub fn insecure() -> Self {
        Self(Arc::new(Verifier::Anybody))
    }

    /// The judgement in the form that rustls takes. It refuses with a [`Refusal`].
    #[must_use]
    pub fn verifier(&self) -> Arc<dyn ServerCertVerifier> {
        self.0.clone()
    }
}

/// TLS 1.2 and 1.3 to servers that `trust` accepts, showing `identity` to those that ask for a
/// client certificate, whatever authorities they hint at. No ALPN is set.
///
/// Sessions are never resumed, as in kubectl: a resumed one would neither check the server's
/// certificate again nor show a changed identity.
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

enum Verifier {
    Roots(Roots),
    /// The system's roots, once they were read, and what is trusted beside them.
    System(OnceLock<Roots>, Vec<CertificateDer<'static>>),
    Anybody,
}

impl Verifier {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Refusal> {
        match self {
            Self::Roots(roots) => roots.judge(shown),
            Self::System(loaded, more) => {
                if let Some(roots) = loaded.get() {
                    return roots.judge(shown);
                }
                // A failure is not kept: the store may be installed meanwhile.
                let roots = system_roots(more)?;
                loaded.get_or_init(|| roots).judge(shown)
            }
            Self::Anybody => Ok(()),
        }
    }
}

/// Reads the system's store (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured, as in Go).
fn system_roots(more: &[CertificateDer<'static>]) -> Result<Roots, Refusal> {
    let mut found = rustls_native_certs::load_native_certs();
    found.certs.extend_from_slice(more);
    Roots::new(&found.certs, "a CA that this system trusts").map_err(|_| Refusal::NoSystemRoots {
        reason: match found.errors.first() {
            Some(error) => error.to_string(),
            None => "the store is empty".to_owned(),
        },
    })
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.judge(&Shown {
            leaf,
            intermediates,
            asked,
            now,
        })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, leaf, signed, algorithms).map_err(|e| unproven(e, leaf))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signed, algorithms).map_err(|e| unproven(e, leaf))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Errors about the protocol stay as they are; one about the certificate gets its reason.
fn unproven(error: rustls::Error, leaf: &CertificateDer<'_>) -> rustls::Error {
    let rustls::Error::InvalidCertificate(verdict) = &error else {
        return error;
    };
    let certificate = Certificate::parse(leaf);
    let unsupported = certificate.and_then(|leaf| Some((leaf.unusable_key()?, leaf.subject())));
    match unsupported {
        Some((what, subject)) => Refusal::Unsupported {
            subject,
            is_authority: false,
            what,
        },
        None => Refusal::UnprovenKey {
            reason: messages::of_certificate(verdict).into_owned(),
        },
    }
    .into()
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Roots(_) => "Verifier(roots)",
            Self::System(..) => "Verifier(system)",
            Self::Anybody => "Verifier(anybody)",
        })
    }
}

#[cfg(test)]
mod tests;
