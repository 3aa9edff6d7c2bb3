//! [`CertificateFiles`]: the files of `--tls-cert` and `--tls-key`.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{pki_types::CertificateDer, sign::CertifiedKey};
use zeroize::Zeroizing;

use super::HttpsError;
use crate::{
    kubeconfig::{foreign_writers, warn_once},
    tls,
};

/// Bytes that a file may have.
const LIMIT: u64 = 1 << 20;

/// The files of the listener's certificate and key.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// `--tls-cert`
    pub certificate: PathBuf,
    /// `--tls-key`
    pub key: PathBuf,
}

impl CertificateFiles {
    pub(super) fn paths(&self) -> [PathBuf; 2] {
        [self.certificate.clone(), self.key.clone()]
    }

    /// Reads both. Warns of a key that other users may read.
    pub(super) fn read(&self, now: SystemTime) -> Result<Arc<CertifiedKey>, HttpsError> {
        let certificate = read("--tls-cert", &self.certificate)?;
        let key = read("--tls-key", &self.key)?;
        let certificate_origin = format!("--tls-cert {}", self.certificate.display());
        let key_origin = format!("--tls-key {}", self.key.display());
        let identity =
            tls::identity::certified_key(&certificate, &certificate_origin, &key, &key_origin)?;
        tls::identity::check_validity(&identity, &certificate_origin, now)?;
        let mode = fs::metadata(&self.key).map(|found| found.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            warn_once(&format!(
                "{key_origin}: other users of this machine may be able to read the private key; \
                 chmod 600 takes that from them"
            ));
        }
        Ok(identity)
    }
}

/// Reads the authorities of `--client-ca`.
pub(super) fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, HttpsError> {
    let text = read("--client-ca", path)?;
    if let Some(writers) = foreign_writers(path) {
        let path = path.to_owned();
        return Err(HttpsError::Writers { path, writers });
    }
    let origin = format!("--client-ca {}", path.display());
    Ok(tls::pem::certificates(&text, &origin)?)
}

fn read(flag: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, HttpsError> {
    let failed = |source| HttpsError::Read {
        flag,
        path: path.to_owned(),
        source,
    };
    // Opening a pipe without a writer would block forever.
    let found = fs::metadata(path).map_err(failed)?;
    if !found.is_file() || found.len() > LIMIT {
        let problem = "it is no regular file, or has more than 1 MiB";
        return Err(failed(io::Error::other(problem)));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(64 << 10));
    let file = fs::File::open(path).map_err(failed)?;
    file.take(LIMIT).read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}
