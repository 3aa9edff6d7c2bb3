//! [`Refusal`]: why a server's certificate was refused, and what to do about it.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::{CertificateError, OtherError};

/// Why a server was refused. Nothing but the handshake was sent to it.
///
/// It is wrapped in the [`rustls::Error`] of the handshake; [`super::refusal`] finds it there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No trusted CA issued the certificate.
    #[error(
        "the server's certificate was not issued by a CA trusted here ({trusted}): subject \"{subject}\", issuer \
         \"{issuer}\", SHA-256 {sha256}; if this is the right server, set certificate-authority \
         to the CA that issued it"
    )]
    UnknownIssuer {
        /// The origin of the trusted certificates.
        trusted: String,
        /// The subject of the certificate.
        subject: String,
        /// The issuer that it names.
        issuer: String,
        /// Its fingerprint, as `openssl x509 -fingerprint -sha256` prints it.
        sha256: String,
    },
    /// A trusted CA has the issuer's name, but another key: a rebuilt cluster, or a forgery.
    #[error(
        "the server's certificate was signed by another key than that of the CA of the same name \
         that is trusted here ({trusted}): subject \"{subject}\", issuer \"{issuer}\", SHA-256 {sha256}; if the cluster \
         was rebuilt, fetch its kubeconfig (certificate-authority) anew"
    )]
    IssuerKeyChanged {
        /// The origin of the trusted certificates.
        trusted: String,
        /// The subject of the certificate.
        subject: String,
        /// The issuer that it names.
        issuer: String,
        /// Its fingerprint, as `openssl x509 -fingerprint -sha256` prints it.
        sha256: String,
    },
    /// The server's certificate has expired.
    #[error(
        "the server's certificate \"{subject}\" expired at {since}, and it is {now} now; renew it \
         on the server, or set this machine's clock right"
    )]
    Expired {
        /// The subject of the certificate.
        subject: String,
        /// The last second of its validity.
        since: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// The server's certificate is not valid yet.
    #[error(
        "the server's certificate \"{subject}\" is not valid before {from}, and it is {now} now; \
         is this machine's clock right?"
    )]
    NotYetValid {
        /// The subject of the certificate.
        subject: String,
        /// The first second of its validity.
        from: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// An intermediate or trusted CA certificate has expired.
    #[error(
        "the CA \"{subject}\" in the chain of the server's certificate expired at {since}, and it is \
         {now} now; renew it and update certificate-authority, or set this machine's clock right"
    )]
    CaExpired {
        /// The subject of the CA.
        subject: String,
        /// The last second of its validity.
        since: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// An intermediate or trusted CA certificate is not valid yet.
    #[error(
        "the CA \"{subject}\" in the chain of the server's certificate is not valid before {from}, \
         and it is {now} now; is this machine's clock right?"
    )]
    CaNotYetValid {
        /// The subject of the CA.
        subject: String,
        /// The first second of its validity.
        from: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// The certificate is for other names.
    #[error(
        "the server's certificate is not for \"{asked}\" but for {}; if this is the right server, \
         set tls-server-name to one of its names",
        list(presented)
    )]
    WrongName {
        /// The required name or address.
        asked: String,
        /// Its names and addresses.
        presented: Vec<String>,
    },
    /// The URL has an IP address, and the certificate has only DNS names.
    #[error(
        "the server's certificate is for no IP address and so not for {asked}, only for {}; put \
         such a name into the server's URL, or set tls-server-name to it",
        list(presented)
    )]
    NoAddress {
        /// The required address.
        asked: String,
        /// Its DNS names.
        presented: Vec<String>,
    },
    /// The certificate has no subject alternative name.
    #[error(
        "the server's certificate has no subjectAltName, only the common name \"{common_name}\", \
         which kubegate ignores as kubectl does; issue one with a subjectAltName for \"{asked}\""
    )]
    CommonNameOnly {
        /// The required name or address.
        asked: String,
        /// Its common name; empty if there is none.
        common_name: String,
    },
    /// The certificate's extended key usage does not include TLS servers.
    #[error(
        "the server's certificate \"{subject}\" is for other purposes than TLS servers; issue one \
         with the extended key usage serverAuth"
    )]
    WrongPurpose {
        /// The subject of the certificate.
        subject: String,
    },
    /// The cryptography library does not support its key or signature, which does not mean that it is
    /// forged.
    #[error(
        "{} cannot be checked here: {what}; reissue it",
        whose(subject, *is_ca)
    )]
    Unsupported {
        /// The subject of the certificate.
        subject: String,
        /// Whether it is a CA certificate, not the server's.
        is_ca: bool,
        /// What is not supported.
        what: String,
    },
    /// A CA in the chain may not issue server certificates.
    #[error(
        "the CA \"{subject}\" in the chain of the server's certificate may not issue it: {why}; issue \
         it by another CA"
    )]
    CaMayNotIssue {
        /// The subject of the CA.
        subject: String,
        /// The reason.
        why: String,
    },
    /// A trusted certificate that is not a CA certificate issued a certificate of the chain.
    #[error(
        "the server's certificate, or one in its chain, was issued by \"{subject}\", whose \
         certificate is trusted here ({trusted}) but is not a CA certificate: {why}; reissue that one \
         with CA:TRUE, or set certificate-authority to the server's own certificate"
    )]
    IssuerIsNotCa {
        /// The origin of the trusted certificates.
        trusted: String,
        /// The subject of the trusted certificate.
        subject: String,
        /// What it lacks.
        why: String,
    },
    /// The name constraints of a CA in the chain do not permit the certificate's names.
    #[error(
        "a CA in the chain of the server's certificate may not issue it for {}: the CA's name \
         constraints allow other names only; issue it by another CA",
        list(presented)
    )]
    NameConstraints {
        /// The certificate's names and addresses.
        presented: Vec<String>,
    },
    /// The chain is longer than webpki's limit.
    #[error(
        "the chain of the server's certificate \"{subject}\" has more than six intermediate \
         certificates ({count} were sent), which is not supported; set certificate-authority to \
         one of the CAs nearer to it"
    )]
    TooManyIntermediates {
        /// The subject of the server's certificate.
        subject: String,
        /// The number that the server sent.
        count: usize,
    },
    /// The server's certificate is a CA certificate that no trusted CA signed directly.
    #[error(
        "the server's certificate \"{subject}\" is a CA certificate (CA:TRUE); that is accepted only \
         if a CA trusted here, without name constraints, signed it directly; issue one with CA:FALSE"
    )]
    CaAsServer {
        /// The subject of the certificate.
        subject: String,
    },
    /// The server does not have the certificate's private key.
    #[error(
        "the server could not prove that it holds the key of its certificate ({reason}); something \
         between may be posing as it"
    )]
    UnprovenKey {
        /// The reason that the TLS library gives.
        reason: String,
    },
    /// The certificate, or a CA certificate of its chain, cannot be used.
    #[error(
        "the server's certificate cannot be used ({reason}): subject \"{subject}\", issuer \
         \"{issuer}\", SHA-256 {sha256}"
    )]
    Unusable {
        /// The reason that the TLS library gives.
        reason: String,
        /// The subject of the certificate.
        subject: String,
        /// The issuer that it names.
        issuer: String,
        /// Its fingerprint, as `openssl x509 -fingerprint -sha256` prints it.
        sha256: String,
    },
    /// The server's certificate is not X.509.
    #[error("what the server sent as its certificate cannot be read; is this a TLS server?")]
    Unreadable,
    /// The system has no CA certificates.
    #[error(
        "no CA certificates are installed on this system ({reason}); install them \
         (ca-certificates), or set certificate-authority"
    )]
    NoSystemRoots {
        /// The error in loading them.
        reason: String,
    },
}

impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> Self {
        CertificateError::Other(OtherError(Arc::new(refusal))).into()
    }
}

fn whose(subject: &str, is_ca: bool) -> String {
    if is_ca {
        format!("the certificate of the CA \"{subject}\" in the server's chain")
    } else {
        format!("the server's certificate \"{subject}\"")
    }
}

/// A list of at most ten names for a message.
fn list(names: &[String]) -> String {
    const MOST: usize = 10;
    let shown = names[..names.len().min(MOST)].join(", ");
    match names.len() {
        0 => "no name".to_owned(),
        1..=MOST => shown,
        all => format!("{shown} and {} more", all - MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_of_names_are_cut() {
        let names = |count: usize| vec!["a".to_owned(); count];
        assert_eq!(list(&names(2)), "a, a");
        assert!(list(&names(10)).ends_with("a, a"));
        assert!(list(&names(512)).ends_with(", a and 502 more"));
        assert_eq!(list(&[]), "no name");
    }
}
