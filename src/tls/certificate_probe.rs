//! [`CertificateProbe`]: reads a server's certificates in a handshake, so that a person can verify them
//! before they are trusted.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{certificate::Certificate, pem, provider};

/// A certificate that a server presented.
#[derive(Clone, Debug)]
pub struct PresentedCertificate {
    /// Its subject.
    pub subject: String,
    /// The issuer that it names.
    pub issuer: String,
    /// Its fingerprint, as `openssl x509 -fingerprint -sha256` prints it.
    pub sha256: String,
    /// The first second of its validity.
    pub from: Timestamp,
    /// The last second of its validity.
    pub until: Timestamp,
    /// The certificate as PEM text.
    pub pem: String,
}

/// Records the certificates of one handshake and then aborts it: no data is ever sent to the server.
#[derive(Debug, Default)]
pub struct CertificateProbe(Arc<Recorder>);

#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<PresentedCertificate>>);

impl CertificateProbe {
    /// A configuration whose handshakes fail once the server has presented its certificates.
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

    /// The presented certificates, the server's own first; empty before the handshake.
    #[must_use]
    pub fn presented(&self) -> Vec<PresentedCertificate> {
        let certificates = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        certificates.clone()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let mut certificates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *certificates = chain.filter_map(presented).collect();
        Err(aborted())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(aborted())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(aborted())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn aborted() -> rustls::Error {
    rustls::Error::General("the certificate was only read".to_owned())
}

fn presented(der: &CertificateDer<'_>) -> Option<PresentedCertificate> {
    let certificate = Certificate::parse(der)?;
    let validity = certificate.validity();
    let time = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    Some(PresentedCertificate {
        subject: certificate.subject(),
        issuer: certificate.issuer(),
        sha256: certificate.sha256(),
        from: time(*validity.start()),
        until: time(*validity.end()),
        pem: pem::of_certificate(der),
    })
}
