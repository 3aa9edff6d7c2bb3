#![allow(clippy::unwrap_used, clippy::too_many_lines)]

use std::sync::Arc;

use rustls::{
    CertRevocationListError, ContentType, EncryptedClientHelloError, ExtendedKeyPurpose,
    HandshakeType, PeerMisbehaved,
    pki_types::{AlgorithmIdentifier, ServerName, UnixTime},
};

use super::{super::TlsError, *};

/// Every variant of the errors of this version of rustls. The enums are non-exhaustive; new variants get
/// the message of the last arm.
fn every_error() -> Vec<Error> {
    use CertRevocationListError as L;
    use InvalidMessage as M;
    use PeerIncompatible as I;
    use PeerMisbehaved as P;
    let mut all = vec![
        Error::InappropriateMessage {
            expect_types: vec![ContentType::Handshake],
            got_type: ContentType::Alert,
        },
        Error::InappropriateHandshakeMessage {
            expect_types: vec![HandshakeType::ServerHello],
            got_type: HandshakeType::Finished,
        },
        Error::InvalidEncryptedClientHello(EncryptedClientHelloError::InvalidConfigList),
        Error::General("no such thing".to_owned()),
        Error::Other(OtherError(Arc::new(std::io::Error::other("no such thing")))),
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch),
        Error::InconsistentKeys(InconsistentKeys::Unknown),
        Error::NoCertificatesPresented,
        Error::UnsupportedNameType,
        Error::DecryptError,
        Error::EncryptError,
        Error::FailedToGetCurrentTime,
        Error::FailedToGetRandomBytes,
        Error::HandshakeNotComplete,
        Error::PeerSentOversizedRecord,
        Error::NoApplicationProtocol,
        Error::BadMaxFragmentSize,
    ];
    all.extend((0..=u8::MAX).map(|alert| Error::AlertReceived(alert.into())));
    all.extend(
        [
            P::AttemptedDowngradeToTls12WhenTls13IsSupported,
            P::BadCertChainExtensions,
            P::CipherSuiteDifferedOnRetry,
            P::DisallowedEncryptedExtension,
            P::DuplicateClientHelloExtensions,
            P::DuplicateEncryptedExtensions,
            P::DuplicateHelloRetryRequestExtensions,
            P::DuplicateNewSessionTicketExtensions,
            P::DuplicateServerHelloExtensions,
            P::DuplicateServerNameTypes,
            P::EarlyDataAttemptedInSecondClientHello,
            P::EarlyDataExtensionWithoutResumption,
            P::EarlyDataOfferedWithVariedCipherSuite,
            P::EchAcceptanceVariedAfterRetry,
            P::HandshakeHashVariedAfterRetry,
            P::IllegalHelloRetryRequestWithEmptyCookie,
            P::IllegalHelloRetryRequestWithNoChanges,
            P::IllegalHelloRetryRequestWithOfferedGroup,
            P::IllegalHelloRetryRequestWithUnofferedCipherSuite,
            P::IllegalHelloRetryRequestWithUnofferedNamedGroup,
            P::IllegalHelloRetryRequestWithUnsupportedVersion,
            P::IllegalHelloRetryRequestWithWrongSessionId,
            P::IllegalHelloRetryRequestWithInvalidEch,
            P::IllegalMiddleboxChangeCipherSpec,
            P::IllegalTlsInnerPlaintext,
            P::IncorrectBinder,
            P::InvalidCertCompression,
            P::InvalidMaxEarlyDataSize,
            P::InvalidKeyShare,
            P::KeyEpochWithPendingFragment,
            P::KeyUpdateReceivedInQuicConnection,
            P::MessageInterleavedWithHandshakeMessage,
            P::MissingBinderInPskExtension,
            P::MissingKeyShare,
            P::MissingPskExtensionInSecondClientHello,
            P::MissingPskModesExtension,
            P::MissingQuicTransportParameters,
            P::OfferedDuplicateCertificateCompressions,
            P::OfferedDuplicateKeyShares,
            P::OfferedEarlyDataWithOldProtocolVersion,
            P::OfferedEmptyApplicationProtocol,
            P::OfferedIncorrectCompressions,
            P::PskExtensionMustBeLast,
            P::PskExtensionWithMismatchedIdsAndBinders,
            P::RefusedToFollowHelloRetryRequest,
            P::RejectedEarlyDataInterleavedWithHandshakeMessage,
            P::ResumptionAttemptedWithVariedEms,
            P::ResumptionOfferedWithVariedCipherSuite,
            P::ResumptionOfferedWithVariedEms,
            P::ResumptionOfferedWithIncompatibleCipherSuite,
            P::SelectedDifferentCipherSuiteAfterRetry,
            P::SelectedInvalidPsk,
            P::SelectedTls12UsingTls13VersionExtension,
            P::SelectedUnofferedApplicationProtocol,
            P::SelectedUnofferedCertCompression,
            P::SelectedUnofferedCipherSuite,
            P::SelectedUnofferedCompression,
            P::SelectedUnofferedKxGroup,
            P::SelectedUnofferedPsk,
            P::SelectedUnusableCipherSuiteForVersion,
            P::ServerEchoedCompatibilitySessionId,
            P::ServerHelloMustOfferUncompressedEcPoints,
            P::ServerNameDifferedOnRetry,
            P::ServerNameMustContainOneHostName,
            P::SignedKxWithWrongAlgorithm,
            P::SignedHandshakeWithUnadvertisedSigScheme,
            P::TooManyEmptyFragments,
            P::TooManyKeyUpdateRequests,
            P::TooManyRenegotiationRequests,
            P::TooManyWarningAlertsReceived,
            P::TooMuchEarlyDataReceived,
            P::UnexpectedCleartextExtension,
            P::UnsolicitedCertExtension,
            P::UnsolicitedEncryptedExtension,
            P::UnsolicitedSctList,
            P::UnsolicitedServerHelloExtension,
            P::WrongGroupForKeyShare,
            P::UnsolicitedEchExtension,
        ]
        .map(Error::PeerMisbehaved),
    );
    all.extend(
        [
            I::EcPointsExtensionRequired,
            I::ExtendedMasterSecretExtensionRequired,
            I::IncorrectCertificateTypeExtension,
            I::KeyShareExtensionRequired,
            I::NamedGroupsExtensionRequired,
            I::NoCertificateRequestSignatureSchemesInCommon,
            I::NoCipherSuitesInCommon,
            I::NoEcPointFormatsInCommon,
            I::NoKxGroupsInCommon,
            I::NoSignatureSchemesInCommon,
            I::NullCompressionRequired,
            I::ServerDoesNotSupportTls12Or13,
            I::ServerSentHelloRetryRequestWithUnknownExtension,
            I::ServerTlsVersionIsDisabledByOurConfig,
            I::SignatureAlgorithmsExtensionRequired,
            I::SupportedVersionsExtensionRequired,
            I::Tls12NotOffered,
            I::Tls12NotOfferedOrEnabled,
            I::Tls13RequiredForQuic,
            I::UncompressedEcPointsRequired,
            I::UnsolicitedCertificateTypeExtension,
            I::ServerRejectedEncryptedClientHello(None),
        ]
        .map(Error::PeerIncompatible),
    );
    all.extend(
        [
            M::CertificatePayloadTooLarge,
            M::HandshakePayloadTooLarge,
            M::InvalidCcs,
            M::InvalidContentType,
            M::InvalidCertificateStatusType,
            M::InvalidCertRequest,
            M::InvalidDhParams,
            M::InvalidEmptyPayload,
            M::InvalidKeyUpdate,
            M::InvalidServerName,
            M::MessageTooLarge,
            M::MessageTooShort,
            M::MissingKeyExchange,
            M::NoSignatureSchemes,
            M::UnknownProtocolVersion,
            M::UnsupportedCompression,
            M::UnsupportedCurveType,
            M::EmptyTicketValue,
            M::IllegalEmptyValue,
            M::PreSharedKeyIsNotFinalExtension,
            M::UnknownHelloRetryRequestExtension,
            M::UnknownCertificateExtension,
            M::MissingData("SomeThing"),
            M::TrailingData("SomeThing"),
            M::UnexpectedMessage("SomeThing"),
            M::IllegalEmptyList("SomeThing"),
            M::DuplicateExtension(7),
        ]
        .map(Error::InvalidMessage),
    );
    #[allow(deprecated)]
    all.extend(
        [
            L::BadSignature,
            L::UnsupportedSignatureAlgorithm,
            L::InvalidCrlNumber,
            L::InvalidRevokedCertSerialNumber,
            L::IssuerInvalidForCrl,
            L::ParseError,
            L::UnsupportedCrlVersion,
            L::UnsupportedCriticalExtension,
            L::UnsupportedDeltaCrl,
            L::UnsupportedIndirectCrl,
            L::UnsupportedRevocationReason,
            L::Other(OtherError(Arc::new(std::io::Error::other("x")))),
        ]
        .map(Error::InvalidCertRevocationList),
    );
    all.extend(
        every_certificate_error()
            .into_iter()
            .map(Error::InvalidCertificate),
    );
    all
}

