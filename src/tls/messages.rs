//! The errors of the TLS libraries in words.

use std::{borrow::Cow, fmt::Debug};

use rustls::{
    AlertDescription, CertificateError, Error, InconsistentKeys, InvalidMessage, OtherError,
    PeerIncompatible,
};

use crate::printable::printable;

/// What a server that fits must be able to do.
const SPOKEN: &str = "kubegate speaks TLS 1.2 and 1.3 with cipher suites of AES-GCM or ChaCha20, key \
                      exchange over X25519, P-256 or P-384 (not P-521, RSA or finite fields) and no \
                      CBC";
const OLD: &str = "the server speaks neither TLS 1.2 nor TLS 1.3, and older versions are not spoken \
                   here; have it speak a newer one";

pub(super) fn of_error(error: &Error) -> Cow<'static, str> {
    match error {
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::PeerIncompatible(why) => of_incompatible(why),
        Error::PeerMisbehaved(why) => format!(
            "the server does not keep to the TLS protocol ({})",
            spoken(why)
        )
        .into(),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what the server said is not TLS".into()
        }
        Error::InvalidMessage(why) => format!(
            "the server sent a message that is not valid TLS ({})",
            spoken(why)
        )
        .into(),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the server sent a message of TLS where another is due".into()
        }
        Error::InvalidCertRevocationList(_) => {
            "a certificate revocation list cannot be used".into()
        }
        Error::InvalidEncryptedClientHello(_) => "the encrypted client hello failed".into(),
        Error::NoCertificatesPresented => "the other end showed no certificate".into(),
        Error::UnsupportedNameType => "a name of this kind cannot be asked for".into(),
        Error::DecryptError => "what the server sent cannot be decrypted".into(),
        Error::EncryptError => "what is to be sent cannot be encrypted".into(),
        Error::HandshakeNotComplete => "the TLS handshake is not complete".into(),
        Error::PeerSentOversizedRecord => "the server sent a TLS record that is too large".into(),
        Error::NoApplicationProtocol => {
            "the two ends have no application protocol in common (ALPN)".into()
        }
        Error::FailedToGetCurrentTime => "this machine does not tell the time".into(),
        Error::FailedToGetRandomBytes => "this machine gives no random numbers".into(),
        Error::BadMaxFragmentSize => "the size of TLS records is set wrongly".into(),
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the private key does not belong to the certificate".into()
        }
        Error::InconsistentKeys(_) => {
            "whether the private key belongs to the certificate cannot be told".into()
        }
        Error::General(text) => format!("TLS failed: {}", printable(text)).into(),
        Error::Other(OtherError(inner)) => {
            format!("TLS failed: {}", printable(&inner.to_string())).into()
        }
        _ => "TLS failed".into(),
    }
}

fn of_alert(alert: AlertDescription) -> Cow<'static, str> {
    use AlertDescription as A;
    let name = match alert {
        A::Unknown(number) => number.to_string(),
        known => spoken(&known).replace(' ', "_"),
    };
    match alert {
        A::HandshakeFailure | A::InsufficientSecurity => format!(
            "the server found nothing in TLS that both ends can do, or wants a client certificate \
             (alert {name}): {SPOKEN}"
        ),
        A::ProtocolVersion | A::InappropriateFallback => format!("{OLD} (alert {name})"),
        A::CertificateRequired | A::NoCertificate => format!(
            "the server wants a client certificate, and was shown none that it takes (alert {name})"
        ),
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied => format!("the server refused the client certificate (alert {name})"),
        A::UnrecognisedName => format!(
            "the server does not know the name that it was asked for (alert {name}); tls-server-name \
             sets another"
        ),
        _ => format!("the server broke TLS off (alert {name})"),
    }
    .into()
}

fn of_incompatible(why: &PeerIncompatible) -> Cow<'static, str> {
    use PeerIncompatible as P;
    match why {
        P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig
        | P::SupportedVersionsExtensionRequired
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled => OLD.into(),
        P::NoCipherSuitesInCommon
        | P::NoKxGroupsInCommon
        | P::NoEcPointFormatsInCommon
        | P::NoSignatureSchemesInCommon
        | P::NoCertificateRequestSignatureSchemesInCommon => format!(
            "there is nothing in TLS that both ends can do ({}): {SPOKEN}",
            spoken(why)
        )
        .into(),
        _ => format!(
            "the server cannot do what is needed of TLS ({})",
            spoken(why)
        )
        .into(),
    }
}

