//! [`Certificate`]: a parsed X.509 certificate, for decisions that webpki does not make and for error
//! messages.

use std::{net::IpAddr, ops::RangeInclusive};

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;
use x509_parser::{
    asn1_rs::{Any, FromDer as _},
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::OID_X509_EXT_EXTENDED_KEY_USAGE,
    x509::X509Version,
};

use super::{algorithms, provider};

/// A parsed certificate.
pub(super) struct Certificate<'a> {
    der: &'a [u8],
    x509: X509Certificate<'a>,
}

impl<'a> Certificate<'a> {
    /// Parses one complete X.509 certificate; `None` for anything else.
    pub(super) fn parse(der: &'a CertificateDer<'_>) -> Option<Self> {
        match X509Certificate::from_der(der) {
            Ok(([], x509)) => Some(Self { der, x509 }),
            _ => None,
        }
    }

    /// The first and the last second of validity (RFC 5280 section 4.1.2.5), in seconds since 1970.
    pub(super) fn validity(&self) -> RangeInclusive<i64> {
        let validity = self.x509.validity();
        validity.not_before.timestamp()..=validity.not_after.timestamp()
    }

    pub(super) fn subject(&self) -> String {
        printable(&self.x509.subject().to_string())
    }

    pub(super) fn issuer(&self) -> String {
        printable(&self.x509.issuer().to_string())
    }

    /// Whether subject and issuer are the same, as in a self-signed certificate.
    pub(super) fn is_self_issued(&self) -> bool {
        self.x509.subject().as_raw() == self.x509.issuer().as_raw()
    }

    pub(super) fn common_name(&self) -> Option<String> {
        let name = self.x509.subject().iter_common_name().next()?;
        Some(printable(name.as_str().ok()?))
    }

