//! What a server shows in its handshake, for a human to judge before anybody trusts it.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{certificate::Certificate, pem, provider};

/// A certificate that a server showed.
#[derive(Clone, Debug)]
pub struct PresentedCertificate {
    /// Whom it names.
    pub subject: String,
    /// Who issued it, by its own words.
    pub issuer: String,
    /// As `openssl x509 -fingerprint -sha256` prints it.
    pub sha256: String,
    /// Its first second.
    pub from: Timestamp,
    /// Its last.
    pub until: Timestamp,
    /// Itself.
    pub pem: String,
}

/// Looks at one handshake, and ends it: nothing is ever sent to who was looked at.
#[derive(Debug, Default)]
pub struct CertificateProbe(Arc<Witness>);

#[derive(Debug, Default)]
struct Witness(Mutex<Vec<PresentedCertificate>>);

impl CertificateProbe {
    /// TLS that fails once the server has shown its certificates.
    ///
    /// # Panics
    /// Never: aws-lc-rs has suites for both versions.
    #[must_use]
    pub fn config(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(provider().clone())
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(self.0.clone())
            .with_no_client_auth()
    }

    /// What was shown, the server's own certificate first; nothing before the handshake.
    #[must_use]
    pub fn presented(&self) -> Vec<PresentedCertificate> {
        let seen = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = chain.filter_map(shown).collect();
        Err(ended())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(ended())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(ended())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn ended() -> rustls::Error {
    rustls::Error::General("the server was only looked at".to_owned())
}

fn shown(der: &CertificateDer<'_>) -> Option<PresentedCertificate> {
    let certificate = Certificate::parse(der)?;
    let dates = certificate.dates();
    let time = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    Some(PresentedCertificate {
        subject: certificate.subject(),
        issuer: certificate.issuer(),
        sha256: certificate.sha256(),
        from: time(*dates.start()),
        until: time(*dates.end()),
        pem: pem::of_certificate(der),
    })
}
