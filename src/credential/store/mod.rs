//! The state folder: what `kubegate login` obtained and must not stand in a kubeconfig.
//!
//! One file a login, JSON, mode 0600, in a folder of mode 0700; written whole or not at all. A
//! login's name is chosen by whoever logs in and stands in the kubeconfig's `exec` entry.

mod keyring;
mod login_binding;
mod registries;
mod saved;

use std::{
    ffi::OsString,
    fs::{self, Metadata},
    io::{self, Read as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
    time::SystemTime,
};

pub use login_binding::LoginBinding;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
pub use registries::{Registries, Registry, registry_host};
use rustix::{fs::OFlags, process::geteuid};
pub use saved::Saved;
use zeroize::Zeroizing;

use crate::kubeconfig::{self, edit::RenewalLock, replacement::Replacement};

/// What stands in a file's name as it is.
const FILE_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b':');
/// Bytes that a file may have.
const LIMIT: u64 = 1 << 20;

/// Why a saved login cannot be read or written. Never shows what it holds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No variable says where the folder is.
    #[error("neither XDG_STATE_HOME nor HOME is set, so there is no place for logins")]
    NoFolder,
    /// A file that cannot be read or written.
    #[error("cannot {act} {}", path.display())]
    Io {
        /// `read` or `write`, ...
        act: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that is no saved login, or a place where nothing secret should rest.
    #[error("{} {problem}", path.display())]
    Broken {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: &'static str,
    },
    /// A login that belongs to another place.
    #[error(
        "the saved login {login:?} is for {known}, not for {given}; if you trust that place, log \
         in there by `kubegate login`, else see where the kubeconfig came from"
    )]
    Elsewhere {
        /// Name of the login.
        login: String,
        /// The issuer or API server that it was to be used with.
        given: String,
        /// Those that it belongs to.
        known: String,
    },
    /// Another kubegate renews the login for too long, or the lock cannot be had.
    #[error("cannot lock the saved login against other kubegates")]
    Turn(#[source] kubeconfig::Error),
    /// The OS's keyring said no.
    #[error("the keyring cannot be used: {problem}")]
    Keyring {
        /// What is wrong, and what to do.
        problem: String,
        /// What the system says.
        source: Option<io::Error>,
    },
}

/// The state folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    binding: Option<LoginBinding>,
}

