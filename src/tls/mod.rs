//! WHOM WE TRUST: roots, names, dates, and who we say we are in a handshake.
//!
//! [`Trust`] decides about servers, [`Refusal`] says why one was refused and what
//! to do about it, [`CertificateProbe`] shows what a stranger shows, [`identity`] makes client certificates ready,
//! [`server`] is the other end, which the demo and the tests are. The cryptography is always aws-lc-rs, given explicitly and
//! never taken from the process.

mod algorithms;
mod certificate;
mod certificate_probe;
pub mod identity;
mod messages;
pub mod pem;
mod refusal;
mod roots;
pub mod server;
mod tls_error;
mod trust;

use std::{
    sync::{Arc, LazyLock},
    thread,
};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use certificate_probe::{CertificateProbe, PresentedCertificate};
pub use refusal::{Refusal, io_error_kind, is_alpn_refusal, is_not_tls, refusal};
pub use tls_error::{TlsError, readable, tls_error};
pub use trust::{Trust, client_config};

use crate::kubeconfig;

/// Gathers, beside what else is done at the start, the entropy that aws-lc wants before its first
/// random number: some 25 ms of work, which the first request need not wait for.
pub fn warm_up() {
    let gather = || {
        // What cannot be had now is asked for again by whoever needs it, and fails there.
        let _ = ::aws_lc_rs::rand::fill(&mut [0]);
    };
    // Without a thread for it, the first handshake does it.
    let _ = thread::Builder::new().spawn(gather);
}

/// Why certificates or keys that we were given cannot be used. Each names its origin (the file,
/// or the entry and field) and none shows content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A private key that cannot be read.
    #[error("{origin}: line {line}: {what}")]
    BadPem {
        /// Where the text came from.
        origin: String,
        /// Where in it the section begins, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There are certificates, and none that can be read.
    #[error("{origin}: holds no certificate that can be read: {what}")]
    NoReadableCertificate {
        /// Where the text came from.
        origin: String,
        /// What is wrong with each, by its line.
        what: String,
    },
    /// There is no certificate where one is needed.
    #[error(
        "{origin}: holds no certificate; expected PEM with a line \"-----BEGIN CERTIFICATE-----\""
    )]
    NoCertificate {
        /// Where the text came from.
        origin: String,
    },
    /// There is no private key where one is needed.
    #[error(
        "{origin}: holds no private key; expected PEM with a line \"-----BEGIN PRIVATE KEY-----\" \
         (or RSA or EC PRIVATE KEY)"
    )]
    NoKey {
        /// Where the text came from.
        origin: String,
    },
    /// The private key has a passphrase.
    #[error(
        "{origin}: the private key is encrypted; write it without a passphrase \
         (openssl pkey -in KEY -out PLAIN-KEY) and guard the file by its mode"
    )]
    EncryptedKey {
        /// Where the text came from.
        origin: String,
    },
    /// The private key is of a kind that we cannot sign with, or is damaged.
    #[error("{origin}: the private key cannot be used: {what}")]
    BadKey {
        /// Where the key came from.
        origin: String,
        /// What it is.
        what: String,
    },
    /// PEM was fine, but what it holds is not an X.509 certificate that can be used.
    #[error("{origin}: {what}")]
    BadCertificate {
        /// Where the certificate came from.
        origin: String,
        /// What is wrong with it.
        what: String,
    },
    /// Certificate and private key do not belong together.
    #[error("{key}: this private key does not belong to the certificate in {certificate}")]
    KeyMismatch {
        /// Where the certificate came from.
        certificate: String,
        /// Where the key came from.
        key: String,
    },
    /// The cluster's authority cannot be read.
    #[error(transparent)]
    Authority(#[from] Box<kubeconfig::Error>),
    /// rustls refused a configuration for a listener.
    #[error("cannot set up TLS for a listener")]
    Listener(#[source] TlsError),
    /// The authority that client certificates are checked against cannot be used.
    #[error("cannot check client certificates against this authority")]
    ClientAuthority(#[source] rustls::server::VerifierBuilderError),
}

/// The one source of cryptography.
#[must_use]
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    &PROVIDER
}

#[cfg(test)]
mod testing;
