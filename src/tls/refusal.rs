//! [`Refusal`]: why a server's certificate was refused, in words that say what to do.

use std::{error::Error as StdError, io, sync::Arc};

use jiff::Timestamp;
use rustls::{AlertDescription, CertificateError, InvalidMessage, OtherError};

use super::TlsError;

/// Why we did not believe a server. Nothing was sent to it but the handshake.
///
/// It travels as the [`rustls::Error`] of the handshake; [`refusal`] finds it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody we trust vouches for the certificate.
    #[error(
        "the server's certificate was not issued by a CA trusted here ({trusted}): subject \"{subject}\", issuer \
         \"{issuer}\", SHA-256 {sha256}; if this is the right server, set certificate-authority \
         to the CA that issued it"
    )]
    UnknownIssuer {
        /// What we do trust: the origin of the roots.
        trusted: String,
        /// Whom the certificate names.
        subject: String,
        /// Who issued it, by its own words.
        issuer: String,
        /// Its fingerprint as `openssl x509 -fingerprint -sha256` prints it.
        sha256: String,
    },
    /// A CA that we trust has the issuer's name, but another key: a rebuilt cluster, or a forgery.
    #[error(
        "the server's certificate was signed by another key than the one of the same name in \
         {trusted}: subject \"{subject}\", issuer \"{issuer}\", SHA-256 {sha256}; if the cluster \
         was rebuilt, fetch its kubeconfig (certificate-authority) anew"
    )]
    IssuerKeyChanged {
        /// What we do trust: the origin of the roots.
        trusted: String,
        /// Whom the certificate names.
        subject: String,
        /// Who issued it, by its own words.
        issuer: String,
        /// Its fingerprint as `openssl x509 -fingerprint -sha256` prints it.
        sha256: String,
    },
    /// The server's certificate has ended.
    #[error(
        "the server's certificate \"{subject}\" expired at {since}, and it is {now} now; renew it \
         on the server, or set this machine's clock right"
    )]
    Expired {
        /// Whom the certificate names.
        subject: String,
        /// Its last second.
        since: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// The server's certificate has not begun.
    #[error(
        "the server's certificate \"{subject}\" is not valid before {from}, and it is {now} now; \
         is this machine's clock right?"
    )]
    NotYetValid {
        /// Whom the certificate names.
        subject: String,
        /// Its first second.
        from: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// A CA between the certificate and us, or the one we trust, has ended.
    #[error(
        "the CA \"{subject}\" behind the server's certificate expired at {since}, and it is {now} \
         now; renew it and update certificate-authority, or set this machine's clock right"
    )]
    AuthorityExpired {
        /// The CA.
        subject: String,
        /// Its last second.
        since: Timestamp,
        /// This machine's time.
        now: Timestamp,
    },
    /// A CA between the certificate and us, or the one we trust, has not begun.
    #[error(
        "the CA \"{subject}\" behind the server's certificate is not valid before {from}, and it \
         is {now} now; is this machine's clock right?"
    )]
    AuthorityNotYetValid {
        /// The CA.
        subject: String,
        /// Its first second.
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
        /// The name or address that had to be in it.
        asked: String,
        /// Its names and addresses.
        presented: Vec<String>,
    },
    /// The URL has an IP address, and the certificate has only names.
    #[error(
        "the server's certificate is for no IP address and so not for {asked}, only for {}; put \
         such a name into the server's URL, or set tls-server-name to it",
        list(presented)
    )]
    NoAddress {
        /// The address that had to be in it.
        asked: String,
        /// Its names.
        presented: Vec<String>,
    },
    /// The certificate has no subject alternative name at all.
    #[error(
        "the server's certificate has no subjectAltName, only the common name \"{common_name}\", \
         which kubegate ignores as kubectl does; issue one with a subjectAltName for \"{asked}\""
    )]
    CommonNameOnly {
        /// The name or address that had to be in it.
        asked: String,
        /// Its common name; empty if it has none.
        common_name: String,
    },
    /// The certificate is not for TLS servers.
    #[error(
        "the server's certificate \"{subject}\" is for other purposes than TLS servers; issue one \
         with the extended key usage serverAuth"
    )]
    WrongPurpose {
        /// Whom the certificate names.
        subject: String,
    },
    /// The cryptography library cannot check it: nothing says that it is forged.
    #[error(
        "{} cannot be checked here: {what}; issue it anew",
        whose(subject, *is_authority)
    )]
    Unsupported {
        /// Whose certificate it is.
        subject: String,
        /// Whether it is one above the server's.
        is_authority: bool,
        /// The key or signature.
        what: String,
    },
    /// A CA signed it, or one above it, that may not.
    #[error(
        "the CA \"{subject}\" behind the server's certificate may not issue it: {why}; issue it by \
         another CA"
    )]
    AuthorityMayNot {
        /// The CA.
        subject: String,
        /// What forbids it.
        why: String,
    },
    /// A trusted certificate issued it, or one above it, that is not a CA certificate.
    #[error(
        "the server's certificate, or one behind it, was issued by \"{subject}\", whose certificate \
         in {trusted} is not a CA certificate: {why}; issue that one anew with CA:TRUE, or set \
         certificate-authority to the server's own certificate"
    )]
    IssuerIsNotCa {
        /// The origin of the roots.
        trusted: String,
        /// The subject of the trusted certificate.
        subject: String,
        /// What it lacks.
        why: String,
    },
    /// A CA that may only issue for other names signed it, or one above it.
    #[error(
        "a CA behind the server's certificate may not issue it for {}: its name constraints allow \
         other names only; issue it by another CA",
        list(presented)
    )]
    OutsideConstraints {
        /// The certificate's names and addresses.
        presented: Vec<String>,
    },
    /// The chain is longer than the library follows.
    #[error(
        "the chain behind the server's certificate \"{subject}\" has more than six intermediate \
         certificates ({shown} were sent), which is not followed; set certificate-authority to \
         one of the CAs nearer to it"
    )]
    TooManyIntermediates {
        /// Whom the server's certificate names.
        subject: String,
        /// How many the server sent.
        shown: usize,
    },
    /// A CA's certificate as the server's own, under an intermediate.
    #[error(
        "the server's certificate \"{subject}\" is a CA's own (CA:TRUE); such a one is accepted \
         where a CA trusted here signed it itself and without name constraints; issue one with \
         CA:FALSE"
    )]
    AuthorityAsServer {
        /// Whom the certificate names.
        subject: String,
    },
    /// The server does not have the certificate's private key.
    #[error(
        "the server could not prove that it holds the key of its certificate ({reason}); something \
         between may be posing as it"
    )]
    UnprovenKey {
        /// What the TLS library says.
        reason: String,
    },
    /// The certificate, or one above it, cannot be used at all.
    #[error(
        "the server's certificate cannot be used ({reason}): subject \"{subject}\", issuer \
         \"{issuer}\", SHA-256 {sha256}"
    )]
    Unusable {
        /// What the TLS library says.
        reason: String,
        /// Whom the certificate names.
        subject: String,
        /// Who issued it, by its own words.
        issuer: String,
        /// Its fingerprint as `openssl x509 -fingerprint -sha256` prints it.
        sha256: String,
    },
    /// What the server sent as its certificate is not X.509.
    #[error("what the server sent as its certificate cannot be read; is this a TLS server?")]
    Unreadable,
    /// There is nobody to trust.
    #[error(
        "no CA certificates are installed on this system ({reason}); install them \
         (ca-certificates), or set certificate-authority"
    )]
    NoSystemRoots {
        /// What went wrong in loading them.
        reason: String,
    },
}

impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> Self {
        CertificateError::Other(OtherError(Arc::new(refusal))).into()
    }
}

/// Finds the [`Refusal`] in an error of a failed connection, however deep.
#[must_use]
pub fn refusal<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Refusal> {
    find(error, |error| error.downcast_ref())
}

/// Whether a connection failed because what the server said is not TLS.
#[must_use]
pub fn is_not_tls(error: &(dyn StdError + 'static)) -> bool {
    let no_tls = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
    find(error, |error| {
        error
            .downcast_ref::<rustls::Error>()
            .filter(|e| **e == no_tls)
    })
    .is_some()
}

/// Whether a server refused a connection because it speaks none of the protocols that were
/// offered to it (RFC 7301 section 3.2).
#[must_use]
pub fn is_alpn_refusal(error: &(dyn StdError + 'static)) -> bool {
    let refused = rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    find(error, |error| {
        error
            .downcast_ref::<rustls::Error>()
            .filter(|e| **e == refused)
    })
    .is_some()
}

/// What the system said, where it is the system that made a connection fail.
#[must_use]
pub fn io_error_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    find(error, |error| {
        error
            .downcast_ref::<io::Error>()
            .filter(|e| e.kind() != io::ErrorKind::Other)
    })
    .map(io::Error::kind)
}

pub(super) fn find<'a, T>(
    mut error: &'a (dyn StdError + 'static),
    wanted: impl Fn(&'a (dyn StdError + 'static)) -> Option<&'a T>,
) -> Option<&'a T> {
    loop {
        if let Some(found) = wanted(error) {
            return Some(found);
        }
        // None of these shows what it wraps through `source`.
        let wrapped = if let Some(error) = error.downcast_ref::<TlsError>() {
            Some(error.cause() as &(dyn StdError + 'static))
        } else if let Some(error) = error.downcast_ref::<io::Error>() {
            error
                .get_ref()
                .map(|inner| inner as &(dyn StdError + 'static))
        } else if let Some(error) = error.downcast_ref::<rustls::Error>() {
            certificate_error(error)
        } else {
            error
                .downcast_ref::<Arc<dyn StdError + Send + Sync>>()
                .map(|inner| &**inner as &(dyn StdError + 'static))
        };
        error = match wrapped {
            Some(inner) => inner,
            None => error.source()?,
        };
    }
}

fn certificate_error(error: &rustls::Error) -> Option<&(dyn StdError + 'static)> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            Some(inner.as_ref())
        }
        _ => None,
    }
}

fn whose(subject: &str, is_authority: bool) -> String {
    if is_authority {
        format!("the certificate of the CA \"{subject}\" behind the server's")
    } else {
        format!("the server's certificate \"{subject}\"")
    }
}

/// Names for a sentence, at most ten of them.
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
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("connect")]
    struct Connect(#[source] io::Error);

    #[test]
    fn a_refusal_is_found_under_any_wrapping() {
        let wrong = Refusal::WrongPurpose {
            subject: "CN=x".to_owned(),
        };
        let io = io::Error::new(
            io::ErrorKind::InvalidData,
            rustls::Error::from(wrong.clone()),
        );
        assert_eq!(refusal(&Connect(io::Error::other(io))), Some(&wrong));
        assert_eq!(refusal(&wrong), Some(&wrong));
    }

    #[test]
    fn other_errors_hold_no_refusal() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(refusal(&Connect(reset)), None);
        let unknown = rustls::Error::from(CertificateError::UnknownIssuer);
        assert_eq!(refusal(&io::Error::other(unknown)), None);
    }

    #[test]
    fn long_lists_of_names_are_cut() {
        let names = |count: usize| vec!["a".to_owned(); count];
        assert_eq!(list(&names(2)), "a, a");
        assert!(list(&names(10)).ends_with("a, a"));
        assert!(list(&names(512)).ends_with(", a and 502 more"));
        assert_eq!(list(&[]), "no name");
    }
}