impl Store {
    /// The folder that `env` names: `XDG_STATE_HOME/kubegate`, else `~/.local/state/kubegate`
    /// (XDG Base Directory Specification). Nothing is made before something is written.
    ///
    /// # Errors
    /// Where neither is known.
    pub fn of_user(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let set = |name| {
            env(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        // The specification has relative paths ignored.
        let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let state = state.or_else(|| Some(set("HOME")?.join(".local/state")));
        let folder = state.ok_or(Error::NoFolder)?.join("kubegate");
        Ok(Self {
            folder,
            binding: None,
        })
    }

    /// The same for one place: logins that belong elsewhere are not read, and what is written
    /// belongs there.
    #[must_use]
    pub fn bound_to(&self, binding: LoginBinding) -> Self {
        Self {
            folder: self.folder.clone(),
            binding: Some(binding),
        }
    }

    /// The file of a login.
    #[must_use]
    pub fn path(&self, login: &str) -> PathBuf {
        let name = file_name(login);
        self.folder.join("logins").join(format!("{name}.json"))
    }

    /// The names of the logins that rest here, sorted.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let folder = self.folder.join("logins");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed("read", &folder)(source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed("read", &folder))?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let name = name.and_then(|name| percent_decode_str(name).decode_utf8().ok());
            names.extend(name.map(std::borrow::Cow::into_owned));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// What the file alone says of a login; without its secrets where those rest in the keyring.
    ///
    /// # Errors
    /// A file that cannot be read or understood, or that belongs to somebody else.
    pub fn glance(&self, login: &str) -> Result<Option<Saved>, Error> {
        let path = self.path(login);
        let text = private_text(&path)?;
        text.map(|text| parsed(&path, &text)).transpose()
    }

    /// What rests of a login; `None` where there is none of that name. Blocks.
    ///
    /// # Errors
    /// A file that cannot be read or understood, or that belongs to somebody else; a keyring
    /// that does not answer; a login that belongs to another place than [`Store::bound_to`] says.
    pub fn read(&self, login: &str) -> Result<Option<Saved>, Error> {
        let saved = self.read_any(login)?;
        if let (Some(binding), Some(saved)) = (&self.binding, &saved) {
            binding.check(login, saved)?;
        }
        Ok(saved)
    }

    fn read_any(&self, login: &str) -> Result<Option<Saved>, Error> {
        match self.glance(login)? {
            Some(saved) if saved.keyring => {
                let text = keyring::lookup(&file_name(login))?;
                let saved = parsed(&self.path(login), &text)?;
                Ok(Some(Saved {
                    keyring: true,
                    ..saved
                }))
            }
            other => Ok(other),
        }
    }

    /// The kubeconfigs that were written to name a login, as far as is known.
    #[must_use]
    pub fn kubeconfigs(&self, login: &str) -> Vec<PathBuf> {
        // What cannot be read says nothing.
        let text = private_text(&self.kubeconfigs_path(login)).ok().flatten();
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
    /// Where that cannot be written.
    pub fn note_kubeconfig(&self, login: &str, kubeconfig: &Path) -> Result<(), Error> {
        let path = std::path::absolute(kubeconfig).unwrap_or_else(|_| kubeconfig.to_owned());
        // One a line: there is no use in a path that is more, or no text.
        let Some(name) = path.to_str().filter(|path| !path.contains('\n')) else {
            return Ok(());
        };
        let mut known = self.kubeconfigs(login);
        if known.contains(&path) {
            return Ok(());
        }
        // Files that come and go would make the list longer and longer.
        known.retain(|path| path.exists());
        let known = known.iter().filter_map(|path| path.to_str());
        let mut text = known.chain([name]).collect::<Vec<_>>().join("\n");
        text.push('\n');
        self.write_file(&self.kubeconfigs_path(login), text.as_bytes())
    }

    /// Forgets which kubeconfigs name a login.
    pub fn forget_kubeconfigs(&self, login: &str) {
        // Left there, it names files that are looked into before it counts.
        let _ = fs::remove_file(self.kubeconfigs_path(login));
    }

    fn kubeconfigs_path(&self, login: &str) -> PathBuf {
        self.path(login).with_extension("kubeconfigs")
    }

    /// Differs between any two states of a login's file, at the cost of a look at the folder;
    /// `None` where there is no file.
    #[must_use]
    pub fn stamp(&self, login: &str) -> Option<(SystemTime, u64)> {
        let found = fs::metadata(self.path(login)).ok()?;
        Some((found.modified().ok()?, found.ino()))
    }

    /// Saves a login, in place of what rested under its name. Blocks.
    ///
    /// # Errors
    /// Where the folder or file cannot be made or written; what was there stays.
    pub fn write(&self, login: &str, saved: &Saved) -> Result<(), Error> {
        let path = self.path(login);
        let saved = match &self.binding {
            Some(binding) => &binding.stamped(saved),
            None => saved,
        };
        if saved.keyring {
            keyring::store(&file_name(login), &saved.to_json())?;
            return self.write_file(&path, saved.marker().as_bytes());
        }
        let was_in_keyring = is_in_keyring(&path)?;
        self.write_file(&path, saved.to_json().as_bytes())?;
        if was_in_keyring {
            keyring::clear(&file_name(login))?;
        }
        Ok(())
    }

    /// Forgets a login; `false` where there was none of that name. Blocks.
    ///
    /// # Errors
    /// Where the file or keyring entry cannot be removed.
    pub fn remove(&self, login: &str) -> Result<bool, Error> {
        let path = self.path(login);
        // A file that is broken goes all the same.
        if is_in_keyring(&path).unwrap_or(false) {
            keyring::clear(&file_name(login))?;
        }
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(failed("remove", &path)(source)),
        }
    }

    /// Waits for this process's turn to renew a login: re-read, renew and write are one act
    /// among kubegates, since many refresh tokens work once. Blocks, for 90 s at most.
    ///
    /// # Errors
    /// Where others hold it all that time, or the folder cannot be written to.
    pub fn turn(&self, login: &str) -> Result<RenewalLock, Error> {
        let path = self.path(login);
        self.make_folder_of(&path)?;
        RenewalLock::acquire(&path.with_extension("lock")).map_err(Error::Turn)
    }

    /// Makes the folder of `path`, or sees to it that only its owner may enter.
    fn make_folder_of(&self, path: &Path) -> Result<(), Error> {
        let folder = path.parent().unwrap_or(&self.folder);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed("create the folder for saved logins,", folder))?;
        for folder in [&self.folder, folder] {
            let found = fs::metadata(folder).map_err(failed("read", folder))?;
            make_private(folder, &found, 0o700, |mode| {
                fs::set_permissions(folder, mode)
            })?;
        }
        Ok(())
    }

    fn write_file(&self, path: &Path, text: &[u8]) -> Result<(), Error> {
        self.make_folder_of(path)?;
        let new = path.with_extension(format!("new.{}", std::process::id()));
        let written = Replacement::new(path, new).and_then(|new| new.put(text, || Ok(true)));
        written.map(drop).map_err(failed("write", path))
    }
}

fn file_name(login: &str) -> String {
    utf8_percent_encode(login, FILE_NAME).to_string()
}

/// The error's own text is dropped: it may quote a secret.
fn parsed(path: &Path, text: &[u8]) -> Result<Saved, Error> {
    serde_json::from_slice(text).map_err(|_| Error::Broken {
        path: path.to_owned(),
        problem: "is no saved login; remove it and log in again",
    })
}

fn is_in_keyring(path: &Path) -> Result<bool, Error> {
    let text = private_text(path)?;
    Ok(text.is_some_and(|text| parsed(path, &text).is_ok_and(|saved| saved.keyring)))
}

/// The text of a file that is ours alone; `None` where there is no such file.
fn private_text(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let failed = failed("read", path);
    let opened = fs::OpenOptions::new()
        .read(true)
        // Neither another's file nor a pipe that never ends.
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let found = file.metadata().map_err(&failed)?;
    let broken = |problem| Error::Broken {
        path: path.to_owned(),
        problem,
    };
    if !found.is_file() {
        return Err(broken("is no regular file; remove it and log in again"));
    }
    make_private(path, &found, 0o600, |mode| file.set_permissions(mode))?;
    // Room for all of it at once: growing would leave unwiped copies behind.
    let room = usize::try_from(found.len().min(LIMIT)).unwrap_or(0) + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    file.take(LIMIT + 1)
        .read_to_end(&mut text)
        .map_err(&failed)?;
    if text.len() as u64 > LIMIT {
        return Err(broken("has more than 1 MiB; remove it and log in again"));
    }
    Ok(Some(text))
}

/// Sees to it that only its owner, who must be this process's user, may use what is at `path`.
fn make_private(
    path: &Path,
    found: &Metadata,
    mode: u32,
    set: impl FnOnce(fs::Permissions) -> io::Result<()>,
) -> Result<(), Error> {
    if found.uid() != geteuid().as_raw() {
        return Err(Error::Broken {
            path: path.to_owned(),
            problem: "belongs to another user, so no login is kept there; set XDG_STATE_HOME to \
                      a folder of your own",
        });
    }
    if found.mode() & 0o777 & !mode == 0 {
        return Ok(());
    }
    set(fs::Permissions::from_mode(mode)).map_err(failed("take other users' access from", path))?;
    tracing::warn!(
        path = %path.display(),
        "other users of this machine could use this; now they cannot. Where somebody may have \
         read it, log out and in again"
    );
    Ok(())
}

fn failed(act: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        act,
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests;
