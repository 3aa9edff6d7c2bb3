//! Readable messages for the errors of rustls and webpki.

use std::{borrow::Cow, fmt::Debug};

use rustls::{
    AlertDescription, CertificateError, Error, InconsistentKeys, InvalidMessage, OtherError,
    PeerIncompatible,
};

use crate::printable::printable;

/// What a server must support.
const SUPPORTED: &str = "kubegate speaks TLS 1.2 and 1.3 with cipher suites of AES-GCM or ChaCha20, key \
                      exchange over X25519, P-256 or P-384 (not P-521, RSA or finite fields) and no \
                      CBC";
const OLD: &str = "the server speaks neither TLS 1.2 nor TLS 1.3, and kubegate supports no older \
                   version; enable a newer one on the server";

pub(super) fn of_error(error: &Error) -> Cow<'static, str> {
    match error {
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::PeerIncompatible(why) => of_incompatible(why),
        Error::PeerMisbehaved(why) => format!(
            "the server violates the TLS protocol ({})",
            variant_name(why)
        )
        .into(),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS".into()
        }
        Error::InvalidMessage(why) => format!(
            "the server sent a message that is not valid TLS ({})",
            variant_name(why)
        )
        .into(),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the server sent a TLS message where another one is expected".into()
        }
        Error::InvalidCertRevocationList(_) => {
            "a certificate revocation list cannot be used".into()
        }
        Error::InvalidEncryptedClientHello(_) => "the encrypted client hello failed".into(),
        Error::NoCertificatesPresented => "the other end presented no certificate".into(),
        Error::UnsupportedNameType => "names of this kind are not supported".into(),
        Error::DecryptError => "data of the server cannot be decrypted".into(),
        Error::EncryptError => "data for the server cannot be encrypted".into(),
        Error::HandshakeNotComplete => "the TLS handshake is not complete".into(),
        Error::PeerSentOversizedRecord => "the server sent a TLS record that is too large".into(),
        Error::NoApplicationProtocol => {
            "the two ends have no application protocol in common (ALPN)".into()
        }
        Error::FailedToGetCurrentTime => "the time of this machine cannot be read".into(),
        Error::FailedToGetRandomBytes => "this machine provides no random numbers".into(),
        Error::BadMaxFragmentSize => "the configured size of TLS records is not valid".into(),
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the private key does not belong to the certificate".into()
        }
        Error::InconsistentKeys(_) => {
            "it is unknown whether the private key belongs to the certificate".into()
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
        known => variant_name(&known).replace(' ', "_"),
    };
    match alert {
        A::HandshakeFailure | A::InsufficientSecurity => format!(
            "the server found no TLS parameters that both ends support, or requires a client certificate \
             (alert {name}): {SUPPORTED}"
        ),
        A::ProtocolVersion | A::InappropriateFallback => format!("{OLD} (alert {name})"),
        A::CertificateRequired | A::NoCertificate => format!(
            "the server requires a client certificate, and got none that it accepts (alert {name})"
        ),
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied => format!("the server refused the client certificate (alert {name})"),
        A::UnrecognisedName => format!(
            "the server does not know the name that was sent to it (alert {name}); tls-server-name \
             sets another"
        ),
        _ => format!("the server aborted the TLS connection (alert {name})"),
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
            "there are no TLS parameters that both ends support ({}): {SUPPORTED}",
            variant_name(why)
        )
        .into(),
        _ => format!(
            "the server does not support a required feature of TLS ({})",
            variant_name(why)
        )
        .into(),
    }
}

/// The message for an error about a certificate. Those of the [`verifier`](super::verifier) are
/// [`Refusal`](super::Refusal)s, which say more.
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
        E::UnknownRevocationStatus => "it is unknown whether the certificate is revoked",
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
        E::InvalidOcspResponse => "the OCSP response about the certificate is not valid",
        E::ApplicationVerificationFailure => "the certificate was refused",
        E::Other(OtherError(inner)) => {
            return match inner.downcast_ref::<webpki::Error>() {
                Some(error) => {
                    format!("the certificate cannot be used: {}", of_webpki(error)).into()
                }
                // A refusal of this module, or the error of another verifier.
                None => printable(&inner.to_string()).into_owned().into(),
            };
        }
        _ => "the certificate cannot be used",
    }
    .into()
}

/// The message for an error of webpki, as the reason why a certificate cannot be used.
pub(super) fn of_webpki(error: &webpki::Error) -> &'static str {
    use webpki::Error as E;
    match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => "it is not valid DER",
        E::CaUsedAsEndEntity => "it is a CA certificate (CA:TRUE)",
        E::CertDistrusted => "its key is known not to be trusted",
        E::CertExpired { .. } => "it expired",
        E::CertNotValidYet { .. } => "it is not valid yet",
        E::CertNotValidForName(_) => "it is for another name",
        E::CertRevoked => "it is revoked",
        E::EmptyEkuExtension => "its extended key usage is empty",
        E::EndEntityUsedAsCa => {
            "it was issued by a certificate that is not a CA certificate (CA:FALSE)"
        }
        E::ExtensionValueInvalid | E::MalformedExtensions => "an extension of it is not valid",
        E::InvalidCertValidity => "its dates contradict each other",
        E::InvalidNetworkMaskConstraint | E::MalformedNameConstraint => {
            "the name constraints of a CA in its chain are not valid"
        }
        E::InvalidSerialNumber => "its serial number is not valid",
        E::InvalidSignatureForPublicKey => "its signature is wrong",
        E::MalformedDnsIdentifier => "a DNS name in it is not valid",
        E::MaximumNameConstraintComparisonsExceeded
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumSignatureChecksExceeded => "its chain takes too long to verify",
        E::MaximumPathDepthExceeded => "its chain has more than six intermediate certificates",
        E::NameConstraintViolation => "the name constraints of a CA in its chain forbid its names",
        E::PathLenConstraintViolated => {
            "a CA in its chain allows fewer intermediate certificates below itself (pathlen)"
        }
        #[allow(deprecated)]
        E::RequiredEkuNotFound | E::RequiredEkuNotFoundContext(_) => "it is for another purpose",
        E::SignatureAlgorithmMismatch => "it names two different algorithms for its signature",
        E::UnknownIssuer => "it was not issued by a CA that is trusted",
        E::UnsupportedCertVersion => "it, or one in its chain, is not of X.509 version 3",
        E::UnsupportedCriticalExtension => {
            "it, or one in its chain, has a critical extension that is not known"
        }
        E::UnsupportedNameType => "a name of this kind cannot be checked",
        #[allow(deprecated)]
        E::UnsupportedSignatureAlgorithm
        | E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKey
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "the algorithm of its signature, or of one in its chain, cannot be checked here"
        }
        // The others are about revocation lists, which are not used.
        _ => "it cannot be checked",
    }
}

/// The name of a variant as lower-case words: `NoKxGroupsInCommon` is "no kx groups in common".
fn variant_name(variant: &impl Debug) -> String {
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
