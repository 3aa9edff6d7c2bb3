//! [`Roots`]: a set of certificates that we trust, and the judgement of a server by them.
//!
//! webpki judges chains. Three things it leaves to us: the dates of the trusted certificates
//! themselves, a server certificate that is itself among them (it answers `CaUsedAsEndEntity`),
//! and whether a trusted certificate may sign others at all. In all three kubectl, that is Go's
//! `crypto/x509`, is the measure.

use std::{borrow::Cow, ops::RangeInclusive};

use jiff::Timestamp;
use rustls::{
    CertificateError, RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime},
    server::ParsedCertificate,
};

use super::{
    Error, Refusal,
    certificate::{Certificate, San},
    provider,
};

/// Certificates that we trust.
pub(super) struct Roots {
    /// Where they came from, for error texts.
    origin: String,
    trusted: Vec<Trusted>,
    /// The anchors of all of them, and the time in which all of them hold.
    anchors: RootCertStore,
    all_hold: RangeInclusive<i64>,
}

struct Trusted {
    der: CertificateDer<'static>,
    /// `None` if it may not sign others: then it vouches for itself alone.
    anchor: Option<TrustAnchor<'static>>,
    subject: String,
    dates: RangeInclusive<i64>,
    may_serve: bool,
}

/// What a server showed, and when.
pub(super) struct Shown<'a> {
    pub(super) leaf: &'a CertificateDer<'a>,
    pub(super) intermediates: &'a [CertificateDer<'a>],
    pub(super) asked: &'a ServerName<'a>,
    pub(super) now: UnixTime,
}

impl Roots {
    /// Certificates that cannot be used are passed over, as in Go, while others remain.
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        origin: &str,
    ) -> Result<Self, Error> {
        let trusted: Vec<Trusted> = certificates.into_iter().filter_map(Trusted::new).collect();
        if trusted.is_empty() {
            return Err(Error::BadCertificate {
                origin: origin.to_owned(),
                what: "none of the certificates is valid X.509".to_owned(),
            });
        }
        let signing = || trusted.iter().filter(|one| one.anchor.is_some());
        let from = signing().map(|one| *one.dates.start()).max();
        let until = signing().map(|one| *one.dates.end()).min();
        Ok(Self {
            origin: origin.to_owned(),
            anchors: signing().filter_map(|one| one.anchor.clone()).collect(),
            all_hold: from.unwrap_or(i64::MIN)..=until.unwrap_or(i64::MAX),
            trusted,
        })
    }

    /// Whether the server may be believed.
    pub(super) fn judge(&self, shown: &Shown<'_>) -> Result<(), Refusal> {
        let parsed =
            ParsedCertificate::try_from(shown.leaf).map_err(|error| self.explain(&error, shown))?;
        // Go's `Certificate.Verify`: a leaf that is itself in the pool is a whole chain.
        match self.trusted.iter().find(|one| one.der == *shown.leaf) {
            Some(itself) => itself.judge_as_server(shown)?,
            None => self.judge_chain(&parsed, shown)?,
        }
        verify_server_name(&parsed, shown.asked).map_err(|error| self.explain(&error, shown))
    }

    fn judge_chain(&self, leaf: &ParsedCertificate<'_>, shown: &Shown<'_>) -> Result<(), Refusal> {
        let now = seconds(shown.now);
        let Err(error) = chains_to(&self.in_date(now), leaf, shown) else {
            return Ok(());
        };
        // Would one whose time is not now have done? Then that is what is wrong.
        for one in self.trusted.iter().filter(|one| !one.dates.contains(&now)) {
            let alone = one.anchor.iter().cloned().collect();
            if one.anchor.is_some() && chains_to(&alone, leaf, shown).is_ok() {
                return Err(authority_out_of_date(&one.subject, &one.dates, now));
            }
        }
        Err(self.explain(&error, shown))
    }

    /// The anchors whose own dates hold. Nearly always that is all of them, at no cost.
    fn in_date(&self, now: i64) -> Cow<'_, RootCertStore> {
        if self.all_hold.contains(&now) {
            return Cow::Borrowed(&self.anchors);
        }
        let holding = self.trusted.iter().filter(|one| one.dates.contains(&now));
        Cow::Owned(holding.filter_map(|one| one.anchor.clone()).collect())
    }

    /// Turns webpki's verdict into one that says what to do.
    fn explain(&self, error: &rustls::Error, shown: &Shown<'_>) -> Refusal {
        use CertificateError as E;
        let Some(leaf) = Certificate::parse(shown.leaf) else {
            return Refusal::Unreadable;
        };
        let rustls::Error::InvalidCertificate(verdict) = error else {
            return unusable(&leaf, error.to_string());
        };
        match verdict {
            E::UnknownIssuer => self.unknown_issuer(&leaf),
            // A CA certificate as the server's own: fine if trusted, but it is not.
            E::Other(_) if leaf.is_ca() && leaf.is_self_issued() => self.unknown_issuer(&leaf),
            E::BadSignature => self.issuer_key_changed(&leaf),
            E::Expired
            | E::ExpiredContext { .. }
            | E::NotValidYet
            | E::NotValidYetContext { .. } => out_of_date(&leaf, shown)
                .unwrap_or_else(|| unusable(&leaf, "its dates contradict each other".to_owned())),
            E::NotValidForName | E::NotValidForNameContext { .. } => wrong_name(&leaf, shown.asked),
            E::InvalidPurpose | E::InvalidPurposeContext { .. } => Refusal::WrongPurpose {
                subject: leaf.subject(),
            },
            // webpki does not read version 1, which has no room for a name that we would accept.
            _ if leaf.is_version_1() => wrong_name(&leaf, shown.asked),
            other => unusable(&leaf, other.to_string()),
        }
    }

    fn unknown_issuer(&self, leaf: &Certificate<'_>) -> Refusal {
        Refusal::UnknownIssuer {
            trusted: self.origin.clone(),
            subject: leaf.subject(),
            issuer: leaf.issuer(),
            sha256: leaf.sha256(),
        }
    }

    fn issuer_key_changed(&self, leaf: &Certificate<'_>) -> Refusal {
        Refusal::IssuerKeyChanged {
            trusted: self.origin.clone(),
            subject: leaf.subject(),
            issuer: leaf.issuer(),
            sha256: leaf.sha256(),
        }
    }
}

