//! [`verify`]: the verification of a presented chain.

use std::{cell::RefCell, ptr};

use rustls::pki_types::ServerName;
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext, VerifiedPath,
};

use super::{
    explain::{self, ca_out_of_date, out_of_date, server_out_of_date},
    presented::Presented,
    store::{Roots, TrustedCertificate},
};
use crate::tls::{Refusal, certificate::Certificate, provider};

/// Verifies the chain that a server presented, for its name and at its time.
///
/// # Errors
/// The reason for which the server is refused.
pub(in crate::tls) fn verify(roots: &Roots, presented: &Presented<'_>) -> Result<(), Refusal> {
    let leaf = EndEntityCert::try_from(presented.leaf)
        .map_err(|error| explain::refusal(roots, &error, presented))?;
    // As in Go's `Certificate.Verify`, a leaf that is itself trusted is a complete chain.
    match roots.all().find(|one| one.der == *presented.leaf) {
        Some(itself) => verify_as_server(itself, presented)?,
        None => verify_chain(roots, &leaf, presented)?,
    }
    match leaf.verify_is_valid_for_subject_name(presented.server_name) {
        Err(webpki::Error::CertNotValidForName(_)) if matches_short_wildcard(presented) => Ok(()),
        result => result.map_err(|error| explain::refusal(roots, &error, presented)),
    }
}

fn verify_chain(
    roots: &Roots,
    leaf: &EndEntityCert<'_>,
    presented: &Presented<'_>,
) -> Result<(), Refusal> {
    let first_refusal = RefCell::new(None);
    // After an error, webpki tries the next path.
    let verify_path = |path: &VerifiedPath<'_>| {
        verify_path(roots, path, presented.seconds()).map_err(|refusal| {
            first_refusal.borrow_mut().get_or_insert(refusal);
            webpki::Error::UnknownIssuer
        })
    };
    let verified = leaf.verify_for_usage(
        provider().signature_verification_algorithms.all,
        &roots.anchors,
        presented.intermediates,
        presented.now,
        ServerAuth,
        None,
        Some(&verify_path),
    );
    match verified {
        Ok(_) => Ok(()),
        Err(webpki::Error::CaUsedAsEndEntity) => verify_ca_as_server(roots, presented),
        Err(error) => Err(match first_refusal.take() {
            Some(refusal) => refusal,
            None => explain::refusal(roots, &error, presented),
        }),
    }
}

/// Checks what webpki does not check in a path whose signatures, validity and names are right.
fn verify_path(roots: &Roots, path: &VerifiedPath<'_>, now: i64) -> Result<(), Refusal> {
    let mut intermediates = 0;
    for one in path.intermediate_certificates() {
        let der = one.der();
        let certificate = Certificate::parse(&der).ok_or(Refusal::Unreadable)?;
        if let Some(why) = certificate.issuer_objection() {
            let subject = certificate.subject();
            return Err(Refusal::CaMayNotIssue { subject, why });
        }
        intermediates += 1;
    }
    let anchor = roots
        .anchors
        .iter()
        .position(|one| ptr::eq(one, path.anchor()));
    let authority = anchor.and_then(|at| roots.authorities.get(at));
    verify_as_issuer(authority.ok_or(Refusal::Unreadable)?, intermediates, now)
}

/// Verifies a server certificate that is also a CA certificate (`CA:TRUE`), which Go accepts and webpki
/// does not. It must be signed by a trusted CA directly; longer chains are refused.
fn verify_ca_as_server(roots: &Roots, presented: &Presented<'_>) -> Result<(), Refusal> {
    let leaf = Certificate::parse(presented.leaf).ok_or(Refusal::Unreadable)?;
    if let Some(refusal) = out_of_date(&leaf, presented) {
        return Err(refusal);
    }
    if !leaf.allows_server_auth() {
        let subject = leaf.subject();
        return Err(Refusal::WrongPurpose { subject });
    }
    let mut refusal = None;
    for (authority, anchor) in roots.authorities.iter().zip(&roots.anchors) {
        let verified = match Certificate::parse(&authority.der) {
            Some(issuer) if !issuer.is_issuer_of(&leaf) => continue,
            _ if !leaf.is_signed_by(&authority.der) => Err(explain::unsupported(roots, presented)
                .unwrap_or_else(|| explain::issuer_key_changed(roots, &leaf))),
            // Only webpki can check names against name constraints.
            _ if anchor.name_constraints.is_some() => Err(explain::ca_as_server(&leaf)),
            _ => verify_as_issuer(authority, 0, presented.seconds()),
        };
        match verified {
            Ok(()) => return Ok(()),
            Err(why) => refusal = refusal.or(Some(why)),
        }
    }
    let mut intermediates = presented
        .intermediates
        .iter()
        .filter_map(Certificate::parse);
    let issuer_is_presented = intermediates.any(|one| one.is_issuer_of(&leaf));
    Err(match refusal {
        Some(refusal) => refusal,
        None if issuer_is_presented => explain::ca_as_server(&leaf),
        None => explain::unknown_issuer(roots, &leaf, presented),
    })
}

/// Checks that a trusted certificate may be the server's own, apart from its name.
fn verify_as_server(
    certificate: &TrustedCertificate,
    presented: &Presented<'_>,
) -> Result<(), Refusal> {
    let (subject, validity) = (&certificate.subject, &certificate.validity);
    let now = presented.seconds();
    if !validity.contains(&now) {
        return Err(server_out_of_date(subject, validity, now));
    }
    if !certificate.allows_server_auth {
        return Err(Refusal::WrongPurpose {
            subject: subject.clone(),
        });
    }
    Ok(())
}

/// Checks that a trusted certificate may be the issuer at the top of a path with this number of
/// intermediate certificates.
fn verify_as_issuer(
    authority: &TrustedCertificate,
    intermediates: usize,
    now: i64,
) -> Result<(), Refusal> {
    let (subject, validity) = (&authority.subject, &authority.validity);
    if !validity.contains(&now) {
        return Err(ca_out_of_date(subject, validity, now));
    }
    let path_length = authority.path_length.filter(|most| intermediates > *most);
    let too_long = path_length.map(|most| {
        format!("its path length is {most}, and {intermediates} stand between it and the server's")
    });
    match authority.issuer_objection.clone().or(too_long) {
        None => Ok(()),
        Some(why) => Err(Refusal::CaMayNotIssue {
            subject: subject.clone(),
            why,
        }),
    }
}

/// Accepts an extended key usage that is absent, or contains serverAuth or anyExtendedKeyUsage, as Go
/// does. webpki's own validator does not accept the latter.
struct ServerAuth;

impl ExtendedKeyUsageValidator for ServerAuth {
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

/// Whether the certificate has a name such as `*.lan`, and the server's name is `k8s.lan`. webpki
/// requires two labels behind a wildcard, Go does not.
fn matches_short_wildcard(presented: &Presented<'_>) -> bool {
    let ServerName::DnsName(name) = presented.server_name else {
        return false;
    };
    let name = name.as_ref();
    let Some((label, parent)) = name.strip_suffix('.').unwrap_or(name).split_once('.') else {
        return false;
    };
    let is_short = !label.is_empty() && !parent.is_empty() && !parent.contains('.');
    let leaf = Certificate::parse(presented.leaf);
    is_short && leaf.is_some_and(|leaf| leaf.has_wildcard_under(parent))
}
