//! Passwords from files that an issuer refused. Directories lock an account after a few wrong
//! passwords, so a refused one is not sent again by each process that reads the file.
//!
//! A password is known by its HMAC under a random key of the state folder, together with issuer and
//! user. The pause before it is sent again begins with an hour and doubles up to a day, so that a
//! locked account does not stop a service for ever.
//!
//! A password is noted before it is sent, since its process may end before the answer comes. Without an
//! answer it is sent once more at once, and then after pauses that begin with five minutes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{hmac, rand};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Error, Store, private_file};
use crate::{credential::timestamp::timestamp, kubeconfig::edit::RenewalLock, secret::Secret};

const FIRST_PAUSE: Duration = Duration::from_secs(3600);
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);
/// The pause after the second time in a row that no answer came.
const FIRST_UNANSWERED_PAUSE: Duration = Duration::from_secs(300);

/// Bytes of the key.
const KEY_LENGTH: usize = 32;

/// Passwords of one account that are remembered. The oldest is dropped.
const MAX_PASSWORDS: usize = 8;

/// That a password was refused, or sent without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordRefusal {
    /// When that was last.
    pub at: SystemTime,
    /// How often in a row.
    times: u32,
    /// Whether no answer came, so that the password may be right.
    unanswered: bool,
}

impl PasswordRefusal {
    /// A refusal at `at`, after the one `before`.
    #[must_use]
    pub fn after(before: Option<Self>, at: SystemTime) -> Self {
        let refused = before.filter(|before| !before.unanswered);
        let times = refused.map_or(0, |before| before.times);
        Self {
            at,
            times: times.saturating_add(1),
            unanswered: false,
        }
    }

    /// What to assume of a password that is sent at `at` until its answer is there. One that was refused
    /// before is refused again.
    #[must_use]
    pub fn unless_answered(before: Option<Self>, at: SystemTime) -> Self {
        if before.is_some_and(|before| !before.unanswered) {
            return Self::after(before, at);
        }
        let times = before.map_or(0, |before| before.times);
        Self {
            at,
            times: times.saturating_add(1),
            unanswered: true,
        }
    }

    /// When the password may be sent again.
    #[must_use]
    pub fn retry_at(&self) -> SystemTime {
        let (first, doublings) = match (self.unanswered, self.times) {
            // A process may end for any reason.
            (true, 0 | 1) => return self.at,
            (true, times) => (FIRST_UNANSWERED_PAUSE, times - 2),
            (false, times) => (FIRST_PAUSE, times.saturating_sub(1)),
        };
        let pause = (first * 2_u32.pow(doublings.min(16))).min(LONGEST_PAUSE);
        self.at.checked_add(pause).unwrap_or(self.at)
    }

    /// What happened, as a clause after the name of the issuer: `refused the password at 2026-...`.
    #[must_use]
    pub fn clause(&self) -> String {
        let at = timestamp(self.at);
        if self.unanswered {
            let times = self.times;
            return format!("gave no answer to the password {times} times, last at {at}");
        }
        format!("refused the password at {at}")
    }

    /// Whether the password must not be sent at `now`. If the clock was set back behind the refusal,
    /// its age is unknown, and the password is sent.
    #[must_use]
    pub fn forbids(&self, now: SystemTime) -> bool {
        self.at <= now && now < self.retry_at()
    }
}

/// The refused passwords of one account in one folder, which no other process reads or changes meanwhile.
pub(super) struct AccountFile {
    _lock: RenewalLock,
    store: Store,
    path: PathBuf,
    key: hmac::Key,
    /// Issuer and user, which the HMAC of a password covers as well.
    account: [String; 2],
    refused: Vec<RefusedPassword>,
}

/// A password in the file of an account.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RefusedPassword {
    /// Its HMAC.
    password: String,
    times: u32,
    /// In seconds since 1970.
    refused_at: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unanswered: bool,
}

impl Store {
    /// Waits until no other process has the file of this account. Blocks for 90 s at most.
    ///
    /// # Errors
    /// Others have it all that time, or the folder cannot be written to.
    pub(super) fn account_file(&self, issuer: &str, user: &str) -> Result<AccountFile, Error> {
        let folder = self.refused_passwords();
        private_file::make_folder_of(self.folder(), &folder.join("key"))?;
        let key = self.key(&folder)?;
        let account = [issuer.to_owned(), user.to_owned()];
        let name = hmac_of(&key, &account, None);
        let path = folder.join(format!("{name}.json"));
        // A lock file is never removed, so few of them serve all accounts.
        let lock = name.get(..1).unwrap_or_default();
        let lock = folder.join(format!("{lock}.lock"));
        let lock = RenewalLock::acquire(&lock).map_err(Error::Lock)?;
        Ok(AccountFile {
            _lock: lock,
            store: self.clone(),
            refused: read(&path)?,
            path,
            key,
            account,
        })
    }

