//! [`AccountTurn`]: who may send the passwords of an account, and which of them were refused.
//!
//! Where the state folder is read-only, as in many containers, a folder for the runtime remembers refused
//! passwords: `XDG_RUNTIME_DIR/kubegate`, else one of the user's own below `TMPDIR`.

use std::time::SystemTime;

use super::{Error, PasswordRefusal, Store, refused_passwords::AccountFile};
use crate::{kubeconfig, secret::Secret};

/// The right of this process alone to send passwords of one account to its issuer. Other processes wait
/// until it is dropped.
pub struct AccountTurn {
    /// The file in the state folder, unless that cannot be written to, and that in the folder for the
    /// runtime, if there is one.
    files: Vec<AccountFile>,
    /// The folder for the runtime while none of `files` is in it, with issuer and user.
    fallback: Option<(Store, [String; 2])>,
}

impl Store {
    /// Waits until no other process sends a password of this account. Blocks for 90 s at most.
    ///
    /// # Errors
    /// Others send passwords all that time, or no folder can be written to.
    pub fn turn_of_account(&self, issuer: &str, user: &str) -> Result<AccountTurn, Error> {
        let mut fallback = self.of_runtime();
        let mut files = Vec::new();
        let unwritable = match self.account_file(issuer, user) {
            Ok(file) => {
                files.push(file);
                None
            }
            Err(error) if is_held(&error) => return Err(error),
            Err(error) => Some(error),
        };
        // Refusals that could not be written to the state folder are read there too.
        let reads = |store: &Store| unwritable.is_some() || store.has_refused_passwords();
        if let Some(store) = fallback.take_if(|store| reads(store)) {
            match store.account_file(issuer, user) {
                Ok(file) => files.push(file),
                Err(error) if is_held(&error) => return Err(error),
                Err(error) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "refused passwords are not remembered at runtime"
                ),
            }
        }
        match unwritable {
            Some(error) if files.is_empty() => Err(error),
            _ => Ok(AccountTurn {
                files,
                fallback: fallback.map(|store| (store, [issuer.to_owned(), user.to_owned()])),
            }),
        }
    }

    /// Forgets the refused passwords of an account, because its user has logged in. Blocks.
    ///
    /// # Errors
    /// As [`Store::turn_of_account`].
    pub fn forget_refused_passwords(&self, issuer: &str, user: &str) -> Result<(), Error> {
        let stores = [Some(self.clone()), self.of_runtime()];
        for store in stores.into_iter().flatten() {
            // Without a key no password was refused yet.
            if store.has_refused_passwords() {
                store.account_file(issuer, user)?.clear()?;
            }
        }
        Ok(())
    }
}

impl AccountTurn {
    /// Returns the last refusal of this password.
    #[must_use]
    pub fn refusal(&self, password: &Secret) -> Option<PasswordRefusal> {
        let refusals = self.files.iter().filter_map(|file| file.refusal(password));
        refusals.max_by_key(PasswordRefusal::retry_at)
    }

    /// Remembers that the password was refused just now. Blocks.
    ///
    /// # Errors
    /// No folder can be written to.
    pub fn note_refused(&mut self, password: &Secret, now: SystemTime) -> Result<(), Error> {
        let mut failed = None;
        for file in &mut self.files {
            match file.note_refused(password, now) {
                Ok(()) => return Ok(()),
                Err(error) => failed = Some(error),
            }
        }
        if let Some((store, [issuer, user])) = self.fallback.take() {
            let mut file = store.account_file(&issuer, &user)?;
            file.note_refused(password, now)?;
            self.files.push(file);
            return Ok(());
        }
        failed.map_or(Ok(()), Err)
    }

    /// Forgets that the password was refused, because it was accepted. Blocks.
    ///
    /// # Errors
    /// A folder cannot be written to.
    pub fn note_accepted(&mut self, password: &Secret) -> Result<(), Error> {
        let noted = self.files.iter_mut();
        let noted: Vec<_> = noted.map(|file| file.note_accepted(password)).collect();
        noted.into_iter().collect()
    }
}

/// Whether another process has the turn.
fn is_held(error: &Error) -> bool {
    matches!(error, Error::Lock(kubeconfig::Error::Locked { .. }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{ffi::OsString, fs, path::Path};

    use super::*;

    const ISSUER: &str = "https://oauth.example";

    fn store(state: &Path, runtime: &Path) -> Store {
        let (state, runtime) = (state.as_os_str().to_owned(), runtime.as_os_str().to_owned());
        let env = |name: &str| -> Option<OsString> {
            match name {
                "XDG_STATE_HOME" => Some(state.clone()),
                "XDG_RUNTIME_DIR" => Some(runtime.clone()),
                _ => None,
            }
        };
        Store::of_user(&env).unwrap()
    }

    #[test]
    fn a_refusal_is_remembered_without_a_state_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (state, runtime) = (folder.path().join("state"), folder.path().join("run"));
        fs::create_dir(&runtime).unwrap();
        // Not even root can create a folder below a file.
        fs::write(&state, "").unwrap();
        let password = Secret::new("hunter2");
        let open = || {
            let store = store(&state, &runtime);
            store.turn_of_account(ISSUER, "alice").unwrap()
        };
        assert_eq!(open().refusal(&password), None);
        let now = SystemTime::now();
        open().note_refused(&password, now).unwrap();
        assert!(open().refusal(&password).unwrap().forbids(now));
        // It is still known when the state folder can be written to.
        fs::remove_file(&state).unwrap();
        assert!(open().refusal(&password).unwrap().forbids(now));
        open().note_accepted(&password).unwrap();
        assert_eq!(open().refusal(&password), None);
        open().note_refused(&password, now).unwrap();
        let forgetful = store(&state, &runtime);
        forgetful.forget_refused_passwords(ISSUER, "alice").unwrap();
        assert_eq!(open().refusal(&password), None);
    }

    #[test]
    fn a_refusal_that_cannot_be_written_to_the_state_folder_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let (state, runtime) = (folder.path().join("state"), folder.path().join("run"));
        fs::create_dir(&runtime).unwrap();
        let store = store(&state, &runtime);
        let password = Secret::new("hunter2");
        let mut turn = store.turn_of_account(ISSUER, "alice").unwrap();
        // The lock is held, and the folder is lost.
        fs::remove_dir_all(&state).unwrap();
        fs::write(&state, "").unwrap();
        let now = SystemTime::now();
        turn.note_refused(&password, now).unwrap();
        drop(turn);
        let turn = store.turn_of_account(ISSUER, "alice").unwrap();
        assert!(turn.refusal(&password).unwrap().forbids(now));
    }

    #[test]
    fn no_folder_of_another_kind_is_used_at_runtime() {
        let folder = tempfile::tempdir().unwrap();
        let (state, runtime) = (folder.path().join("state"), folder.path().join("run"));
        fs::write(&state, "").unwrap();
        // There is none.
        let store = store(&state, &runtime);
        assert!(store.turn_of_account(ISSUER, "alice").is_err());
        // A link leads elsewhere.
        fs::create_dir(&runtime).unwrap();
        std::os::unix::fs::symlink(folder.path(), runtime.join("kubegate")).unwrap();
        assert!(store.turn_of_account(ISSUER, "alice").is_err());
    }
}
