//! Turns the errors of webpki, and of the checks of this module, into [`Refusal`]s.

use std::{iter, ops::RangeInclusive};

use jiff::Timestamp;
use rustls::pki_types::ServerName;

use super::{presented::Presented, store::Roots};
use crate::tls::{
    Refusal,
    certificate::{Certificate, San},
    messages,
};

/// Returns the refusal for an error of webpki.
pub(super) fn refusal(roots: &Roots, error: &webpki::Error, presented: &Presented<'_>) -> Refusal {
    use webpki::Error as E;
    let Some(leaf) = Certificate::parse(presented.leaf) else {
        return Refusal::Unreadable;
    };
    match error {
        E::UnknownIssuer => unknown_issuer(roots, &leaf, presented),
        E::InvalidSignatureForPublicKey => {
            unsupported(roots, presented).unwrap_or_else(|| issuer_key_changed(roots, &leaf))
        }
        E::CertExpired { .. } | E::CertNotValidYet { .. } | E::InvalidCertValidity => {
            out_of_date(&leaf, presented).unwrap_or_else(|| unusable(&leaf, error))
        }
        E::CertNotValidForName(_) => wrong_name(&leaf, presented.server_name),
        E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => wrong_purpose(&leaf, presented),
        E::NameConstraintViolation => Refusal::NameConstraints {
            presented: leaf
                .subject_alt_names()
                .iter()
                .map(San::to_string)
                .collect(),
        },
        E::MaximumPathDepthExceeded => Refusal::TooManyIntermediates {
            subject: leaf.subject(),
            count: presented.intermediates.len(),
        },
        // webpki does not support version 1, which has no extension for a subject alternative name.
        E::UnsupportedCertVersion if leaf.is_version_1() => {
            wrong_name(&leaf, presented.server_name)
        }
        other => unsupported(roots, presented).unwrap_or_else(|| unusable(&leaf, other)),
    }
}

/// Returns the refusal for a key or signature of the chain that the cryptography library does not
/// support, whose own error does not name it.
pub(super) fn unsupported(roots: &Roots, presented: &Presented<'_>) -> Option<Refusal> {
    let chain = iter::once(presented.leaf).chain(presented.intermediates);
    let chain: Vec<_> = chain.filter_map(|der| Certificate::parse(der)).collect();
    let trusted = roots.authorities.iter();
    let trusted: Vec<_> = trusted
        .filter_map(|one| Certificate::parse(&one.der))
        .collect();
    for (at, one) in chain.iter().enumerate() {
        let refusal = |certificate: &Certificate<'_>, is_ca, what| Refusal::Unsupported {
            subject: certificate.subject(),
            is_ca,
            what,
        };
        // The signature of a self-issued certificate is not verified.
        let signature = one
            .unsupported_signature()
            .filter(|_| !one.is_self_issued());
        if let Some(what) = signature {
            return Some(refusal(one, at > 0, what));
        }
        for issuer in chain[1..].iter().chain(&trusted) {
            let key = issuer
                .unsupported_key()
                .filter(|_| issuer.is_issuer_of(one));
            if let Some(what) = key {
                return Some(refusal(issuer, true, what));
            }
        }
    }
    None
}

pub(super) fn unknown_issuer(
    roots: &Roots,
    leaf: &Certificate<'_>,
    presented: &Presented<'_>,
) -> Refusal {
    let intermediates: Vec<_> = presented
        .intermediates
        .iter()
        .filter_map(Certificate::parse)
        .collect();
    issuer_is_not_ca(roots, iter::once(leaf).chain(&intermediates)).unwrap_or_else(|| {
        Refusal::UnknownIssuer {
            trusted: roots.origin.clone(),
            subject: leaf.subject(),
            issuer: leaf.issuer(),
            sha256: leaf.sha256(),
        }
    })
}

/// Returns the refusal for a chain that was issued by a trusted certificate that is not a CA
/// certificate.
fn issuer_is_not_ca<'a>(
    roots: &Roots,
    chain: impl Iterator<Item = &'a Certificate<'a>>,
) -> Option<Refusal> {
    for certificate in chain {
        for pinned in &roots.pinned {
            let issuer = Certificate::parse(&pinned.der);
            let is_issuer = issuer.is_some_and(|issuer| issuer.is_issuer_of(certificate))
                && certificate.is_signed_by(&pinned.der);
            if is_issuer {
                return Some(Refusal::IssuerIsNotCa {
                    trusted: roots.origin.clone(),
                    subject: pinned.subject.clone(),
                    why: pinned.issuer_objection.clone().unwrap_or_default(),
                });
            }
        }
    }
    None
}

