//! [`Verifier`]: the verification of servers in the form that rustls takes.

use std::{fmt, sync::OnceLock};

use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    Refusal,
    certificate::Certificate,
    messages, provider,
    roots::{Presented, Roots, verify},
};

/// Verifies servers against trusted certificates.
pub(super) enum Verifier {
    Roots(Roots),
    /// The system's CAs, which are loaded at the first handshake, and further trusted certificates.
    System(OnceLock<Roots>, Vec<CertificateDer<'static>>),
    /// Accepts every certificate.
    Insecure,
}

impl Verifier {
    fn verify(&self, presented: &Presented<'_>) -> Result<(), Refusal> {
        match self {
            Self::Roots(roots) => verify(roots, presented),
            Self::System(loaded, more) => {
                if let Some(roots) = loaded.get() {
                    return verify(roots, presented);
                }
                // A failure is not stored, so that the CAs can be installed later.
                let roots = system_roots(more)?;
                verify(loaded.get_or_init(|| roots), presented)
            }
            Self::Insecure => Ok(()),
        }
    }
}

/// Loads the system's CAs, from `SSL_CERT_FILE` and `SSL_CERT_DIR` if they are set, as in Go.
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
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verify(&Presented {
            leaf,
            intermediates,
            server_name,
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
        verify_tls12_signature(message, leaf, signed, algorithms).map_err(|e| key_refusal(e, leaf))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signed, algorithms).map_err(|e| key_refusal(e, leaf))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Converts an error about the certificate to a [`Refusal`]. Errors about the protocol stay.
fn key_refusal(error: rustls::Error, leaf: &CertificateDer<'_>) -> rustls::Error {
    let rustls::Error::InvalidCertificate(reason) = &error else {
        return error;
    };
    let certificate = Certificate::parse(leaf);
    let unsupported = certificate.and_then(|leaf| Some((leaf.unsupported_key()?, leaf.subject())));
    match unsupported {
        Some((what, subject)) => Refusal::Unsupported {
            subject,
            is_ca: false,
            what,
        },
        None => Refusal::UnprovenKey {
            reason: messages::of_certificate(reason).into_owned(),
        },
    }
    .into()
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Roots(_) => "Verifier(roots)",
            Self::System(..) => "Verifier(system)",
            Self::Insecure => "Verifier(insecure)",
        })
    }
}
