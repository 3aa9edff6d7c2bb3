//! Which kubeconfigs name a login.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Error, Store, private_file};

impl Store {
    /// The kubeconfigs that are known to name a login.
    #[must_use]
    pub fn kubeconfigs(&self, login: &str) -> Vec<PathBuf> {
        // A list that cannot be read counts as empty.
        let text = private_file::read(&self.kubeconfigs_path(login))
            .ok()
            .flatten();
        let text = text
            .as_deref()
            .and_then(|text| std::str::from_utf8(text).ok());
        text.unwrap_or_default()
            .lines()
            .map(PathBuf::from)
            .collect()
    }

    /// Notes that a kubeconfig names a login. Blocks.
    ///
    /// # Errors
    /// The list cannot be written.
    pub fn note_kubeconfig(&self, login: &str, kubeconfig: &Path) -> Result<(), Error> {
        let path = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.to_owned());
        // The list has one path in each line; a path that is no such line is left out.
        let Some(name) = path.to_str().filter(|path| !path.contains('\n')) else {
            return Ok(());
        };
        let mut known = self.kubeconfigs(login);
        if known.contains(&path) {
            return Ok(());
        }
        // Files that no longer exist are dropped, so that the list does not grow without bound.
        known.retain(|path| path.exists());
        let known = known.iter().filter_map(|path| path.to_str());
        let mut text = known.chain([name]).collect::<Vec<_>>().join("\n");
        text.push('\n');
        let path = self.kubeconfigs_path(login);
        private_file::write(self.folder(), &path, text.as_bytes())
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
