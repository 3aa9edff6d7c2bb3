//! PEM text to DER: the only caller of rustls-pemfile.
//!
//! A parser's error may quote the line it stumbled over, which may be half a key: errors here
//! say what is wrong in fixed words.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_pemfile::{Item, read_one_from_slice};

use super::Error;

/// Every certificate in `pem`, in order; other sections are passed over. `origin` is for errors.
///
/// # Errors
/// Broken PEM, or no certificate in it.
pub fn certificates(pem: &[u8], origin: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut found = Vec::new();
    for item in items(pem) {
        if let Item::X509Certificate(certificate) = item.map_err(|e| bad_pem(origin, &e))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(Error::NoCertificate {
            origin: origin.to_owned(),
        });
    }
    Ok(found)
}

/// The first private key in `pem`: PKCS#8, PKCS#1 (RSA) or SEC 1 (EC). `origin` is for errors.
///
/// # Errors
/// Broken PEM, no key in it, or a key with a passphrase.
pub fn private_key(pem: &[u8], origin: &str) -> Result<PrivateKeyDer<'static>, Error> {
    for item in items(pem) {
        match item {
            Ok(Item::Pkcs8Key(key)) => return Ok(key.into()),
            Ok(Item::Pkcs1Key(key)) => return Ok(key.into()),
            Ok(Item::Sec1Key(key)) => return Ok(key.into()),
            Ok(_) => {}
            // The headers of an encrypted PKCS#1 key are what breaks its base64.
            Err(_) if is_encrypted(pem) => break,
            Err(e) => return Err(bad_pem(origin, &e)),
        }
    }
    let origin = origin.to_owned();
    Err(if is_encrypted(pem) {
        Error::EncryptedKey { origin }
    } else {
        Error::NoKey { origin }
    })
}

/// A certificate as PEM text (RFC 7468).
#[must_use]
pub fn of_certificate(der: &CertificateDer<'_>) -> String {
    let body = BASE64_STANDARD.encode(der);
    let mut lines = vec!["-----BEGIN CERTIFICATE-----"];
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        lines.push(line);
        rest = after;
    }
    lines.push("-----END CERTIFICATE-----\n");
    lines.join("\n")
}

fn items(mut rest: &[u8]) -> impl Iterator<Item = Result<Item, rustls_pemfile::Error>> {
    std::iter::from_fn(move || match read_one_from_slice(rest) {
        Ok(Some((item, tail))) => {
            rest = tail;
            Some(Ok(item))
        }
        Ok(None) => None,
        Err(e) => {
            rest = &[];
            Some(Err(e))
        }
    })
}

fn bad_pem(origin: &str, error: &rustls_pemfile::Error) -> Error {
    use rustls_pemfile::Error as Pem;
    Error::BadPem {
        origin: origin.to_owned(),
        what: match error {
            Pem::MissingSectionEnd { .. } => "a section has no END line (is the text cut off?)",
            Pem::IllegalSectionStart { .. } => "a BEGIN line is malformed",
            Pem::Base64Decode(_) => "a section holds something other than base64",
        },
    }
}

/// Whether there is a PKCS#8 key with a passphrase, or an older one with RFC 1421 headers.
fn is_encrypted(pem: &[u8]) -> bool {
    let has = |marker: &[u8]| pem.windows(marker.len()).any(|window| window == marker);
    has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::testing::file;
    use super::*;

    #[test]
    fn certificates_come_in_order_and_keys_beside_them_are_passed_over() {
        let both = [file("client.key"), file("chain.pem")].concat();
        let found = certificates(&both, "x").unwrap();
        assert_eq!(found.len(), 2);
        let intermediate = certificates(&file("intermediate-ca.pem"), "x").unwrap();
        assert_eq!(found[1], intermediate[0]);
    }

    #[test]
    fn every_form_of_key_is_read_and_the_first_wins() {
        let form = |name: &str| private_key(&file(name), "x").unwrap();
        assert!(matches!(form("client.key"), PrivateKeyDer::Pkcs8(_)));
        assert!(matches!(form("client-sec1.key"), PrivateKeyDer::Sec1(_)));
        assert!(matches!(form("rsa-pkcs1.key"), PrivateKeyDer::Pkcs1(_)));

        let several = [file("client.pem"), file("rsa.key"), file("client.key")].concat();
        assert_eq!(private_key(&several, "x").unwrap(), form("rsa.key"));
    }

    #[test]
    fn an_encrypted_key_is_called_encrypted() {
        for name in ["client-encrypted.key", "rsa-pkcs1-encrypted.key"] {
            let error = private_key(&file(name), "user \"me\": client-key").unwrap_err();
            assert!(matches!(error, Error::EncryptedKey { .. }), "{name}");
            assert!(error.to_string().starts_with("user \"me\": client-key: "));
        }
        let error = private_key(&file("client.pem"), "x").unwrap_err();
        assert!(matches!(error, Error::NoKey { .. }));
    }

    #[test]
    fn text_without_a_certificate_is_an_error() {
        for text in [&b""[..], b"apiVersion: v1", &file("client.key")] {
            let error = certificates(text, "ca.crt").unwrap_err();
            assert!(matches!(error, Error::NoCertificate { .. }));
        }
    }

    #[test]
    fn errors_show_nothing_of_the_text() {
        let broken = "-----BEGIN PRIVATE KEY-----\nhunter2!hunter2\n-----END PRIVATE KEY-----\n";
        let cut = "-----BEGIN PRIVATE KEY-----\nhunter2\n";
        let odd = "-----BEGIN hunter2\nhunter2\n";
        for text in [broken, cut, odd] {
            for error in [
                private_key(text.as_bytes(), "k.pem").unwrap_err(),
                certificates(text.as_bytes(), "k.pem").unwrap_err(),
            ] {
                assert!(matches!(error, Error::BadPem { .. }), "{error}");
                let shown = format!("{error} {error:?}");
                assert!(
                    shown.contains("k.pem") && !shown.contains("hunter2"),
                    "{shown}"
                );
            }
        }
    }
}