pub(super) fn issuer_key_changed(roots: &Roots, leaf: &Certificate<'_>) -> Refusal {
    Refusal::IssuerKeyChanged {
        trusted: roots.origin.clone(),
        subject: leaf.subject(),
        issuer: leaf.issuer(),
        sha256: leaf.sha256(),
    }
}

pub(super) fn ca_as_server(leaf: &Certificate<'_>) -> Refusal {
    Refusal::CaAsServer {
        subject: leaf.subject(),
    }
}

/// Names the intermediate certificate that lacks the purpose, or else the server's own.
fn wrong_purpose(leaf: &Certificate<'_>, presented: &Presented<'_>) -> Refusal {
    let mut above = presented
        .intermediates
        .iter()
        .filter_map(Certificate::parse);
    let lacking = above
        .find(|one| !one.allows_server_auth())
        .filter(|_| leaf.allows_server_auth());
    match lacking {
        Some(one) => Refusal::CaMayNotIssue {
            subject: one.subject(),
            why: one.issuer_objection().unwrap_or_default(),
        },
        None => Refusal::WrongPurpose {
            subject: leaf.subject(),
        },
    }
}

/// Returns the refusal for the first certificate from the leaf upwards that has expired or is not valid
/// yet.
pub(super) fn out_of_date(leaf: &Certificate<'_>, presented: &Presented<'_>) -> Option<Refusal> {
    let now = presented.seconds();
    if !leaf.validity().contains(&now) {
        return Some(server_out_of_date(&leaf.subject(), &leaf.validity(), now));
    }
    let mut above = presented
        .intermediates
        .iter()
        .filter_map(Certificate::parse);
    let outdated = above.find(|one| !one.validity().contains(&now))?;
    Some(ca_out_of_date(
        &outdated.subject(),
        &outdated.validity(),
        now,
    ))
}

pub(super) fn server_out_of_date(
    subject: &str,
    validity: &RangeInclusive<i64>,
    now: i64,
) -> Refusal {
    let subject = subject.to_owned();
    if now < *validity.start() {
        Refusal::NotYetValid {
            subject,
            from: time(*validity.start()),
            now: time(now),
        }
    } else {
        Refusal::Expired {
            subject,
            since: time(*validity.end()),
            now: time(now),
        }
    }
}

pub(super) fn ca_out_of_date(subject: &str, validity: &RangeInclusive<i64>, now: i64) -> Refusal {
    let subject = subject.to_owned();
    if now < *validity.start() {
        Refusal::CaNotYetValid {
            subject,
            from: time(*validity.start()),
            now: time(now),
        }
    } else {
        Refusal::CaExpired {
            subject,
            since: time(*validity.end()),
            now: time(now),
        }
    }
}

fn wrong_name(leaf: &Certificate<'_>, server_name: &ServerName<'_>) -> Refusal {
    let names = leaf.subject_alt_names();
    let presented = names.iter().map(San::to_string).collect();
    let is_address = matches!(server_name, ServerName::IpAddress(_));
    let asked = server_name.to_str().into_owned();
    if names.is_empty() {
        Refusal::CommonNameOnly {
            asked,
            common_name: leaf.common_name().unwrap_or_default(),
        }
    } else if is_address && names.iter().all(|name| matches!(name, San::Dns(_))) {
        Refusal::NoAddress { asked, presented }
    } else {
        Refusal::WrongName { asked, presented }
    }
}

fn unusable(leaf: &Certificate<'_>, error: &webpki::Error) -> Refusal {
    Refusal::Unusable {
        reason: messages::of_webpki(error).to_owned(),
        subject: leaf.subject(),
        issuer: leaf.issuer(),
        sha256: leaf.sha256(),
    }
}

/// The time for a message. "No expiry" is 9999-12-31T23:59:59Z (RFC 5280 section 4.1.2.5), which is just
/// beyond jiff's range.
fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
