//! PEM text to DER: the only caller of rustls-pemfile.
//!
//! Text is read as leniently as Go's `encoding/pem` reads it, and so kubectl: a section that cannot
//! be read does not spoil the others. Each section is found here, with the line on which it
//! begins, and decoded by rustls-pemfile.
//!
//! A parser's error may quote the line it stumbled over, which may be half a key: errors here
//! say what is wrong in fixed words.

mod sections;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_pemfile::{Item, read_one_from_slice};
use zeroize::Zeroizing;

use self::sections::{Section, sections};
use super::{Error, certificate::Certificate};
use crate::kubeconfig::warn_once;

/// Every certificate in `pem`, in order. Sections of other kinds, such as keys, are passed over; a
/// certificate that cannot be read too, with a warning that names `origin` and the line.
///
/// # Errors
/// No certificate in it that can be read.
pub fn certificates(pem: &[u8], origin: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut found = Vec::new();
    let mut passed_over = Vec::new();
    for section in sections(pem) {
        match certificate(&section) {
            Ok(Some(certificate)) => found.push(certificate),
            Ok(None) => {}
            Err(problem) => passed_over.push(format!("line {}: {problem}", section.line)),
        }
    }
    if found.is_empty() {
        let origin = origin.to_owned();
        return Err(if passed_over.is_empty() {
            Error::NoCertificate { origin }
        } else {
            let what = passed_over.join("; ");
            Error::NoReadableCertificate { origin, what }
        });
    }
    for problem in passed_over {
        warn_once(&format!("{origin}: passed over, {problem}"));
    }
    Ok(found)
}

/// The first private key in `pem` that can be read: PKCS#8, PKCS#1 (RSA) or SEC 1 (EC), whichever
/// of them the label names, as in Go's `tls.X509KeyPair`. `origin` is for errors.
///
/// # Errors
/// No key in it that can be read, or only one with a passphrase.
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

/// What is wrong with a section, in fixed words.
type Problem = &'static str;

fn certificate(section: &Section) -> Result<Option<CertificateDer<'static>>, Problem> {
    match section.label.as_str() {
        "CERTIFICATE" => {}
        label if label.ends_with(" CERTIFICATE") => {
            return Err(
                "a certificate under another label; `openssl x509 -in FILE` prints it \
                 under \"BEGIN CERTIFICATE\"",
            );
        }
        // A malformed BEGIN line, of whatever.
        "" => return section.body().map(|_| None),
        _ => return Ok(None),
    }
    let Some(Item::X509Certificate(der)) = decoded("CERTIFICATE", section)? else {
        return Err(NO_BASE64);
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
        return Err(bad(NO_BASE64));
    };
    // The label says too little: what the bytes are is read from themselves.
    match PrivateKeyDer::try_from(der.secret_pkcs8_der()) {
        Ok(key) => Ok(Some(key.clone_key())),
        Err(_) if label == "OPENSSH PRIVATE KEY" => Err(bad(
            "a key in OpenSSH's own format; `ssh-keygen -p -m PKCS8 -f KEY` writes a copy of it as \
             \"BEGIN PRIVATE KEY\"",
        )),
        Err(_) => Err(bad("neither a PKCS#8, a PKCS#1 nor a SEC 1 private key")),
    }
}

const NO_BASE64: Problem = "the section holds something other than base64";

/// The section as rustls-pemfile decodes one of that label.
fn decoded(label: &str, section: &Section) -> Result<Option<Item>, Problem> {
    let body = section.body()?;
    let mut text = Zeroizing::new(Vec::with_capacity(body.len() + 64 + 2 * label.len()));
    text.extend_from_slice(format!("-----BEGIN {label}-----\n").as_bytes());
    text.extend_from_slice(body);
    text.extend_from_slice(format!("\n-----END {label}-----\n").as_bytes());
    match read_one_from_slice(&text) {
        Ok(item) => Ok(item.map(|(item, _)| item)),
        Err(_) => Err(NO_BASE64),
    }
}

#[cfg(test)]
mod tests;
