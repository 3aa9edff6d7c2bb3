//! `client-certificate` and `client-key`: the identity in the TLS handshake, alone or together with
//! a login.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::{self, SHA256};
use rustls::sign::CertifiedKey;

use crate::{
    credential::{Credential, Error, Fetch, Need, RefreshPolicy, Source, blocking::blocking},
    kubeconfig::{KeyPair, Pem},
    tls::identity,
};

/// A certificate and key from the kubeconfig, or from files that are read each time.
#[derive(Clone)]
pub(in crate::credential) struct ClientCert(Arc<Inner>);

struct Inner {
    pair: KeyPair,
    last: LastIdentity,
}

impl ClientCert {
    /// Reads and checks the certificate and key at once.
    pub(in crate::credential) fn new(pair: KeyPair) -> Result<Self, Error> {
        let last = LastIdentity::default();
        let inner = Inner { pair, last };
        inner.read()?;
        Ok(Self(Arc::new(inner)))
    }

    async fn read(&self) -> Result<Arc<CertifiedKey>, Error> {
        let inner = Arc::clone(&self.0);
        blocking(|| self.subject(), move || inner.read()).await?
    }

    fn is_in_files(&self) -> bool {
        let KeyPair { certificate, key } = &self.0.pair;
        [certificate, key]
            .iter()
            .any(|pem| matches!(pem, Pem::File { .. }))
    }
}

impl Inner {
    fn read(&self) -> Result<Arc<CertifiedKey>, Error> {
        let KeyPair { certificate, key } = &self.pair;
        let certificate_pem = certificate.read().map_err(Error::pem)?;
        let key_pem = key.read().map_err(Error::pem)?;
        let origins = (certificate.location(), key.location());
        self.last
            .certified_key(&certificate_pem, &key_pem, (&origins.0, &origins.1))
    }
}

impl Source for ClientCert {
    fn subject(&self) -> String {
        format!("client certificate {}", self.0.pair.certificate.origin())
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(async {
            Ok(Credential {
                certificate: Some(self.read().await?),
                ..Credential::default()
            })
        })
    }

    fn refresh_policy(&self) -> RefreshPolicy {
        if self.is_in_files() {
            RefreshPolicy::FILE
        } else {
            RefreshPolicy::ISSUER
        }
    }
}

/// A login together with a certificate. As in client-go, the certificate takes precedence over one
/// that the login may give.
pub(in crate::credential) struct WithCertificate {
    certificate: ClientCert,
    login: Arc<dyn Source>,
}

impl WithCertificate {
    pub(in crate::credential) fn new(certificate: ClientCert, login: Arc<dyn Source>) -> Self {
        Self { certificate, login }
    }

    fn together_with<'a>(&'a self, login: Fetch<'a>) -> Fetch<'a> {
        Box::pin(async {
            // A pair that is just being replaced must not prevent the renewal of an expired login;
            // the recheck reports what is wrong with it.
            let certificate = match self.certificate.read().await {
                Ok(certificate) => Some(certificate),
                Err(error) => Some(self.certificate.0.last.get().ok_or(error)?),
            };
            let login = login.await?;
            Ok(Credential {
                certificate,
                ..login
            })
        })
    }
}

impl Source for WithCertificate {
    fn subject(&self) -> String {
        self.login.subject()
    }

    fn fetch(&self) -> Fetch<'_> {
        self.together_with(self.login.fetch())
    }

    fn fetch_once(&self, need: Need) -> Fetch<'_> {
        self.together_with(self.login.fetch_once(need))
    }

    fn refresh_policy(&self) -> RefreshPolicy {
        let login = self.login.refresh_policy();
        RefreshPolicy {
            recheck_after: login
                .recheck_after
                .or(self.certificate.refresh_policy().recheck_after),
            ..login
        }
    }

    /// Reads the files again; the login checks itself.
    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        Box::pin(async {
            let certificate = Some(self.certificate.read().await?);
            let login = self.login.recheck(last).await?;
            Ok(Credential {
                certificate,
                ..login
            })
        })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.login.files()
    }

    fn login_files(&self) -> Vec<PathBuf> {
        self.login.login_files()
    }

    fn inputs_changed(&self) {
        self.login.inputs_changed();
    }
}

/// Returns the same `Arc` as long as certificate and key have the same content, so that connections
/// made with it are kept.
#[derive(Default)]
pub(in crate::credential) struct LastIdentity(Mutex<Option<([u8; 32], Arc<CertifiedKey>)>>);

impl LastIdentity {
    fn get(&self) -> Option<Arc<CertifiedKey>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|(_, identity)| Arc::clone(identity))
    }

    /// `origins` name the certificate and the key in errors.
    pub(in crate::credential) fn certified_key(
        &self,
        certificate: &[u8],
        key: &[u8],
        origins: (&str, &str),
    ) -> Result<Arc<CertifiedKey>, Error> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = fingerprint(certificate, key);
        if let Some((_, same)) = last.as_ref().filter(|(seen, _)| *seen == new) {
            return Ok(Arc::clone(same));
        }
        let fresh = identity::certified_key(certificate, origins.0, key, origins.1)
            .map_err(|error| Error::Certificate(Arc::new(error)))?;
        *last = Some((new, Arc::clone(&fresh)));
        Ok(fresh)
    }
}

/// A hash to compare in place of the content, so that the key need not be kept in memory.
fn fingerprint(certificate: &[u8], key: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    context.update(&certificate.len().to_be_bytes());
    context.update(certificate);
    context.update(key);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