fn every_certificate_error() -> Vec<CertificateError> {
    use CertificateError as E;
    let (time, later) = (
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(1)),
        UnixTime::now(),
    );
    let algorithm = || vec![0x06, 0x03, 0x2b, 0x65, 0x70];
    #[allow(deprecated)]
    let mut all = vec![
        E::BadEncoding,
        E::Expired,
        E::NotValidYet,
        E::Revoked,
        E::UnhandledCriticalExtension,
        E::UnknownIssuer,
        E::UnknownRevocationStatus,
        E::ExpiredRevocationList,
        E::BadSignature,
        E::UnsupportedSignatureAlgorithm,
        E::NotValidForName,
        E::InvalidPurpose,
        E::InvalidOcspResponse,
        E::ApplicationVerificationFailure,
        E::ExpiredContext {
            time,
            not_after: later,
        },
        E::NotValidYetContext {
            time,
            not_before: later,
        },
        E::ExpiredRevocationListContext {
            time,
            next_update: later,
        },
        E::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: algorithm(),
            supported_algorithms: vec![AlgorithmIdentifier::from_slice(b"ab")],
        },
        E::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: algorithm(),
            public_key_algorithm_id: algorithm(),
        },
        E::NotValidForNameContext {
            expected: ServerName::try_from("a.example").unwrap(),
            presented: vec!["DnsName(\"b.example\")".to_owned()],
        },
        E::InvalidPurposeContext {
            required: ExtendedKeyPurpose::ServerAuth,
            presented: vec![ExtendedKeyPurpose::Other(vec![1, 2, 3])],
        },
    ];
    let webpki = every_webpki_error().into_iter();
    all.extend(webpki.map(|error| E::Other(OtherError(Arc::new(error)))));
    all
}

