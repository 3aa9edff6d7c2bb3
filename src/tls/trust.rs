//! [`Trust`]: whom we believe to be the server we asked for.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{
    Error, Refusal, pem, provider,
    roots::{Roots, Shown},
};

/// Whom we trust. Cheap to clone; clones share what was loaded.
#[derive(Clone, Debug)]
pub struct Trust(Arc<Verifier>);

impl Trust {
    /// Trusts the certificates in `ca_pem` alone. `origin` is for errors.
    ///
    /// # Errors
    /// Broken PEM, or no certificate in it that can be used.
    pub fn roots(ca_pem: &[u8], origin: &str) -> Result<Self, Error> {
        let roots = Roots::new(pem::certificates(ca_pem, origin)?, origin)?;
        Ok(Self(Arc::new(Verifier::Roots(roots))))
    }

    /// Trusts whom this system trusts. The system's store is read at the first handshake.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Verifier::System(OnceLock::new())))
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
    System(OnceLock<Roots>),
    Anybody,
}

impl Verifier {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Refusal> {
        match self {
            Self::Roots(roots) => roots.judge(shown),
            Self::System(loaded) => {
                if let Some(roots) = loaded.get() {
                    return roots.judge(shown);
                }
                // A failure is not kept: the store may be installed meanwhile.
                let roots = system_roots()?;
                loaded.get_or_init(|| roots).judge(shown)
            }
            Self::Anybody => Ok(()),
        }
    }
}

/// Reads the system's store (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured, as in Go).
fn system_roots() -> Result<Roots, Refusal> {
    let found = rustls_native_certs::load_native_certs();
    Roots::new(found.certs, "a CA that this system trusts").map_err(|_| Refusal::NoSystemRoots {
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
        verify_tls12_signature(message, leaf, signed, algorithms).map_err(unproven)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signed, algorithms).map_err(unproven)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Errors about the protocol stay as they are; one about the certificate gets its reason.
fn unproven(error: rustls::Error) -> rustls::Error {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => Refusal::UnprovenKey {
            reason: CertificateError::BadSignature.to_string(),
        }
        .into(),
        other => other,
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Roots(_) => "Verifier(roots)",
            Self::System(_) => "Verifier(system)",
            Self::Anybody => "Verifier(anybody)",
        })
    }
}

#[cfg(test)]
mod tests;
