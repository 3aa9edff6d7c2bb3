//! Which kubeconfigs name a login.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{Error, Store, private_file};
use crate::kubeconfig::edit::RenewalLock;

/// The byte behind each path of a list: the only one that no path contains.
const END: u8 = 0;

impl Store {
    /// The kubeconfigs that are known to name a login.
    #[must_use]
    pub fn kubeconfigs(&self, login: &str) -> Vec<PathBuf> {
        // A list that cannot be read counts as empty.
        let list = private_file::read(&self.kubeconfigs_path(login))
            .ok()
            .flatten();
        let list = list.as_deref().map_or(&[][..], Vec::as_slice);
        // Version 0.1.0 wrote one path per line.
        let end = if list.contains(&END) { END } else { b'\n' };
        let paths = list.split(|byte| *byte == end);
        paths
            .filter(|path| !path.is_empty())
            .map(|path| OsStr::from_bytes(path).into())
            .collect()
    }

    /// Notes that a kubeconfig names a login. Processes that do so at the same time take turns.
    /// Blocks.
    ///
    /// # Errors
    /// The list cannot be locked or written.
    pub fn note_kubeconfig(&self, login: &str, kubeconfig: &Path) -> Result<(), Error> {
        let path = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.to_owned());
        if self.kubeconfigs(login).contains(&path) {
            return Ok(());
        }
        let file = self.kubeconfigs_path(login);
        private_file::make_folder_of(self.folder(), &file)?;
        // Not the lock of the login, which a renewal holds for as long as its issuer takes.
        let lock = file.with_extension("kubeconfigs-lock");
        let _turn = RenewalLock::acquire(&lock).map_err(Error::Lock)?;
        let mut known = self.kubeconfigs(login);
        if known.contains(&path) {
            return Ok(());
        }
        // Files that no longer exist are dropped, so that the list does not grow without bound.
        known.retain(|path| path.exists());
        known.push(path);
        let mut list = Vec::new();
        for path in &known {
            list.extend_from_slice(path.as_os_str().as_bytes());
            list.push(END);
        }
        private_file::write(self.folder(), &file, &list)
    }

    /// Removes the list of the kubeconfigs that name a login.
    pub fn forget_kubeconfigs(&self, login: &str) {
        // If this fails: the files of the list are read before it counts.
        let _ = fs::remove_file(self.kubeconfigs_path(login));
    }

    fn kubeconfigs_path(&self, login: &str) -> PathBuf {
        self.path(login).with_extension("kubeconfigs")
    }
}
