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
    /// The password that is being sent.
    sent: Option<Sent>,
}

/// What [`AccountTurn::note_sent`] noted.
struct Sent {
    /// What was known before.
    before: Option<PasswordRefusal>,
    /// The number of the file in [`AccountTurn::files`], and what that one knew.
    file: (usize, Option<PasswordRefusal>),
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
                sent: None,
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

    /// Notes that the password is sent now, in case that no answer to it comes. Blocks.
    ///
    /// # Errors
    /// No folder can be written to.
    pub fn note_sent(&mut self, password: &Secret, now: SystemTime) -> Result<(), Error> {
        let before = self.refusal(password);
        let assumed = PasswordRefusal::unless_answered(before, now);
        let file = self.note(password, assumed)?;
        self.sent = Some(Sent { before, file });
        Ok(())
    }

    /// Takes [`AccountTurn::note_sent`] back, since the answer says nothing about the password. Blocks.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn note_not_judged(&mut self, password: &Secret) -> Result<(), Error> {
        let Some(Sent { file, .. }) = self.sent.take() else {
            return Ok(());
        };
        let (number, known) = file;
        let Some(file) = self.files.get_mut(number) else {
            return Ok(());
        };
        match known {
            Some(refusal) => file.note(password, refusal),
            None => file.clear_password(password),
        }
    }

    /// Remembers that the password was refused just now. Blocks.
    ///
    /// # Errors
    /// No folder can be written to.
    pub fn note_refused(&mut self, password: &Secret, now: SystemTime) -> Result<(), Error> {
        let before = match self.sent.take() {
            Some(sent) => sent.before,
            None => self.refusal(password),
        };
        self.note(password, PasswordRefusal::after(before, now))?;
        Ok(())
    }

    /// Forgets that the password was refused, because it was accepted. Blocks.
    ///
    /// # Errors
    /// A folder cannot be written to.
    pub fn note_accepted(&mut self, password: &Secret) -> Result<(), Error> {
        self.sent = None;
        let noted = self.files.iter_mut();
        let noted: Vec<_> = noted.map(|file| file.clear_password(password)).collect();
        noted.into_iter().collect()
    }

    /// Notes what is known about the password in the first file that takes it. Returns the number of that
    /// file, and what it knew before.
    fn note(
        &mut self,
        password: &Secret,
        refusal: PasswordRefusal,
    ) -> Result<(usize, Option<PasswordRefusal>), Error> {
        let mut failed = None;
        for (number, file) in self.files.iter_mut().enumerate() {
            let known = file.refusal(password);
            match file.note(password, refusal) {
                Ok(()) => return Ok((number, known)),
                Err(error) => failed = Some(error),
            }
        }
        let Some((store, [issuer, user])) = self.fallback.take() else {
            return Err(failed.unwrap_or(Error::NoFolder));
        };
        let mut file = store.account_file(&issuer, &user)?;
        let known = file.refusal(password);
        file.note(password, refusal)?;
        self.files.push(file);
        Ok((self.files.len() - 1, known))
    }
}

/// Whether another process has the turn.
fn is_held(error: &Error) -> bool {
    matches!(error, Error::Lock(kubeconfig::Error::Locked { .. }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        ffi::OsString,
        fs,
        path::Path,
        time::{Duration, UNIX_EPOCH},
    };

    use super::*;

    const ISSUER: &str = "https://oauth.example";
    const MINUTE: Duration = Duration::from_secs(60);

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_000_000)
    }

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
    fn a_password_without_an_answer_is_sent_once_more_and_then_after_pauses() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder.path().join("state"), &folder.path().join("run"));
        let password = Secret::new("hunter1");
        let turn = |user| store.turn_of_account(ISSUER, user).unwrap();
        // Each process ends before the answer comes.
        for minutes in [0, 5, 10, 20] {
            turn("alice").note_sent(&password, now()).unwrap();
            let refusal = turn("alice").refusal(&password).unwrap();
            assert_eq!(refusal.retry_at(), now() + minutes * MINUTE);
            assert_eq!(refusal.forbids(now()), minutes > 0);
        }
        // The answer of a server that failed says nothing, and what was known before is known again.
        let before = turn("alice").refusal(&password);
        let mut here = turn("alice");
        here.note_sent(&password, now()).unwrap();
        here.note_not_judged(&password).unwrap();
        drop(here);
        assert_eq!(turn("alice").refusal(&password), before);
        // A refusal counts from its first time, and stays one if the next process ends.
        let mut here = turn("alice");
        here.note_sent(&password, now()).unwrap();
        here.note_refused(&password, now()).unwrap();
        drop(here);
        let refusal = turn("alice").refusal(&password).unwrap();
        assert_eq!(refusal.retry_at(), now() + 60 * MINUTE);
        turn("alice").note_sent(&password, now()).unwrap();
        let refusal = turn("alice").refusal(&password).unwrap();
        assert_eq!(refusal.retry_at(), now() + 120 * MINUTE);
        // The control: nothing is left of a password that was accepted, or never judged.
        let other = Secret::new("hunter2");
        for accepted in [false, true] {
            let mut here = turn("bob");
            here.note_sent(&other, now()).unwrap();
            if accepted {
                here.note_accepted(&other).unwrap();
            } else {
                here.note_not_judged(&other).unwrap();
            }
            drop(here);
            assert_eq!(turn("bob").refusal(&other), None);
        }
    }

    #[test]
    fn what_is_sent_is_noted_where_there_is_room_and_taken_back_there() {
        let folder = tempfile::tempdir().unwrap();
        let (state, runtime) = (folder.path().join("state"), folder.path().join("run"));
        fs::create_dir(&runtime).unwrap();
        let store = store(&state, &runtime);
        let password = Secret::new("hunter2");
        let turn = || store.turn_of_account(ISSUER, "alice").unwrap();
        turn().note_refused(&password, now()).unwrap();
        let known = turn().refusal(&password);
        for judged in [false, true] {
            let mut here = turn();
            // The lock is held, and the folder is lost for a while.
            let aside = folder.path().join("aside");
            fs::rename(&state, &aside).unwrap();
            fs::write(&state, "").unwrap();
            here.note_sent(&password, now()).unwrap();
            assert!(here.refusal(&password).unwrap().forbids(now()));
            fs::remove_file(&state).unwrap();
            fs::rename(&aside, &state).unwrap();
            if judged {
                here.note_refused(&password, now()).unwrap();
            } else {
                here.note_not_judged(&password).unwrap();
            }
            drop(here);
            let times_two = PasswordRefusal::after(known, now());
            let expected = if judged { Some(times_two) } else { known };
            assert_eq!(turn().refusal(&password), expected);
        }
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
