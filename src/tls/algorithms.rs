//! Names key sizes, curves and algorithms that the cryptography library does not support. Its own error
//! is the same for all of them and for a forged signature.

use rustls::pki_types::PrivateKeyDer;
use x509_parser::{
    asn1_rs::{Any, FromDer as _, Oid},
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};

const RSA: &str = "1.2.840.113549.1.1.1";
const RSA_PSS: &str = "1.2.840.113549.1.1.10";
const EC: &str = "1.2.840.10045.2.1";
const ED25519: &str = "1.3.101.112";

/// Why a certificate's public key is not supported; `None` if it is.
pub(super) fn unsupported_public_key(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    let parameters = key.algorithm.parameters.as_ref();
    let algorithm = key.algorithm.algorithm.to_id_string();
    unsupported_key(&algorithm, parameters, || {
        elements(&key.subject_public_key.data)?.first().map(bits)
    })
}

/// Why a private key is not supported; `None` if it is, or if it cannot be parsed.
pub(super) fn unsupported_private_key(key: &PrivateKeyDer<'_>) -> Option<String> {
    match key {
        PrivateKeyDer::Pkcs1(key) => unsupported_rsa(rsa_bits(key.secret_pkcs1_der())?),
        PrivateKeyDer::Sec1(key) => {
            let parts = elements(key.secret_sec1_der())?;
            let parameters = parts.iter().find(|part| part.tag().0 == 0)?;
            unsupported_curve(children(parameters.data)?.first())
        }
        PrivateKeyDer::Pkcs8(key) => {
            let parts = elements(key.secret_pkcs8_der())?;
            let [_, algorithm, key, ..] = parts.as_slice() else {
                return None;
            };
            let algorithm = children(algorithm.data)?;
            let (name, parameters) = algorithm.split_first()?;
            let name = Oid::new(name.data.into()).to_id_string();
            unsupported_key(&name, parameters.first(), || rsa_bits(key.data))
        }
        _ => None,
    }
}

/// Why signatures of this algorithm are not supported; `None` if they are.
pub(super) fn unsupported_signature(algorithm: &AlgorithmIdentifier<'_>) -> Option<String> {
    let weak = |digest| {
        Some(format!(
            "signed with {digest}; SHA-256 or better can be checked"
        ))
    };
    let algorithm = algorithm.algorithm.to_id_string();
    match algorithm.as_str() {
        "1.2.840.113549.1.1.2" => weak("MD2"),
        "1.2.840.113549.1.1.4" => weak("MD5"),
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.3.14.3.2.29" => weak("SHA-1"),
        "1.2.840.113549.1.1.14" | "1.2.840.10045.4.3.1" => weak("SHA-224"),
        "1.2.840.113549.1.1.10"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.113549.1.1.12"
        | "1.2.840.113549.1.1.13"
        | "1.2.840.10045.4.3.2"
        | "1.2.840.10045.4.3.3"
        | "1.2.840.10045.4.3.4"
        | ED25519 => None,
        other if is_dsa(other) => {
            Some("signed with DSA; RSA, ECDSA and Ed25519 can be checked".into())
        }
        other => Some(format!(
            "signed with the algorithm {other}; RSA, ECDSA and Ed25519 can be checked"
        )),
    }
}

fn unsupported_key(
    algorithm: &str,
    parameters: Option<&Any<'_>>,
    bits: impl FnOnce() -> Option<usize>,
) -> Option<String> {
    match algorithm {
        RSA => unsupported_rsa(bits()?),
        EC => unsupported_curve(parameters),
        ED25519 => None,
        RSA_PSS => Some("RSA key for PSS alone; one for RSA can be used".into()),
        other if is_dsa(other) => Some("DSA key; RSA, ECDSA and Ed25519 can be used".into()),
        "1.3.101.113" => Some("Ed448 key; RSA, ECDSA and Ed25519 can be used".into()),
        other => Some(format!(
            "key of the algorithm {other}; RSA, ECDSA and Ed25519 can be used"
        )),
    }
}

fn unsupported_rsa(bits: usize) -> Option<String> {
    match bits {
        0..2048 => Some(format!("RSA key of {bits} bits; 2048 at least")),
        2048..=8192 => None,
        _ => Some(format!("RSA key of {bits} bits; 8192 at most")),
    }
}

