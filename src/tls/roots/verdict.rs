//! Why a server was refused: webpki's verdicts, and our own, as a [`Refusal`] that says what to do.

use std::{iter, ops::RangeInclusive};

use jiff::Timestamp;
use rustls::pki_types::ServerName;

use super::{Roots, Shown, seconds};
use crate::tls::{
    Refusal,
    certificate::{Certificate, San},
    messages,
};

impl Roots {
    /// Turns webpki's verdict into one that says what to do.
    pub(super) fn explain(&self, error: &webpki::Error, shown: &Shown<'_>) -> Refusal {
        use webpki::Error as E;
        let Some(leaf) = Certificate::parse(shown.leaf) else {
            return Refusal::Unreadable;
        };
        match error {
            E::UnknownIssuer => self.unknown_issuer(&leaf, shown),
            E::InvalidSignatureForPublicKey => {
                (self.unsupported(shown)).unwrap_or_else(|| self.issuer_key_changed(&leaf))
            }
            E::CertExpired { .. } | E::CertNotValidYet { .. } | E::InvalidCertValidity => {
                out_of_date(&leaf, shown).unwrap_or_else(|| unusable(&leaf, error))
            }
            E::CertNotValidForName(_) => wrong_name(&leaf, shown.asked),
            E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => wrong_purpose(&leaf, shown),
            E::NameConstraintViolation => Refusal::OutsideConstraints {
                presented: leaf.names().iter().map(San::to_string).collect(),
            },
            E::MaximumPathDepthExceeded => Refusal::TooManyIntermediates {
                subject: leaf.subject(),
                shown: shown.intermediates.len(),
            },
            // webpki does not read version 1, which has no room for a name that we would accept.
            E::UnsupportedCertVersion if leaf.is_version_1() => wrong_name(&leaf, shown.asked),
            other => (self.unsupported(shown)).unwrap_or_else(|| unusable(&leaf, other)),
        }
    }

    /// What of the chain the cryptography library cannot check, for an error that says no more
    /// than that something is wrong.
    pub(super) fn unsupported(&self, shown: &Shown<'_>) -> Option<Refusal> {
        let chain = iter::once(shown.leaf).chain(shown.intermediates);
        let chain: Vec<_> = chain.filter_map(|der| Certificate::parse(der)).collect();
        let trusted = self.authorities.iter();
        let trusted: Vec<_> = trusted
            .filter_map(|one| Certificate::parse(&one.der))
            .collect();
        for (at, one) in chain.iter().enumerate() {
            let refusal =
                |certificate: &Certificate<'_>, is_authority, what| Refusal::Unsupported {
                    subject: certificate.subject(),
                    is_authority,
                    what,
                };
            // Nobody looks at the signature of a root.
            let signature = one.unusable_signature().filter(|_| !one.is_self_issued());
            if let Some(what) = signature {
                return Some(refusal(one, at > 0, what));
            }
            for issuer in chain[1..].iter().chain(&trusted) {
                let key = issuer.unusable_key().filter(|_| issuer.is_above(one));
                if let Some(what) = key {
                    return Some(refusal(issuer, true, what));
                }
            }
        }
        None
    }

    pub(super) fn unknown_issuer(&self, leaf: &Certificate<'_>, shown: &Shown<'_>) -> Refusal {
        let above = shown.intermediates.iter().filter_map(Certificate::parse);
        let chain: Vec<_> = above.collect();
        if let Some(refusal) = self.issuer_is_not_ca(iter::once(leaf).chain(&chain)) {
            return refusal;
        }
        Refusal::UnknownIssuer {
            trusted: self.origin.clone(),
            subject: leaf.subject(),
            issuer: leaf.issuer(),
            sha256: leaf.sha256(),
        }
    }

    /// The refusal for a chain that was issued by a trusted certificate that is not a CA
    /// certificate; `None` where no such certificate made a signature of the chain.
    fn issuer_is_not_ca<'a>(
        &self,
        chain: impl Iterator<Item = &'a Certificate<'a>>,
    ) -> Option<Refusal> {
        for certificate in chain {
            for pinned in &self.pinned {
                let issuer = Certificate::parse(&pinned.der);
                let is_issuer = issuer.is_some_and(|issuer| issuer.is_above(certificate))
                    && certificate.is_signed_by(&pinned.der);
                if is_issuer {
                    return Some(Refusal::IssuerIsNotCa {
                        trusted: self.origin.clone(),
                        subject: pinned.subject.clone(),
                        why: pinned.objection.clone().unwrap_or_default(),
                    });
                }
            }
        }
        None
    }

    pub(super) fn issuer_key_changed(&self, leaf: &Certificate<'_>) -> Refusal {
        Refusal::IssuerKeyChanged {
            trusted: self.origin.clone(),
            subject: leaf.subject(),
            issuer: leaf.issuer(),
            sha256: leaf.sha256(),
        }
    }
}

pub(super) fn authority_as_server(leaf: &Certificate<'_>) -> Refusal {
    Refusal::AuthorityAsServer {
        subject: leaf.subject(),
    }
}

/// The server's own certificate, or one between.
fn wrong_purpose(leaf: &Certificate<'_>, shown: &Shown<'_>) -> Refusal {
    let mut above = shown.intermediates.iter().filter_map(Certificate::parse);
    let guilty = above
        .find(|one| !one.may_serve())
        .filter(|_| leaf.may_serve());
    match guilty {
        Some(one) => Refusal::AuthorityMayNot {
            subject: one.subject(),
            why: one.objection().unwrap_or_default(),
        },
        None => Refusal::WrongPurpose {
            subject: leaf.subject(),
        },
    }
}

/// The first certificate from the leaf upwards whose dates do not hold.
pub(super) fn out_of_date(leaf: &Certificate<'_>, shown: &Shown<'_>) -> Option<Refusal> {
    let now = seconds(shown.now);
    if !leaf.dates().contains(&now) {
        return Some(server_out_of_date(&leaf.subject(), &leaf.dates(), now));
    }
    let mut above = shown.intermediates.iter().filter_map(Certificate::parse);
    let ended = above.find(|one| !one.dates().contains(&now))?;
    Some(authority_out_of_date(&ended.subject(), &ended.dates(), now))
}

pub(super) fn server_out_of_date(subject: &str, dates: &RangeInclusive<i64>, now: i64) -> Refusal {
    let subject = subject.to_owned();
    if now < *dates.start() {
        Refusal::NotYetValid {
            subject,
            from: time(*dates.start()),
            now: time(now),
        }
    } else {
        Refusal::Expired {
            subject,
            since: time(*dates.end()),
            now: time(now),
        }
    }
}

pub(super) fn authority_out_of_date(
    subject: &str,
    dates: &RangeInclusive<i64>,
    now: i64,
) -> Refusal {
    let subject = subject.to_owned();
    if now < *dates.start() {
        Refusal::AuthorityNotYetValid {
            subject,
            from: time(*dates.start()),
            now: time(now),
        }
    } else {
        Refusal::AuthorityExpired {
            subject,
            since: time(*dates.end()),
            now: time(now),
        }
    }
}

fn wrong_name(leaf: &Certificate<'_>, asked: &ServerName<'_>) -> Refusal {
    let names = leaf.names();
    let presented = names.iter().map(San::to_string).collect();
    let is_address = matches!(asked, ServerName::IpAddress(_));
    let asked = asked.to_str().into_owned();
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

/// For error texts: "no end" is 9999-12-31T23:59:59Z (RFC 5280 4.1.2.5), just beyond jiff's range.
fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
