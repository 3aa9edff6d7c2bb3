//! [`Roots`]: a set of certificates that we trust, and the judgement of a server by them.
//!
//! webpki builds the chain and judges it. What it leaves to us: the dates, the extensions and the
//! path length of the trusted certificates themselves, the key usage of those between, a
//! server certificate that is itself trusted or may sign others too (`CA:TRUE`), and a
//! wildcard right under a top-level name. In all of it kubectl, that is Go's `crypto/x509`, is the
//! measure.

mod verdict;

use std::{cell::RefCell, ops::RangeInclusive, ptr};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime},
};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext, VerifiedPath,
};

use self::verdict::{authority_as_server, authority_out_of_date, out_of_date, server_out_of_date};
use super::{Error, Refusal, certificate::Certificate, provider};

/// Certificates that we trust.
pub(super) struct Roots {
    /// Where they came from, for error texts.
    origin: String,
    /// Those that may sign others, in the order of `anchors`.
    authorities: Vec<Trusted>,
    anchors: Vec<TrustAnchor<'static>>,
    /// Those that may not: each vouches for itself alone.
    pinned: Vec<Trusted>,
}

struct Trusted {
    der: CertificateDer<'static>,
    subject: String,
    dates: RangeInclusive<i64>,
    may_serve: bool,
    /// Why it may not be above a server's certificate, whatever stands between.
    objection: Option<String>,
    path_length: Option<usize>,
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
        certificates: &[CertificateDer<'static>],
        origin: &str,
    ) -> Result<Self, Error> {
        let mut roots = Self {
            origin: origin.to_owned(),
            authorities: Vec::new(),
            anchors: Vec::new(),
            pinned: Vec::new(),
        };
        for der in certificates {
            roots.add(der);
        }
        if roots.all().next().is_none() {
            return Err(Error::BadCertificate {
                origin: origin.to_owned(),
                what: "none of the certificates is valid X.509".to_owned(),
            });
        }
        Ok(roots)
    }

    fn add(&mut self, der: &CertificateDer<'static>) {
        let Some(certificate) = Certificate::parse(der) else {
            return;
        };
        let trusted = Trusted {
            subject: certificate.subject(),
            dates: certificate.dates(),
            may_serve: certificate.may_serve(),
            objection: certificate.objection(),
            path_length: certificate.path_length(),
            der: der.clone(),
        };
        if !certificate.is_authority() {
            self.pinned.push(trusted);
        } else if let Some(anchor) = anchor(der) {
            self.authorities.push(trusted);
            self.anchors.push(anchor);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Trusted> {
        self.authorities.iter().chain(&self.pinned)
    }

    /// Whether the server may be believed.
    pub(super) fn judge(&self, shown: &Shown<'_>) -> Result<(), Refusal> {
        let leaf = EndEntityCert::try_from(shown.leaf).map_err(|e| self.explain(&e, shown))?;
        // Go's `Certificate.Verify`: a leaf that is itself in the pool is a whole chain.
        match self.all().find(|one| one.der == *shown.leaf) {
            Some(itself) => itself.judge_as_server(shown)?,
            None => self.judge_chain(&leaf, shown)?,
        }
        match leaf.verify_is_valid_for_subject_name(shown.asked) {
            Err(webpki::Error::CertNotValidForName(_)) if fits_short_wildcard(shown) => Ok(()),
            judged => judged.map_err(|error| self.explain(&error, shown)),
        }
    }

    fn judge_chain(&self, leaf: &EndEntityCert<'_>, shown: &Shown<'_>) -> Result<(), Refusal> {
        let first_objection = RefCell::new(None);
        // webpki goes on to the next chain after an error.
        let judge_path = |path: &VerifiedPath<'_>| {
            self.judge_path(path, seconds(shown.now))
                .map_err(|refusal| {
                    first_objection.borrow_mut().get_or_insert(refusal);
                    webpki::Error::UnknownIssuer
                })
        };
        let verified = leaf.verify_for_usage(
            provider().signature_verification_algorithms.all,
            &self.anchors,
            shown.intermediates,
            shown.now,
            ForServers,
            None,
            Some(&judge_path),
        );
        match verified {
            Ok(_) => Ok(()),
            Err(webpki::Error::CaUsedAsEndEntity) => self.judge_authority_as_server(shown),
            Err(error) => Err(match first_objection.take() {
                Some(refusal) => refusal,
                None => self.explain(&error, shown),
            }),
        }
    }

    /// What webpki does not look at in a chain whose signatures, dates and names are right.
    fn judge_path(&self, path: &VerifiedPath<'_>, now: i64) -> Result<(), Refusal> {
        let mut between = 0;
        for one in path.intermediate_certificates() {
            let der = one.der();
            let certificate = Certificate::parse(&der).ok_or(Refusal::Unreadable)?;
            if let Some(why) = certificate.objection() {
                let subject = certificate.subject();
                return Err(Refusal::AuthorityMayNot { subject, why });
            }
            between += 1;
        }
        let anchor = self
            .anchors
            .iter()
            .position(|one| ptr::eq(one, path.anchor()));
        let above = anchor.and_then(|at| self.authorities.get(at));
        above.ok_or(Refusal::Unreadable)?.judge_above(between, now)
    }

    /// Go accepts a server certificate that may sign others too (`CA:TRUE`), webpki does not. One
    /// that a trusted CA signed itself is judged here, chains of such ones never are.
    fn judge_authority_as_server(&self, shown: &Shown<'_>) -> Result<(), Refusal> {
        let leaf = Certificate::parse(shown.leaf).ok_or(Refusal::Unreadable)?;
        if let Some(refusal) = out_of_date(&leaf, shown) {
            return Err(refusal);
        }
        if !leaf.may_serve() {
            let subject = leaf.subject();
            return Err(Refusal::WrongPurpose { subject });
        }
        let mut refusal = None;
        for (one, anchor) in self.authorities.iter().zip(&self.anchors) {
            let judged = match Certificate::parse(&one.der) {
                Some(issuer) if !issuer.is_above(&leaf) => continue,
                _ if !leaf.is_signed_by(&one.der) => Err(self
                    .unsupported(shown)
                    .unwrap_or_else(|| self.issuer_key_changed(&leaf))),
                // Whether the leaf's names are within them only webpki can tell.
                _ if anchor.name_constraints.is_some() => Err(authority_as_server(&leaf)),
                _ => one.judge_above(0, seconds(shown.now)),
            };
            match judged {
                Ok(()) => return Ok(()),
                Err(why) => refusal = refusal.or(Some(why)),
            }
        }
        let issuer_is_shown = shown.intermediates.iter().filter_map(Certificate::parse);
        let issuer_is_shown = issuer_is_shown.into_iter().any(|one| one.is_above(&leaf));
        Err(match refusal {
            Some(refusal) => refusal,
            None if issuer_is_shown => authority_as_server(&leaf),
            None => self.unknown_issuer(&leaf, shown),
        })
    }
}

impl Trusted {
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