    /// Whether passwords were refused that this folder remembers.
    pub(super) fn has_refused_passwords(&self) -> bool {
        self.refused_passwords().join("key").exists()
    }

    fn refused_passwords(&self) -> PathBuf {
        self.folder().join("refused-passwords")
    }

    /// Returns the key, which the first call creates.
    fn key(&self, folder: &Path) -> Result<hmac::Key, Error> {
        let path = folder.join("key");
        if let Some(key) = read_key(&path)? {
            return Ok(key);
        }
        let _lock = RenewalLock::acquire(&path.with_extension("lock")).map_err(Error::Lock)?;
        if let Some(key) = read_key(&path)? {
            return Ok(key);
        }
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        rand::fill(&mut *bytes).map_err(|_| Error::Broken {
            path: path.clone(),
            problem: "needs random bytes, of which the system gives none",
        })?;
        let text = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes));
        private_file::write(self.folder(), &path, text.as_bytes())?;
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &*bytes))
    }
}

impl AccountFile {
    /// Returns the last refusal of this password.
    pub(super) fn refusal(&self, password: &Secret) -> Option<PasswordRefusal> {
        let hmac = hmac_of(&self.key, &self.account, Some(password));
        let refused = self.refused.iter().find(|one| one.password == hmac)?;
        let since = Duration::from_secs(refused.refused_at);
        Some(PasswordRefusal {
            at: UNIX_EPOCH.checked_add(since)?,
            times: refused.times,
            unanswered: refused.unanswered,
        })
    }

    /// Remembers what is known about the password. Blocks.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(super) fn note(
        &mut self,
        password: &Secret,
        refusal: PasswordRefusal,
    ) -> Result<(), Error> {
        self.forget(password);
        let since = refusal.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.refused.push(RefusedPassword {
            password: hmac_of(&self.key, &self.account, Some(password)),
            times: refusal.times,
            refused_at: since.as_secs(),
            unanswered: refusal.unanswered,
        });
        let surplus = self.refused.len().saturating_sub(MAX_PASSWORDS);
        self.refused.drain(..surplus);
        self.write()
    }

    /// Forgets all passwords. Blocks.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        if self.refused.is_empty() {
            return Ok(());
        }
        self.refused.clear();
        self.write()
    }

    /// Forgets the password. Blocks.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(super) fn clear_password(&mut self, password: &Secret) -> Result<(), Error> {
        if self.forget(password) {
            return self.write();
        }
        Ok(())
    }

    /// Returns whether the password was there.
    fn forget(&mut self, password: &Secret) -> bool {
        let hmac = hmac_of(&self.key, &self.account, Some(password));
        let before = self.refused.len();
        self.refused.retain(|one| one.password != hmac);
        self.refused.len() < before
    }

    fn write(&self) -> Result<(), Error> {
        if self.refused.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(Error::io("remove", &self.path)(error))
                }
                _ => Ok(()),
            };
        }
        let text = serde_json::to_string_pretty(&self.refused)
            .map_err(|error| Error::io("write", &self.path)(error.into()))?;
        private_file::write(self.store.folder(), &self.path, text.as_bytes())
    }
}

/// Reads the file of an account. A broken file has no passwords, and the next refusal replaces it.
fn read(path: &Path) -> Result<Vec<RefusedPassword>, Error> {
    let text = private_file::read(path)?;
    let refused = text.and_then(|text| serde_json::from_slice(&text).ok());
    Ok(refused.unwrap_or_default())
}

/// Reads the key; `None` if there is none, or if it is broken and has to be replaced.
fn read_key(path: &Path) -> Result<Option<hmac::Key>, Error> {
    let Some(text) = private_file::read(path)? else {
        return Ok(None);
    };
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.trim_ascii()).ok();
    let bytes = bytes.map(Zeroizing::new);
    let bytes = bytes.filter(|bytes| bytes.len() == KEY_LENGTH);
    Ok(bytes.map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
}