/// A verdict on a certificate that was not given by [`super::trust`], which says more.
pub(super) fn of_certificate(error: &CertificateError) -> Cow<'static, str> {
    use CertificateError as E;
    match error {
        E::BadEncoding => "the certificate cannot be read",
        E::Expired | E::ExpiredContext { .. } => "the certificate expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "the certificate is not valid yet",
        E::Revoked => "the certificate is revoked",
        E::UnhandledCriticalExtension => {
            "the certificate has a critical extension that is not known"
        }
        E::UnknownIssuer => "the certificate was not issued by a CA that is trusted",
        E::UnknownRevocationStatus => "whether the certificate is revoked cannot be told",
        E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => {
            "the certificate revocation list expired"
        }
        E::BadSignature => "a signature is wrong",
        #[allow(deprecated)]
        E::UnsupportedSignatureAlgorithm
        | E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the algorithm of a signature cannot be checked here"
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            "the certificate is for another name"
        }
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "the certificate is for another purpose"
        }
        E::InvalidOcspResponse => "the answer that the certificate is not revoked is not valid",
        E::ApplicationVerificationFailure => "the certificate was refused",
        E::Other(OtherError(inner)) => {
            return match inner.downcast_ref::<webpki::Error>() {
                Some(error) => {
                    format!("the certificate cannot be used: {}", of_webpki(error)).into()
                }
                // A refusal of our own, or what another verifier says.
                None => printable(&inner.to_string()).into_owned().into(),
            };
        }
        _ => "the certificate cannot be used",
    }
    .into()
}

/// The reason behind "cannot be used".
pub(super) fn of_webpki(error: &webpki::Error) -> &'static str {
    use webpki::Error as E;
    match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => "it is not valid DER",
        E::CaUsedAsEndEntity => "it is a CA's own (CA:TRUE)",
        E::CertDistrusted => "its key is known not to be trusted",
        E::CertExpired { .. } => "it expired",
        E::CertNotValidYet { .. } => "it is not valid yet",
        E::CertNotValidForName(_) => "it is for another name",
        E::CertRevoked => "it is revoked",
        E::EmptyEkuExtension => "its extended key usage is empty",
        E::EndEntityUsedAsCa => "it was issued by what is no CA (CA:FALSE)",
        E::ExtensionValueInvalid | E::MalformedExtensions => "an extension of it is not valid",
        E::InvalidCertValidity => "its dates contradict each other",
        E::InvalidNetworkMaskConstraint | E::MalformedNameConstraint => {
            "the name constraints of a CA behind it are not valid"
        }
        E::InvalidSerialNumber => "its serial number is not valid",
        E::InvalidSignatureForPublicKey => "its signature is wrong",
        E::MalformedDnsIdentifier => "a DNS name in it is not valid",
        E::MaximumNameConstraintComparisonsExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumSignatureChecksExceeded => "its chain takes too long to check",
        E::MaximumPathDepthExceeded => "its chain has more than six intermediate certificates",
        E::NameConstraintViolation => "the name constraints of a CA behind it forbid its names",
        E::PathLenConstraintViolated => {
            "a CA behind it allows fewer intermediate certificates below itself (pathlen)"
        }
        #[allow(deprecated)]
        E::RequiredEkuNotFound | E::RequiredEkuNotFoundContext(_) => "it is for another purpose",
        E::SignatureAlgorithmMismatch => "it names two different algorithms for its signature",
        E::UnknownIssuer => "it was not issued by a CA that is trusted",
        E::UnsupportedCertVersion => "it, or one behind it, is not of X.509 version 3",
        E::UnsupportedCriticalExtension => {
            "it, or one behind it, has a critical extension that is not known"
        }
        E::UnsupportedNameType => "a name of this kind cannot be checked",
        #[allow(deprecated)]
        E::UnsupportedSignatureAlgorithm
        | E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKey
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "the algorithm of its signature, or of one behind it, cannot be checked here"
        }
        // The rest is about revocation lists, which are not asked for.
        _ => "it cannot be checked",
    }
}

/// The name of a variant as words: `NoKxGroupsInCommon` is "no kx groups in common".
fn spoken(variant: &impl Debug) -> String {
    let debug = format!("{variant:?}");
    let name: Vec<char> = debug
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect();
    let mut words = String::with_capacity(name.len() + 8);
    for (at, c) in name.iter().enumerate() {
        let begins = c.is_ascii_uppercase()
            && at > 0
            && (!name[at - 1].is_ascii_uppercase()
                || name.get(at + 1).is_some_and(char::is_ascii_lowercase));
        if begins {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests;