    /// The fingerprint, as `openssl x509 -fingerprint -sha256` prints it.
    pub(super) fn sha256(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.der);
        let bytes: Vec<String> = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        bytes.join(":")
    }

    /// The `SubjectPublicKeyInfo` in DER.
    pub(super) fn public_key(&self) -> &[u8] {
        self.x509.public_key().raw
    }

    /// The DNS names and IP addresses of the subject alternative name, in order.
    pub(super) fn subject_alt_names(&self) -> Vec<San> {
        let Ok(Some(names)) = self.x509.subject_alternative_name() else {
            return Vec::new();
        };
        let supported = names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(dns) => Some(San::Dns(printable(dns))),
                GeneralName::IPAddress(bytes) => address(bytes).map(San::Ip),
                _ => None,
            });
        supported.collect()
    }

    /// The first URI or DNS name of the subject alternative name.
    pub(super) fn first_uri_or_dns_name(&self) -> Option<String> {
        let names = self.x509.subject_alternative_name().ok()??;
        names
            .value
            .general_names
            .iter()
            .find_map(|name| match name {
                GeneralName::URI(name) | GeneralName::DNSName(name) => Some(printable(name)),
                _ => None,
            })
    }

    /// Whether `*.PARENT` is one of its DNS names.
    pub(super) fn has_wildcard_under(&self, parent: &str) -> bool {
        let Ok(Some(names)) = self.x509.subject_alternative_name() else {
            return false;
        };
        names.value.general_names.iter().any(|name| match name {
            GeneralName::DNSName(dns) => dns
                .strip_prefix("*.")
                .is_some_and(|rest| rest.eq_ignore_ascii_case(parent)),
            _ => false,
        })
    }

    /// Whether it may issue other certificates. Version 1 has no extension that could say so; it is
    /// accepted, as in Go's `Certificate.CheckSignatureFrom`, because it was configured by hand.
    pub(super) fn may_issue(&self) -> bool {
        self.x509.version() != X509Version::V3 || self.is_ca()
    }

    /// Why this certificate may not issue a server's certificate, by the rules of Go's `x509`; `None`
    /// if it may. Validity and path length are not checked here.
    pub(super) fn issuer_objection(&self) -> Option<String> {
        if self.x509.version() != X509Version::V3 {
            return None;
        }
        if !self.is_ca() {
            let what = match self.x509.basic_constraints() {
                Ok(Some(_)) => "its basic constraints say CA:FALSE",
                _ => "it has no basic constraints with CA:TRUE",
            };
            return Some(what.to_owned());
        }
        match self.x509.key_usage() {
            Ok(Some(usage)) if !usage.value.key_cert_sign() => {
                return Some("its key usage lacks keyCertSign".to_owned());
            }
            Ok(_) => {}
            Err(_) => return Some("its key usage cannot be read".to_owned()),
        }
        if !self.allows_server_auth() {
            return Some("its extended key usage lacks serverAuth".to_owned());
        }
        let unknown = self.x509.iter_extensions().find(|one| {
            // The critical extensions that Go's `processExtensions` handles, each 2.5.29.N.
            let known = match one.oid.as_bytes() {
                [0x55, 0x1d, last] => matches!(last, 15 | 17 | 19 | 30..=33 | 36 | 37 | 54),
                _ => false,
            };
            one.critical && !known
        });
        unknown.map(|one| format!("its critical extension {} is not known", one.oid))
    }

    /// The most intermediate certificates below this one; `None` for any number.
    pub(super) fn path_length(&self) -> Option<usize> {
        let basic = self.x509.basic_constraints().ok()??;
        usize::try_from(basic.value.path_len_constraint?).ok()
    }

    /// Why its key is not supported; `None` if it is.
    pub(super) fn unsupported_key(&self) -> Option<String> {
        algorithms::unsupported_public_key(self.x509.public_key())
    }

    /// Why its signature is not supported; `None` if it is.
    pub(super) fn unsupported_signature(&self) -> Option<String> {
        algorithms::unsupported_signature(&self.x509.signature_algorithm)
    }

    /// Whether it was signed with the key of `issuer`, which must be of version 3.
    pub(super) fn is_signed_by(&self, issuer: &CertificateDer<'_>) -> bool {
        let (Ok(issuer), Some(algorithm)) =
            (EndEntityCert::try_from(issuer), self.signature_algorithm())
        else {
            return false;
        };
        let message = self.x509.tbs_certificate.as_ref();
        let signature = &self.x509.signature_value.data;
        let known = provider().signature_verification_algorithms.all;
        let fitting = known
            .iter()
            .filter(|one| one.signature_alg_id().as_ref() == algorithm);
        fitting
            .into_iter()
            .any(|one| issuer.verify_signature(*one, message, signature).is_ok())
    }

    /// The content of the `AlgorithmIdentifier` behind the signed part.
    fn signature_algorithm(&self) -> Option<&'a [u8]> {
        let (_, whole) = Any::from_der(self.der).ok()?;
        let (after, _signed) = Any::from_der(whole.data).ok()?;
        Some(Any::from_der(after).ok()?.1.data)
    }

    /// Whether its subject is the issuer of `other`, and it is not `other` itself or a renewal with the
    /// same name and key (Go's `alreadyInChain`).
    pub(super) fn is_issuer_of(&self, other: &Self) -> bool {
        let subject = self.x509.subject().as_raw();
        let same =
            subject == other.x509.subject().as_raw() && self.public_key() == other.public_key();
        subject == other.x509.issuer().as_raw() && !same
    }

    /// Whether it is of version 1, which has no extensions.
    pub(super) fn is_version_1(&self) -> bool {
        self.x509.version() == X509Version::V1
    }

    /// Whether it is a CA certificate (`CA:TRUE`).
    pub(super) fn is_ca(&self) -> bool {
        self.x509.is_ca()
    }

    /// Whether its extended key usage, if it has one, includes TLS servers.
    pub(super) fn allows_server_auth(&self) -> bool {
        self.x509
            .iter_extensions()
            .all(|extension| match extension.parsed_extension() {
                ParsedExtension::ExtendedKeyUsage(usage) => usage.server_auth || usage.any,
                // An extension that cannot be parsed allows nothing.
                _ => extension.oid != OID_X509_EXT_EXTENDED_KEY_USAGE,
            })
    }
}

/// A subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum San {
    Dns(String),
    Ip(IpAddr),
}

impl std::fmt::Display for San {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// Makes text of an untrusted certificate safe to show: it cannot forge log lines, control a terminal
/// or fill the screen.
fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut shown: String = crate::printable::printable(text)
        .chars()
        .take(LONGEST)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_text_is_made_printable() {
        assert_eq!(printable("O=a, CN=ü"), "O=a, CN=ü");
        assert_eq!(printable("a\r\n\u{1b}[2Jb"), "a  \u{fffd}[2Jb");
        assert_eq!(printable(&"x".repeat(5000)).chars().count(), 201);
    }
}