fn every_webpki_error() -> Vec<webpki::Error> {
    use webpki::Error as E;
    let (time, later) = (
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(1)),
        UnixTime::now(),
    );
    #[allow(deprecated)]
    let all = vec![
        E::BadDer,
        E::BadDerTime,
        E::CaUsedAsEndEntity,
        E::CertDistrusted,
        E::CertRevoked,
        E::EmptyEkuExtension,
        E::EndEntityUsedAsCa,
        E::ExtensionValueInvalid,
        E::InvalidCertValidity,
        E::InvalidCrlNumber,
        E::InvalidNetworkMaskConstraint,
        E::InvalidSerialNumber,
        E::InvalidCrlSignatureForPublicKey,
        E::InvalidSignatureForPublicKey,
        E::IssuerNotCrlSigner,
        E::MalformedDnsIdentifier,
        E::MalformedExtensions,
        E::MalformedNameConstraint,
        E::MaximumNameConstraintComparisonsExceeded,
        E::MaximumPathBuildCallsExceeded,
        E::MaximumPathDepthExceeded,
        E::MaximumSignatureChecksExceeded,
        E::NameConstraintViolation,
        E::PathLenConstraintViolated,
        E::RequiredEkuNotFound,
        E::SignatureAlgorithmMismatch,
        E::UnknownIssuer,
        E::UnknownRevocationStatus,
        E::UnsupportedCertVersion,
        E::UnsupportedCriticalExtension,
        E::UnsupportedCrlIssuingDistributionPoint,
        E::UnsupportedCrlVersion,
        E::UnsupportedDeltaCrl,
        E::UnsupportedIndirectCrl,
        E::UnsupportedNameType,
        E::UnsupportedRevocationReason,
        E::UnsupportedRevocationReasonsPartitioning,
        E::UnsupportedCrlSignatureAlgorithm,
        E::UnsupportedSignatureAlgorithm,
        E::UnsupportedCrlSignatureAlgorithmForPublicKey,
        E::UnsupportedSignatureAlgorithmForPublicKey,
        E::CertExpired {
            time,
            not_after: later,
        },
        E::CertNotValidYet {
            time,
            not_before: later,
        },
        E::CrlExpired {
            time,
            next_update: later,
        },
        E::TrailingData(webpki::DerTypeId::Certificate),
        E::RequiredEkuNotFoundContext(webpki::RequiredEkuNotFoundContext {
            required: webpki::KeyUsage::server_auth(),
            present: vec![vec![1, 2, 3]],
        }),
    ];
    all
}