/// Returns the HMAC of an account, or of one of its passwords. Each part comes after its length, so that
/// no two accounts are the same text.
fn hmac_of(key: &hmac::Key, account: &[String; 2], password: Option<&Secret>) -> String {
    let mut context = hmac::Context::with_key(key);
    let parts = account.iter().map(String::as_str);
    for part in parts.chain(password.map(Secret::expose)) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    BASE64_URL_SAFE_NO_PAD.encode(context.sign())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const ISSUER: &str = "https://oauth.example";

    fn store(folder: &Path) -> Store {
        let state = folder.as_os_str().to_owned();
        Store::of_user(&|_| Some(state.clone())).unwrap()
    }

    fn turn(store: &Store, user: &str) -> AccountFile {
        store.account_file(ISSUER, user).unwrap()
    }

    fn refuse(store: &Store, user: &str, password: &Secret) {
        let mut file = turn(store, user);
        let refusal = PasswordRefusal::after(file.refusal(password), now());
        file.note(password, refusal).unwrap();
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_000_000)
    }

    #[test]
    fn the_pause_is_an_hour_and_doubles_to_a_day() {
        let mut refusal = None;
        for hours in [1, 2, 4, 8, 16, 24, 24] {
            let next = PasswordRefusal::after(refusal, now());
            assert_eq!(next.retry_at(), now() + hours * HOUR);
            refusal = Some(next);
        }
        let refusal = PasswordRefusal::after(None, now());
        let second = Duration::from_secs(1);
        for (at, forbidden) in [
            (now(), true),
            (now() + HOUR - second, true),
            (now() + HOUR, false),
            // The clock was set back.
            (now() - second, false),
        ] {
            assert_eq!(refusal.forbids(at), forbidden);
        }
    }

    #[test]
    fn a_refusal_is_that_of_one_password_of_one_account() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let (old, new) = (Secret::new("hunter1"), Secret::new("hunter2"));
        refuse(&store, "alice", &old);
        let refusal = turn(&store, "alice").refusal(&old);
        assert_eq!(refusal, Some(PasswordRefusal::after(None, now())));
        assert_eq!(turn(&store, "alice").refusal(&new), None);
        assert_eq!(turn(&store, "bob").refusal(&old), None);
        let elsewhere = store.account_file("https://other.example", "alice");
        assert_eq!(elsewhere.unwrap().refusal(&old), None);

        refuse(&store, "alice", &old);
        let refusal = turn(&store, "alice").refusal(&old).unwrap();
        assert_eq!(refusal.retry_at(), now() + 2 * HOUR);
        refuse(&store, "alice", &new);
        turn(&store, "alice").clear_password(&old).unwrap();
        assert_eq!(turn(&store, "alice").refusal(&old), None);
        assert!(turn(&store, "alice").refusal(&new).is_some());
        let path = turn(&store, "alice").path;
        assert!(path.exists());
        store.forget_refused_passwords(ISSUER, "alice").unwrap();
        assert_eq!(turn(&store, "alice").refusal(&new), None);
        assert!(!path.exists());
    }

    #[test]
    fn files_are_private_and_show_neither_password_nor_user() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.forget_refused_passwords(ISSUER, "alice").unwrap();
        assert!(!store.refused_passwords().exists());
        for number in 0..20 {
            let password = Secret::new(format!("hunter{number}"));
            refuse(&store, "alice", &password);
        }
        let last = Secret::new("hunter19");
        assert!(turn(&store, "alice").refusal(&last).is_some());
        assert!(
            turn(&store, "alice")
                .refusal(&Secret::new("hunter0"))
                .is_none()
        );
        for entry in fs::read_dir(store.refused_passwords()).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
            let shown = format!("{}{}", path.display(), fs::read_to_string(&path).unwrap());
            assert!(
                !shown.contains("hunter") && !shown.contains("alice"),
                "{shown}"
            );
        }
    }

    #[test]
    fn broken_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let password = Secret::new("hunter2");
        refuse(&store, "alice", &password);
        let path = turn(&store, "alice").path;
        for file in [path, store.refused_passwords().join("key")] {
            fs::write(&file, "broken").unwrap();
            assert_eq!(turn(&store, "alice").refusal(&password), None);
            refuse(&store, "alice", &password);
            assert!(turn(&store, "alice").refusal(&password).is_some());
        }
    }
}
