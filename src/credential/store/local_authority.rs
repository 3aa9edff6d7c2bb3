//! The local CA of `--tls-self-signed`, in a folder of its own: its key, and its certificate, which
//! clients are given.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use zeroize::Zeroizing;

use super::{Error, Store, private_file};
use crate::{kubeconfig::edit::RenewalLock, tls::LocalAuthority};

/// How long a client certificate is valid. The CA's certificate is valid for at least as long.
const CLIENT_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Store {
    /// The file of the local CA's certificate. [`Store::local_authority`] makes it.
    #[must_use]
    pub fn authority_file(&self) -> PathBuf {
        self.authority_folder().join("ca.pem")
    }

    /// Reads the local CA. Makes it where there is none, and renews its certificate in time; under a
    /// lock, so that kubegates that start at once have the same CA. Blocks.
    ///
    /// # Errors
    /// A folder that cannot be read or written, or files that are no CA.
    pub fn local_authority(&self, now: SystemTime) -> Result<LocalAuthority, Error> {
        let key = self.authority_folder().join("key.pem");
        let certificate = self.authority_file();
        // A folder that cannot be written to may have a good CA.
        let mut known = read(&key, &certificate).ok().flatten();
        if let Some(known) = known.take_if(|known| !known.needs_renewal(now)) {
            return Ok(known);
        }
        match (self.make_or_renew(&key, &certificate, now), known) {
            (Err(error), Some(known)) if known.is_valid(now) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the certificate of the local CA is not renewed");
                Ok(known)
            }
            (made, _) => made,
        }
    }

    /// Issues a client certificate by the local CA. `--client-ca` with the CA's file knows its holder as
    /// `name`, which has to be good for a file's name. Returns the file with the certificate and its key:
    /// one file, so that both are replaced at once. Blocks.
    ///
    /// # Errors
    /// Those of [`Store::local_authority`]; a file that cannot be written.
    pub fn issue_client_certificate(&self, name: &str, now: SystemTime) -> Result<PathBuf, Error> {
        let authority = self.local_authority(now)?;
        let folder = self.authority_folder();
        let file = folder.join("clients").join(format!("{name}.pem"));
        let issued = authority.issue_for_client(name, CLIENT_LIFETIME, now);
        let issued = issued.map_err(|source| Error::Authority { folder, source })?;
        let text = Zeroizing::new(issued.chain_pem() + &issued.key_pem());
        private_file::write(self.folder(), &file, text.as_bytes())?;
        Ok(file)
    }

    fn make_or_renew(
        &self,
        key: &Path,
        certificate: &Path,
        now: SystemTime,
    ) -> Result<LocalAuthority, Error> {
        let folder = self.authority_folder();
        private_file::make_folder_of(self.folder(), certificate)?;
        let _lock = RenewalLock::acquire(&folder.join("lock")).map_err(Error::Lock)?;
        let broken = |source| Error::Authority {
            folder: folder.clone(),
            source,
        };
        let Some(key_pem) = private_file::read(key)? else {
            let made = LocalAuthority::generate(now).map_err(broken)?;
            // A key alone gets its certificate at the next start.
            private_file::write(self.folder(), key, made.key_pem().as_bytes())?;
            return self.write_authority(made);
        };
        let renew = || LocalAuthority::with_key_pem(&key_pem, &origin(key), now);
        match read(key, certificate)? {
            Some(read) if !read.needs_renewal(now) => Ok(read),
            _ => self.write_authority(renew().map_err(broken)?),
        }
    }

    fn write_authority(&self, made: LocalAuthority) -> Result<LocalAuthority, Error> {
        let text = made.certificate_pem();
        private_file::write(self.folder(), &self.authority_file(), text.as_bytes())?;
        Ok(made)
    }

    fn authority_folder(&self) -> PathBuf {
        self.folder().join("local-ca")
    }
}

/// Reads the CA; `None` if one of its files is missing.
fn read(key: &Path, certificate: &Path) -> Result<Option<LocalAuthority>, Error> {
    let (Some(key_pem), Some(certificate_pem)) =
        (private_file::read(key)?, private_file::read(certificate)?)
    else {
        return Ok(None);
    };
    let read = LocalAuthority::from_pem(
        &key_pem,
        &origin(key),
        &certificate_pem,
        &origin(certificate),
    );
    read.map(Some).map_err(|source| Error::Authority {
        folder: key.parent().unwrap_or(key).to_owned(),
        source,
    })
}

fn origin(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{ffi::OsString, fs, os::unix::fs::PermissionsExt as _, thread, time::Duration};

    use super::*;

    fn store(folder: &Path) -> Store {
        let state = OsString::from(folder);
        let env = |name: &str| (name == "XDG_STATE_HOME").then(|| state.clone());
        Store::of_user(&env).unwrap()
    }

    #[test]
    fn many_that_start_at_once_have_the_same_authority() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let starting: Vec<_> = (0..8)
            .map(|_| {
                let store = store(folder.path());
                thread::spawn(move || store.local_authority(now).unwrap().certificate_pem())
            })
            .collect();
        let made: Vec<_> = starting
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect();
        let file = fs::read_to_string(store(folder.path()).authority_file()).unwrap();
        assert!(made.iter().all(|one| *one == file));
    }

    #[test]
    fn its_files_are_private_and_it_is_renewed_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let now = SystemTime::now();
        let first = store.local_authority(now).unwrap();
        for name in ["ca.pem", "key.pem"] {
            let path = store.authority_folder().join(name);
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
        let later = now + Duration::from_secs(400 * 24 * 60 * 60);
        let renewed = store.local_authority(later).unwrap();
        assert_ne!(renewed.certificate_pem(), first.certificate_pem());
        assert_eq!(*renewed.key_pem(), *first.key_pem());
        fs::remove_file(store.authority_file()).unwrap();
        let again = store.local_authority(later).unwrap();
        assert_eq!(*again.key_pem(), *first.key_pem());
    }

    #[test]
    fn a_good_one_is_read_without_writing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let now = SystemTime::now();
        let made = store.local_authority(now).unwrap();
        // Every attempt to take the lock fails.
        let lock = store.authority_folder().join("lock");
        fs::remove_file(&lock).unwrap();
        fs::create_dir(&lock).unwrap();
        let read = store.local_authority(now).unwrap();
        assert_eq!(read.certificate_pem(), made.certificate_pem());
        let later = now + Duration::from_secs(400 * 24 * 60 * 60);
        let read = store.local_authority(later).unwrap();
        assert_eq!(read.certificate_pem(), made.certificate_pem());
        let expired = now + Duration::from_secs(800 * 24 * 60 * 60);
        assert!(store.local_authority(expired).is_err());
    }

    #[test]
    fn a_broken_file_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let now = SystemTime::now();
        for name in ["ca.pem", "key.pem"] {
            store.local_authority(now).unwrap();
            let path = store.authority_folder().join(name);
            fs::write(&path, "no PEM").unwrap();
            let error = store.local_authority(now).unwrap_err();
            let shown = crate::error::with_causes(&error);
            assert!(
                shown.contains(name) && shown.contains("remove the folder"),
                "{shown}"
            );
            fs::remove_file(path).unwrap();
        }
    }
}
