//! Loads a certificate with its private key and checks that they belong together. Names the holder of a
//! client certificate.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use rustls::{pki_types::CertificateDer, sign::CertifiedKey};

use super::{Error, algorithms, certificate::Certificate, pem, provider};

/// Parses a certificate chain (leaf first) and its private key. The origins are for error messages.
///
/// # Errors
/// Errors of [`pem::certificates`] and [`pem::private_key`]; a key that is not supported, or does not
/// belong to the leaf.
pub fn certified_key(
    cert_pem: &[u8],
    cert_origin: &str,
    key_pem: &[u8],
    key_origin: &str,
) -> Result<Arc<CertifiedKey>, Error> {
    let chain = pem::certificates(cert_pem, cert_origin)?;
    let key = pem::private_key(key_pem, key_origin)?;
    let bad = Error::BadKey {
        origin: key_origin.to_owned(),
        what: algorithms::unsupported_private_key(&key)
            .unwrap_or_else(|| "it is damaged, or no RSA, ECDSA or Ed25519 key".to_owned()),
    };
    let loaded = provider().key_provider.load_private_key(key);
    let key = loaded.map_err(|_| bad)?;

    // `CertifiedKey::keys_match` cannot read version 1 certificates, which `openssl x509 -req` makes
    // and kubectl accepts.
    let leaf = Certificate::parse(&chain[0]).ok_or_else(|| Error::BadCertificate {
        origin: cert_origin.to_owned(),
        what: "the first certificate is not valid X.509".to_owned(),
    })?;
    match key.public_key() {
        Some(public) if public.as_ref() != leaf.public_key() => Err(Error::KeyMismatch {
            certificate: cert_origin.to_owned(),
            key: key_origin.to_owned(),
        }),
        _ => Ok(Arc::new(CertifiedKey::new(chain, key))),
    }
}