    /// Whether it may be above a server's certificate with so many certificates between.
    fn judge_above(&self, between: usize, now: i64) -> Result<(), Refusal> {
        if !self.dates.contains(&now) {
            return Err(authority_out_of_date(&self.subject, &self.dates, now));
        }
        let too_long = self.path_length.filter(|most| between > *most).map(|most| {
            format!("its path length is {most}, and {between} stand between it and the server's")
        });
        match self.objection.clone().or(too_long) {
            None => Ok(()),
            Some(why) => Err(Refusal::AuthorityMayNot {
                subject: self.subject.clone(),
                why,
            }),
        }
    }
}

/// Accepts an extended key usage that is absent, or holds serverAuth or anyExtendedKeyUsage, as Go
/// does; webpki's own leaves the latter out.
struct ForServers;

impl ExtendedKeyUsageValidator for ForServers {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        const ANY: &[usize] = &[2, 5, 29, 37, 0];
        let mut present = Vec::new();
        for usage in usages {
            let usage = usage?.to_decoded_oid();
            if usage == KeyUsage::SERVER_AUTH_REPR || usage == ANY {
                return Ok(());
            }
            present.push(usage);
        }
        if present.is_empty() {
            return Ok(());
        }
        let required = KeyUsage::server_auth();
        let context = RequiredEkuNotFoundContext { required, present };
        Err(webpki::Error::RequiredEkuNotFoundContext(context))
    }
}

/// Whether `*.lan` or the like is among the names and `k8s.lan` was asked for: webpki wants two
/// labels behind a wildcard, Go does not.
fn fits_short_wildcard(shown: &Shown<'_>) -> bool {
    let ServerName::DnsName(asked) = shown.asked else {
        return false;
    };
    let asked = asked.as_ref();
    let Some((label, parent)) = asked.strip_suffix('.').unwrap_or(asked).split_once('.') else {
        return false;
    };
    let short = !label.is_empty() && !parent.is_empty() && !parent.contains('.');
    let leaf = Certificate::parse(shown.leaf);
    short && leaf.is_some_and(|leaf| leaf.has_wildcard_under(parent))
}

/// webpki's reading of a trusted certificate: name, key and name constraints.
fn anchor(der: &CertificateDer<'_>) -> Option<TrustAnchor<'static>> {
    let mut store = RootCertStore::empty();
    store.add(der.clone()).ok()?;
    store.roots.pop()
}

/// rustls' clock in the seconds that certificates count.
fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}