/// Whether a text contains what looks like source code: a CamelCase name, a call, a structure or a path.
fn looks_like_code(text: &str) -> bool {
    let known = [
        "kubegate",
        "ChaCha20",
        "tls-server-name",
        "CA:TRUE",
        "CA:FALSE",
        "AES-GCM",
    ];
    let text = known
        .iter()
        .fold(text.to_owned(), |text, word| text.replace(word, ""));
    let chars: Vec<char> = text.chars().collect();
    let two_in_one = |pair: &[char]| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase();
    let call = |pair: &[char]| pair[0].is_ascii_alphanumeric() && pair[1] == '(';
    chars.windows(2).any(|pair| two_in_one(pair) || call(pair))
        || text.contains(['{', '}', '[', ']', '"'])
        || text.contains("::")
}

#[test]
fn no_message_contains_a_name_of_source_code() {
    let all = every_error();
    assert!(all.len() > 400, "{}", all.len());
    for error in all {
        let words = TlsError::from(error.clone()).to_string();
        assert!(!looks_like_code(&words), "{error:?}: {words}");
        assert!(words.len() > 10, "{error:?}: {words}");
    }
    for error in every_webpki_error() {
        let words = of_webpki(&error);
        assert!(!looks_like_code(words), "{error:?}: {words}");
    }
    // The control: the messages of the libraries.
    for error in [
        Error::InvalidCertificate(CertificateError::BadSignature),
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(
            webpki::Error::CaUsedAsEndEntity,
        )))),
        Error::AlertReceived(AlertDescription::HandshakeFailure),
        Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon),
    ] {
        assert!(looks_like_code(&error.to_string()), "{error}");
    }
}

#[test]
fn unsupported_protocols_and_alerts_are_named() {
    for (error, expected) in [
        (
            Error::AlertReceived(AlertDescription::HandshakeFailure),
            "alert handshake_failure): kubegate speaks TLS 1.2 and 1.3",
        ),
        (
            Error::AlertReceived(AlertDescription::ProtocolVersion),
            "speaks neither TLS 1.2 nor TLS 1.3",
        ),
        (
            Error::AlertReceived(AlertDescription::UnknownCA),
            "refused the client certificate (alert unknown_ca)",
        ),
        (
            Error::AlertReceived(AlertDescription::CertificateRequired),
            "requires a client certificate",
        ),
        (
            Error::AlertReceived(AlertDescription::UnknownPSKIdentity),
            "alert unknown_psk_identity",
        ),
        (
            Error::AlertReceived(AlertDescription::Unknown(99)),
            "alert 99",
        ),
        (
            Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig),
            "speaks neither TLS 1.2",
        ),
        (
            Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite),
            "(selected unoffered cipher suite)",
        ),
    ] {
        let words = of_error(&error);
        assert!(words.contains(expected), "{error:?}: {words}");
    }
}