fn unsupported_curve(parameters: Option<&Any<'_>>) -> Option<String> {
    const OTHERS: &str = "P-256, P-384 and P-521 can be used";
    // An OBJECT IDENTIFIER, or explicit parameters (RFC 5480 section 2.1.1).
    let Some(name) = parameters.filter(|parameters| parameters.tag().0 == 6) else {
        return Some(format!("EC key on a curve without a name; {OTHERS}"));
    };
    let curve = match Oid::new(name.data.into()).to_id_string().as_str() {
        "1.2.840.10045.3.1.7" | "1.3.132.0.34" | "1.3.132.0.35" => return None,
        "1.3.132.0.33" => "P-224".to_owned(),
        "1.2.840.10045.3.1.1" => "P-192".to_owned(),
        "1.3.132.0.10" => "secp256k1".to_owned(),
        other => other.to_owned(),
    };
    Some(format!("EC key on the curve {curve}; {OTHERS}"))
}

fn is_dsa(algorithm: &str) -> bool {
    // The numbers above 8 in NIST's arc are SHA-3 with ECDSA and RSA.
    let of_nist = algorithm.strip_prefix("2.16.840.1.101.3.4.3.");
    algorithm.starts_with("1.2.840.10040.4.")
        || of_nist.is_some_and(|last| last.parse().is_ok_and(|number: u8| number <= 8))
}

fn rsa_bits(pkcs1: &[u8]) -> Option<usize> {
    elements(pkcs1)?.get(1).map(bits)
}

/// The length of a number in bits.
fn bits(integer: &Any<'_>) -> usize {
    let zeros = integer.data.iter().take_while(|byte| **byte == 0).count();
    let digits = &integer.data[zeros..];
    let unused = digits.first().map_or(0, |first| first.leading_zeros());
    digits.len() * 8 - unused as usize
}

/// The elements of the sequence that `der` consists of.
fn elements(der: &[u8]) -> Option<Vec<Any<'_>>> {
    children(Any::from_der(der).ok()?.1.data)
}

fn children(mut der: &[u8]) -> Option<Vec<Any<'_>>> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (rest, one) = Any::from_der(der).ok()?;
        found.push(one);
        der = rest;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{
        super::{certificate::Certificate, pem, testing::file},
        *,
    };

    #[test]
    fn unsupported_keys_are_named() {
        for (name, words) in [
            ("rsa-1024.key", Some("RSA key of 1024 bits; 2048 at least")),
            (
                "rsa-1024-pkcs1.key",
                Some("RSA key of 1024 bits; 2048 at least"),
            ),
            (
                "p224-ca.key",
                Some("EC key on the curve P-224; P-256, P-384 and P-521 can be used"),
            ),
            (
                "p224-sec1.key",
                Some("EC key on the curve P-224; P-256, P-384 and P-521 can be used"),
            ),
            (
                "dsa-ca.key",
                Some("DSA key; RSA, ECDSA and Ed25519 can be used"),
            ),
            ("rsa.key", None),
            ("rsa-pkcs1.key", None),
            ("client.key", None),
            ("client-sec1.key", None),
        ] {
            let key = pem::private_key(&file(name), name).unwrap();
            assert_eq!(unsupported_private_key(&key).as_deref(), words, "{name}");
        }
        for (bits, usable) in [
            (2047, false),
            (2048, true),
            (4096, true),
            (8192, true),
            (16384, false),
        ] {
            assert_eq!(unsupported_rsa(bits).is_none(), usable, "{bits}");
        }
    }

    #[test]
    fn unsupported_certificates_are_named() {
        for (name, key, signature) in [
            ("localhost.pem", None, None),
            ("rsa.pem", None, None),
            (
                "rsa-1024.pem",
                Some("RSA key of 1024 bits; 2048 at least"),
                None,
            ),
            (
                "p224-ca.pem",
                Some("EC key on the curve P-224; P-256, P-384 and P-521 can be used"),
                None,
            ),
            (
                "dsa-ca.pem",
                Some("DSA key; RSA, ECDSA and Ed25519 can be used"),
                Some("signed with DSA; RSA, ECDSA and Ed25519 can be checked"),
            ),
            (
                "sha1-leaf.pem",
                None,
                Some("signed with SHA-1; SHA-256 or better can be checked"),
            ),
            (
                "md5-leaf.pem",
                None,
                Some("signed with MD5; SHA-256 or better can be checked"),
            ),
        ] {
            let der = pem::certificates(&file(name), name).unwrap();
            let certificate = Certificate::parse(&der[0]).unwrap();
            assert_eq!(certificate.unsupported_key().as_deref(), key, "{name}");
            assert_eq!(
                certificate.unsupported_signature().as_deref(),
                signature,
                "{name}"
            );
        }
    }
}
