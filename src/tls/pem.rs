//! Decodes PEM text. This is the only module that calls rustls-pemfile.
//!
//! Text is read as leniently as by Go's `encoding/pem`, and so by kubectl: a section that cannot be read
//! is skipped. The sections are found here, with their lines, and decoded by rustls-pemfile.
//!
//! Errors have fixed messages: those of a parser may quote a line, which may be a part of a key.

mod sections;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls_pemfile::{Item, read_one_from_slice};
use zeroize::Zeroizing;

use self::sections::{Problem, Section, sections};
use super::{Error, certificate::Certificate};
use crate::kubeconfig::warn_once;

/// Returns all certificates in `pem`, in order. Sections of other kinds, such as keys, are skipped, and
/// so are certificates that cannot be read, with a warning that names `origin` and the line.
///
/// # Errors
/// No certificate that can be read.
pub fn certificates(pem: &[u8], origin: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut found = Vec::new();
    let mut skipped = Vec::new();
    for section in sections(pem) {
        match certificate(&section) {
            Ok(Some(certificate)) => found.push(certificate),
            Ok(None) => {}
            Err(problem) => skipped.push(format!("line {}: {problem}", section.line)),
        }
    }
    if found.is_empty() {
        let origin = origin.to_owned();
        return Err(if skipped.is_empty() {
            Error::NoCertificate { origin }
        } else {
            let what = skipped.join("; ");
            Error::NoReadableCertificate { origin, what }
        });
    }
    for problem in skipped {
        warn_once(&format!("{origin}: skipped, {problem}"));
    }
    Ok(found)
}

/// Returns the first private key in `pem` that can be read: PKCS#8, PKCS#1 (RSA) or SEC 1 (EC),
/// independent of its label, as in Go's `tls.X509KeyPair`. `origin` is for error messages.
///
/// # Errors
/// No key that can be read, or only one with a passphrase.
pub fn private_key(pem: &[u8], origin: &str) -> Result<PrivateKeyDer<'static>, Error> {
    let mut problem = None;
    for section in sections(pem) {
        match key(&section, origin) {
            Ok(Some(key)) => return Ok(key),
            Ok(None) => {}
            Err(error) => {
                problem.get_or_insert(error);
            }
        }
    }
    Err(problem.unwrap_or_else(|| Error::NoKey {
        origin: origin.to_owned(),
    }))
}

/// Encodes a certificate as PEM text (RFC 7468).
#[must_use]
pub fn of_certificate(der: &CertificateDer<'_>) -> String {
    encoded("CERTIFICATE", der).to_string()
}

/// Encodes a PKCS#8 private key as PEM text (RFC 7468).
#[must_use]
pub fn of_private_key(der: &PrivatePkcs8KeyDer<'_>) -> Zeroizing<String> {
    encoded("PRIVATE KEY", der.secret_pkcs8_der())
}

fn encoded(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(BASE64_STANDARD.encode(der));
    // The capacity is allocated at once: growing would leave copies that are not wiped.
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 80));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

fn certificate(section: &Section) -> Result<Option<CertificateDer<'static>>, Problem> {
    match section.label.as_str() {
        "CERTIFICATE" => {}
        label if label.ends_with(" CERTIFICATE") => {
            return Err(
                "a certificate under another label; `openssl x509 -in FILE` prints it \
                 under \"BEGIN CERTIFICATE\"",
            );
        }
        // A malformed BEGIN line: the kind of the section is unknown.
        "" => return section.body().map(|_| None),
        _ => return Ok(None),
    }
    let Some(Item::X509Certificate(der)) = decoded("CERTIFICATE", section)? else {
        return Err(NOT_BASE64);
    };
    match Certificate::parse(&der) {
        Some(_) => Ok(Some(der)),
        None => Err("not a valid X.509 certificate"),
    }
}

fn key(section: &Section, origin: &str) -> Result<Option<PrivateKeyDer<'static>>, Error> {
    let label = section.label.as_str();
    let bad = |problem: Problem| Error::BadPem {
        origin: origin.to_owned(),
        line: section.line,
        what: problem,
    };
    if label.is_empty() {
        return section.body().map(|_| None).map_err(bad);
    }
    if label != "PRIVATE KEY" && !label.ends_with(" PRIVATE KEY") {
        return Ok(None);
    }
    if section.is_encrypted() || label == "ENCRYPTED PRIVATE KEY" {
        return Err(Error::EncryptedKey {
            origin: origin.to_owned(),
        });
    }
    let Some(Item::Pkcs8Key(der)) = decoded("PRIVATE KEY", section).map_err(bad)? else {
        return Err(bad(NOT_BASE64));
    };
    // The format is detected from the bytes, because labels are often wrong.
    match PrivateKeyDer::try_from(der.secret_pkcs8_der()) {
        Ok(key) => Ok(Some(key.clone_key())),
        Err(_) if label == "OPENSSH PRIVATE KEY" => Err(bad(
            "a key in OpenSSH's own format; `ssh-keygen -p -m PKCS8 -f KEY` writes a copy of it as \
             \"BEGIN PRIVATE KEY\"",
        )),
        Err(_) => Err(bad("neither a PKCS#8, a PKCS#1 nor a SEC 1 private key")),
    }
}

const NOT_BASE64: Problem = "the section holds something other than base64";

/// Decodes the section with rustls-pemfile, as if it had this label.
fn decoded(label: &str, section: &Section) -> Result<Option<Item>, Problem> {
    let body = section.body()?;
    let mut text = Zeroizing::new(Vec::with_capacity(body.len() + 64 + 2 * label.len()));
    text.extend_from_slice(format!("-----BEGIN {label}-----\n").as_bytes());
    text.extend_from_slice(body);
    text.extend_from_slice(format!("\n-----END {label}-----\n").as_bytes());
    match read_one_from_slice(&text) {
        Ok(item) => Ok(item.map(|(item, _)| item)),
        Err(_) => Err(NOT_BASE64),
    }
}

#[cfg(test)]
mod tests;
