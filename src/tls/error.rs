//! [`Error`]: certificates and keys of the configuration that cannot be used.

use super::TlsError;
use crate::kubeconfig;

/// Certificates or keys of the configuration that cannot be used. Each message names the origin (the
/// file, or the entry and field), and none shows content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A private key that cannot be read.
    #[error("{origin}: line {line}: {what}")]
    BadPem {
        /// The origin of the text.
        origin: String,
        /// The line on which the section begins, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Certificates of which none can be read.
    #[error("{origin}: holds no certificate that can be read: {what}")]
    NoReadableCertificate {
        /// The origin of the text.
        origin: String,
        /// What is wrong with each, with its line.
        what: String,
    },
    /// Text without a certificate.
    #[error(
        "{origin}: holds no certificate; expected PEM with a line \"-----BEGIN CERTIFICATE-----\""
    )]
    NoCertificate {
        /// The origin of the text.
        origin: String,
    },
    /// Text without a private key.
    #[error(
        "{origin}: holds no private key; expected PEM with a line \"-----BEGIN PRIVATE KEY-----\" \
         (or RSA or EC PRIVATE KEY)"
    )]
    NoKey {
        /// The origin of the text.
        origin: String,
    },
    /// A private key with a passphrase.
    #[error(
        "{origin}: the private key is encrypted; write it without a passphrase \
         (openssl pkey -in KEY -out PLAIN-KEY) and guard the file by its mode"
    )]
    EncryptedKey {
        /// The origin of the text.
        origin: String,
    },
    /// A private key that is damaged, or of a kind that is not supported.
    #[error("{origin}: the private key cannot be used: {what}")]
    BadKey {
        /// The origin of the key.
        origin: String,
        /// What is wrong with it.
        what: String,
    },
    /// Valid PEM that does not hold a usable X.509 certificate.
    #[error("{origin}: {what}")]
    BadCertificate {
        /// The origin of the certificate.
        origin: String,
        /// What is wrong with it.
        what: String,
    },
    /// A private key that does not belong to the certificate.
    #[error("{key}: this private key does not belong to the certificate in {certificate}")]
    KeyMismatch {
        /// The origin of the certificate.
        certificate: String,
        /// The origin of the key.
        key: String,
    },
    /// A CA file of the cluster that cannot be read.
    #[error(transparent)]
    Authority(#[from] Box<kubeconfig::Error>),
    /// A listener's configuration that rustls refuses.
    #[error("cannot set up TLS for a listener")]
    Listener(#[source] TlsError),
    /// A certificate that cannot be made.
    #[error("cannot make a certificate")]
    Issue(#[source] rcgen::Error),
    /// A CA for client certificates that cannot be used.
    #[error("cannot check client certificates against this authority")]
    ClientAuthority(#[source] rustls::server::VerifierBuilderError),
}