/// The time at which the leaf certificate expires; `None` if it cannot be represented.
#[must_use]
pub fn not_after(identity: &CertifiedKey) -> Option<SystemTime> {
    let leaf = Certificate::parse(identity.cert.first()?)?;
    let seconds = u64::try_from(*leaf.validity().end()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Checks that the certificate of a listener is valid at `now`. `origin` is for the error message.
///
/// # Errors
/// It has expired, or is not valid yet.
pub fn check_validity(identity: &CertifiedKey, origin: &str, now: SystemTime) -> Result<(), Error> {
    let parsed = identity.cert.first().and_then(Certificate::parse);
    let Some(validity) = parsed.map(|leaf| leaf.validity()) else {
        return Ok(());
    };
    let seconds = seconds_since_1970(now);
    let what = if seconds > *validity.end() {
        format!(
            "the certificate expired at {}; renew it",
            time(*validity.end())
        )
    } else if seconds < *validity.start() {
        let from = time(*validity.start());
        format!("the certificate is valid from {from} on; check this machine's clock")
    } else {
        return Ok(());
    };
    let origin = origin.to_owned();
    Err(Error::BadCertificate { origin, what })
}

/// Returns the name of a client by its certificate chain (leaf first): the common name, or else the first
/// URI or DNS name. `None` without a certificate, and once it has expired: a resumed session may have one
/// that was valid at its start.
#[must_use]
pub fn client_name(chain: &[CertificateDer<'_>], now: SystemTime) -> Option<String> {
    let leaf = Certificate::parse(chain.first()?)?;
    if !leaf.validity().contains(&seconds_since_1970(now)) {
        return None;
    }
    let named = leaf.common_name().filter(|name| !name.is_empty());
    let named = named.or_else(|| leaf.first_uri_or_dns_name());
    Some(named.unwrap_or_else(|| format!("certificate {}", leaf.sha256())))
}

fn seconds_since_1970(now: SystemTime) -> i64 {
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs();
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};

    use super::super::testing::file;
    use super::*;

    fn pair(certificate: &str, key: &str) -> Result<Arc<CertifiedKey>, Error> {
        certified_key(&file(certificate), certificate, &file(key), key)
    }

    #[test]
    fn a_matching_pair_is_accepted_in_every_form() {
        pair("client.pem", "client.key").unwrap();
        pair("client.pem", "client-sec1.key").unwrap();
        pair("rsa.pem", "rsa-pkcs1.key").unwrap();
        pair("client-v1.pem", "client.key").unwrap();
        assert_eq!(pair("chain.pem", "chain.key").unwrap().cert.len(), 2);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_with_both_names() {
        for certificate in ["client.pem", "client-v1.pem", "rsa.pem"] {
            let error = pair(certificate, "localhost.key").unwrap_err();
            assert!(matches!(error, Error::KeyMismatch { .. }), "{error}");
            let text = error.to_string();
            assert!(text.contains(certificate) && text.contains("localhost.key"));
        }
    }

    #[test]
    fn a_damaged_key_is_refused_without_showing_it() {
        let damaged = String::from_utf8(file("client.key")).unwrap();
        let no_key = "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n";
        for text in [no_key, &damaged.replacen("AwEHBG0w", "AwEIBG0w", 1)] {
            let error = certified_key(&file("client.pem"), "c", text.as_bytes(), "key.pem");
            let error = error.unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("key.pem"), "{shown}");
            for line in text.lines().filter(|line| !line.starts_with('-')) {
                assert!(!shown.contains(line), "{shown}");
            }
        }
    }

    #[test]
    fn an_unsupported_key_is_named() {
        for (certificate, key, words) in [
            (
                "rsa-1024.pem",
                "rsa-1024.key",
                "RSA key of 1024 bits; 2048 at least",
            ),
            (
                "rsa-1024.pem",
                "rsa-1024-pkcs1.key",
                "RSA key of 1024 bits; 2048 at least",
            ),
            ("p224-ca.pem", "p224-ca.key", "EC key on the curve P-224"),
            ("p224-ca.pem", "p224-sec1.key", "EC key on the curve P-224"),
            (
                "dsa-ca.pem",
                "dsa-ca.key",
                "DSA key; RSA, ECDSA and Ed25519 can be used",
            ),
        ] {
            let error = pair(certificate, key).unwrap_err().to_string();
            let expected = format!("{key}: the private key cannot be used: {words}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn the_expiry_of_a_certificate_is_returned() {
        let end = not_after(&pair("expired.pem", "expired.key").unwrap()).unwrap();
        let expected: SystemTime = "2021-01-01T00:00:00Z"
            .parse::<jiff::Timestamp>()
            .unwrap()
            .into();
        assert_eq!(end, expected);
    }

    #[test]
    fn a_listeners_certificate_must_be_valid_now() {
        let now = SystemTime::now();
        let check = |name: &str| {
            let identity = pair(&format!("{name}.pem"), &format!("{name}.key")).unwrap();
            check_validity(&identity, "--tls-cert", now)
        };
        assert!(check("localhost").is_ok());
        for (name, words) in [
            ("expired", "expired at 20"),
            ("not-yet-valid", "is valid from "),
        ] {
            let error = check(name).unwrap_err().to_string();
            assert!(error.starts_with("--tls-cert: the certificate "), "{error}");
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_client_is_named_by_its_common_name_or_else_by_a_name_of_the_san() {
        let now = SystemTime::now();
        let name = |certificate: &str, now| {
            let chain = pem::certificates(&file(certificate), certificate).unwrap();
            client_name(&chain, now)
        };
        assert_eq!(name("client.pem", now).as_deref(), Some("demo-user"));
        for (san, expected) in [
            (
                SanType::URI("spiffe://a/ns/b".try_into().unwrap()),
                "spiffe://a/ns/b",
            ),
            (
                SanType::DnsName("ci.example".try_into().unwrap()),
                "ci.example",
            ),
        ] {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.subject_alt_names = vec![san];
            let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let chain = [made.der().clone()];
            assert_eq!(client_name(&chain, now).as_deref(), Some(expected));
        }
        assert_eq!(name("expired.pem", now), None);
        assert_eq!(client_name(&[], now), None);
    }
}
