//! When a server was last asked whether the session of a login was revoked. Each command is a process of
//! its own, so the time is in the state folder.

use std::{fs, path::PathBuf, time::SystemTime};

use super::{Error, Store, private_file};

impl Store {
    /// When a server was last asked about the session of a login; `None` if that is unknown.
    #[must_use]
    pub fn checked_at(&self, login: &str) -> Option<SystemTime> {
        let found = fs::symlink_metadata(self.check_path(login)).ok()?;
        found.modified().ok()
    }

    /// Notes that a server was asked just now. Blocks.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn note_checked(&self, login: &str) -> Result<(), Error> {
        private_file::write(self.folder(), &self.check_path(login), b"")
    }

    /// Empty: its time of change counts. It is not in the login's file, which may be in a keyring and is
    /// watched by proxies.
    pub(super) fn check_path(&self, login: &str) -> PathBuf {
        self.path(login).with_extension("checked")
    }
}