impl Trusted {
    fn new(der: CertificateDer<'static>) -> Option<Self> {
        let certificate = Certificate::parse(&der)?;
        let anchor = if certificate.may_sign() {
            Some(anchor(&der)?)
        } else {
            None
        };
        Some(Self {
            anchor,
            subject: certificate.subject(),
            dates: certificate.dates(),
            may_serve: certificate.may_serve(),
            der,
        })
    }

    /// Whether it may be the server's own certificate, name aside.
    fn judge_as_server(&self, shown: &Shown<'_>) -> Result<(), Refusal> {
        let now = seconds(shown.now);
        if !self.dates.contains(&now) {
            return Err(server_out_of_date(&self.subject, &self.dates, now));
        }
        if !self.may_serve {
            return Err(Refusal::WrongPurpose {
                subject: self.subject.clone(),
            });
        }
        Ok(())
    }
}

/// webpki's reading of a trusted certificate: name, key and name constraints.
fn anchor(der: &CertificateDer<'_>) -> Option<TrustAnchor<'static>> {
    let mut store = RootCertStore::empty();
    store.add(der.clone()).ok()?;
    store.roots.pop()
}

fn chains_to(
    anchors: &RootCertStore,
    leaf: &ParsedCertificate<'_>,
    shown: &Shown<'_>,
) -> Result<(), rustls::Error> {
    verify_server_cert_signed_by_trust_anchor(
        leaf,
        anchors,
        shown.intermediates,
        shown.now,
        provider().signature_verification_algorithms.all,
    )
}

/// The first certificate from the leaf upwards whose dates do not hold.
fn out_of_date(leaf: &Certificate<'_>, shown: &Shown<'_>) -> Option<Refusal> {
    let now = seconds(shown.now);
    if !leaf.dates().contains(&now) {
        return Some(server_out_of_date(&leaf.subject(), &leaf.dates(), now));
    }
    let mut above = shown.intermediates.iter().filter_map(Certificate::parse);
    let ended = above.find(|one| !one.dates().contains(&now))?;
    Some(authority_out_of_date(&ended.subject(), &ended.dates(), now))
}

fn server_out_of_date(subject: &str, dates: &RangeInclusive<i64>, now: i64) -> Refusal {
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

fn authority_out_of_date(subject: &str, dates: &RangeInclusive<i64>, now: i64) -> Refusal {
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

fn unusable(leaf: &Certificate<'_>, reason: String) -> Refusal {
    Refusal::Unusable {
        reason,
        subject: leaf.subject(),
        issuer: leaf.issuer(),
        sha256: leaf.sha256(),
    }
}

/// rustls' clock in the seconds that certificates count.
fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// For error texts: "no end" is 9999-12-31T23:59:59Z (RFC 5280 4.1.2.5), just beyond jiff's range.
fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
