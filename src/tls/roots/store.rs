//! [`Roots`]: a set of trusted certificates.

use std::ops::RangeInclusive;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, TrustAnchor},
};

use crate::tls::{Error, certificate::Certificate};

/// The trusted certificates.
pub(in crate::tls) struct Roots {
    /// Where they come from, for error messages.
    pub(super) origin: String,
    /// The certificates that may issue others, in the order of `anchors`.
    pub(super) authorities: Vec<TrustedCertificate>,
    /// webpki's form of `authorities`.
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// The certificates that may not issue others. Each is trusted only as a server's own certificate.
    pub(super) pinned: Vec<TrustedCertificate>,
}

/// A trusted certificate with the facts that verification needs.
pub(super) struct TrustedCertificate {
    pub(super) der: CertificateDer<'static>,
    pub(super) subject: String,
    pub(super) validity: RangeInclusive<i64>,
    pub(super) allows_server_auth: bool,
    /// Why it may not issue a server's certificate, whatever the intermediates.
    pub(super) issuer_objection: Option<String>,
    /// The most intermediate certificates below it.
    pub(super) path_length: Option<usize>,
}

impl Roots {
    /// Collects the usable certificates. As in Go, others are ignored.
    ///
    /// # Errors
    /// No usable certificate.
    pub(in crate::tls) fn new(
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
        let trusted = TrustedCertificate {
            subject: certificate.subject(),
            validity: certificate.validity(),
            allows_server_auth: certificate.allows_server_auth(),
            issuer_objection: certificate.issuer_objection(),
            path_length: certificate.path_length(),
            der: der.clone(),
        };
        if !certificate.may_issue() {
            self.pinned.push(trusted);
        } else if let Some(anchor) = anchor(der) {
            self.authorities.push(trusted);
            self.anchors.push(anchor);
        }
    }

    /// All trusted certificates.
    pub(super) fn all(&self) -> impl Iterator<Item = &TrustedCertificate> {
        self.authorities.iter().chain(&self.pinned)
    }
}

/// Converts a trusted certificate to webpki's form: name, key and name constraints.
fn anchor(der: &CertificateDer<'_>) -> Option<TrustAnchor<'static>> {
    let mut store = RootCertStore::empty();
    store.add(der.clone()).ok()?;
    store.roots.pop()
}
