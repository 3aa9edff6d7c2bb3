//! Reads, writes and removes saved logins.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::process::geteuid;
use serde::Deserialize;

use super::{Error, LoginBinding, SavedLogin, file_name, keyring, private_file};
use crate::kubeconfig::edit::RenewalLock;

/// The state folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    /// A folder for what is to be remembered while `folder` cannot be written to.
    runtime: Option<PathBuf>,
    binding: Option<LoginBinding>,
}

impl Store {
    /// The folder that `env` names: `XDG_STATE_HOME/kubegate`, else `~/.local/state/kubegate`
    /// (XDG Base Directory Specification). It is created by the first write.
    ///
    /// # Errors
    /// Neither variable is set.
    pub fn of_user(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let set = |name| {
            env(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        // By the specification, relative paths are ignored.
        let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let state = state.or_else(|| Some(set("HOME")?.join(".local/state")));
        let folder = state.ok_or(Error::NoFolder)?.join("kubegate");
        let absolute = |name| set(name).filter(|path| path.is_absolute());
        let runtime = if let Some(runtime) = absolute("XDG_RUNTIME_DIR") {
            runtime.join("kubegate")
        } else {
            let temporary = absolute("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp"));
            temporary.join(format!("kubegate-{}", geteuid().as_raw()))
        };
        Ok(Self {
            runtime: Some(runtime).filter(|runtime| *runtime != folder),
            folder,
            binding: None,
        })
    }

    /// The same folder for one issuer and API server: logins that were saved for others are not
    /// read, and logins are saved for these.
    #[must_use]
    pub fn bound_to(&self, binding: LoginBinding) -> Self {
        Self {
            binding: Some(binding),
            ..self.clone()
        }
    }

    /// The folder for the runtime (`XDG_RUNTIME_DIR/kubegate`, else `TMPDIR/kubegate-UID`), unless another
    /// user could have made it a way into a folder of this one.
    pub(super) fn of_runtime(&self) -> Option<Self> {
        let folder = self.runtime.clone()?;
        // It is created, but not what it is in.
        let may_be_made = folder.parent().is_some_and(Path::is_dir);
        let is_own = match fs::symlink_metadata(&folder) {
            Ok(found) => found.is_dir() && found.uid() == geteuid().as_raw(),
            Err(error) => error.kind() == io::ErrorKind::NotFound && may_be_made,
        };
        is_own.then_some(Self {
            folder,
            runtime: None,
            binding: None,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a login.
    #[must_use]
    pub fn path(&self, login: &str) -> PathBuf {
        let logins = self.folder.join("logins");
        let path = logins.join(format!("{}.json", file_name::of_login(login)));
        if !file_name::is_hashed(login) || path.exists() {
            return path;
        }
        // Version 0.1.0 had the whole name, as far as the file system took it.
        let before = logins.join(format!("{}.json", file_name::encoded(login)));
        let is_known = before.exists() || before.with_extension("kubeconfigs").exists();
        if is_known { before } else { path }
    }

    /// The names of the saved logins, sorted.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let folder = self.folder.join("logins");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::io("read", &folder)(source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &folder))?;
            let name = entry.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".json")) else {
                continue;
            };
            names.extend(file_name::login_of(name).or_else(|| name_in(&entry.path())));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Reads the file of a login; without its secrets if these are in the keyring.
    ///
    /// # Errors
    /// A file that cannot be read or parsed, or that belongs to another user.
    pub fn read_without_keyring(&self, login: &str) -> Result<Option<SavedLogin>, Error> {
        let path = self.path(login);
        let text = private_file::read(&path)?;
        text.map(|text| parsed(&path, &text)).transpose()
    }

    /// Reads a saved login; `None` if there is none of that name. Blocks.
    ///
    /// # Errors
    /// A file that cannot be read or parsed, or that belongs to another user; a keyring that does
    /// not respond; a login that was saved for others than [`Store::bound_to`] says.
    pub fn read(&self, login: &str) -> Result<Option<SavedLogin>, Error> {
        let saved = self.read_unchecked(login)?;
        if let (Some(binding), Some(saved)) = (&self.binding, &saved) {
            binding.check(login, saved)?;
        }
        Ok(saved)
    }

    fn read_unchecked(&self, login: &str) -> Result<Option<SavedLogin>, Error> {
        match self.read_without_keyring(login)? {
            Some(saved) if saved.keyring => {
                let text = keyring::lookup(&file_name::encoded(login))?;
                let saved = parsed(&self.path(login), &text)?;
                Ok(Some(SavedLogin {
                    keyring: true,
                    ..saved
                }))
            }
            other => Ok(other),
        }
    }

    /// Differs between any two states of a login's file, and costs only a `stat`; `None` if there
    /// is no file.
    #[must_use]
    pub fn version(&self, login: &str) -> Option<(SystemTime, u64)> {
        let found = fs::metadata(self.path(login)).ok()?;
        Some((found.modified().ok()?, found.ino()))
    }

    /// Saves a login, in place of the former one of that name. Blocks.
    ///
    /// # Errors
    /// The folder or file cannot be created or written; the former login stays.
    pub fn write(&self, login: &str, saved: &SavedLogin) -> Result<(), Error> {
        let path = self.path(login);
        let saved = match &self.binding {
            Some(binding) => &binding.added_to(saved),
            None => saved,
        };
        let name = file_name::is_hashed(login).then_some(login);
        let item = file_name::encoded(login);
        if saved.keyring {
            let marker = saved.marker(name);
            // The keyring changes when the file is ready to be replaced, so that a full disk leaves
            // the former login in both.
            return private_file::write_after(&self.folder, &path, marker.as_bytes(), || {
                keyring::store(&item, &saved.to_json(None))
            });
        }
        let was_in_keyring = is_in_keyring(&path)?;
        private_file::write(&self.folder, &path, saved.to_json(name).as_bytes())?;
        if was_in_keyring && let Err(error) = keyring::clear(&item) {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, login, "the former login stays in the keyring");
        }
        Ok(())
    }

    /// Checks that [`Store::write`] can save a login. Blocks.
    ///
    /// # Errors
    /// The folder or file cannot be created or written.
    pub fn check_writable(&self, login: &str) -> Result<(), Error> {
        private_file::check_writable(&self.folder, &self.path(login))
    }

    /// Removes a login; `false` if there was none of that name. Blocks.
    ///
    /// # Errors
    /// The file or keyring entry cannot be removed.
    pub fn remove(&self, login: &str) -> Result<bool, Error> {
        let path = self.path(login);
        let _ = fs::remove_file(self.check_path(login));
        // A broken file is removed as well.
        if is_in_keyring(&path).unwrap_or(false) {
            keyring::clear(&file_name::encoded(login))?;
        }
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::io("remove", &path)(source)),
        }
    }

    /// Locks a login against other kubegates while it is read, renewed and written, since many
    /// refresh tokens work only once. Blocks for 90 s at most.
    ///
    /// # Errors
    /// Others hold the lock all that time, or the folder cannot be written to.
    pub fn lock_for_renewal(&self, login: &str) -> Result<RenewalLock, Error> {
        let path = self.path(login);
        private_file::make_folder_of(&self.folder, &path)?;
        RenewalLock::acquire(&path.with_extension("lock")).map_err(Error::Lock)
    }
}

/// Returns the name of the login in the file at `path`; `None` if it has none or cannot be read.
fn name_in(path: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        login: String,
    }
    let text = private_file::read(path).ok()??;
    let named: Named = serde_json::from_slice(&text).ok()?;
    Some(named.login)
}

/// Parses the text of a login's file. The parser's error is dropped: it may quote a secret.
fn parsed(path: &Path, text: &[u8]) -> Result<SavedLogin, Error> {
    serde_json::from_slice(text).map_err(|_| Error::Broken {
        path: path.to_owned(),
        problem: "is no saved login; remove it and log in again",
    })
}

fn is_in_keyring(path: &Path) -> Result<bool, Error> {
    let text = private_file::read(path)?;
    Ok(text.is_some_and(|text| parsed(path, &text).is_ok_and(|saved| saved.keyring)))
}
