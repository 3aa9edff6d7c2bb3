//! The state folder: what `kubegate login` obtained and must not stand in a kubeconfig.
//!
//! One file a login, JSON, mode 0600, in a folder of mode 0700; written whole or not at all. A
//! login's name is chosen by whoever logs in and stands in the kubeconfig's `exec` entry.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What stands in a file's name as it is.
const FILE_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b':');

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
    /// A file that is no saved login.
    #[error("{} {problem}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: &'static str,
    },
}

/// What rests of one login. Which of the fields are there depends on its kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Saved {
    /// The root credential of IBM Cloud.
    pub api_key: Option<Secret>,
    /// OIDC, IBM Cloud.
    pub refresh_token: Option<Secret>,
    /// The client's secret at an OIDC issuer.
    pub client_secret: Option<Secret>,
    /// What goes into `Authorization: Bearer`: a session token or an ID token.
    pub token: Option<Secret>,
    /// When `token` ends, seconds since 1970.
    pub expires_at: Option<u64>,
}

/// The state folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
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
        Ok(Self { folder })
    }

    /// The file of a login.
    #[must_use]
    pub fn path(&self, login: &str) -> PathBuf {
        let name = utf8_percent_encode(login, FILE_NAME);
        self.folder.join("logins").join(format!("{name}.json"))
    }

    /// What rests of a login; `None` where there is none of that name.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn read(&self, login: &str) -> Result<Option<Saved>, Error> {
        let path = self.path(login);
        let text = match fs::read(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", &path)(source)),
        };
        // The error's own text is dropped: it may quote a secret.
        let saved = serde_json::from_slice(&text).map_err(|_| Error::Broken {
            path,
            problem: "is no saved login; remove it and log in again",
        })?;
        Ok(Some(saved))
    }

    /// Saves a login, in place of what rested under its name.
    ///
    /// # Errors
    /// Where the folder or file cannot be made or written; what was there stays.
    pub fn write(&self, login: &str, saved: &Saved) -> Result<(), Error> {
        let path = self.path(login);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed("make", folder))?;
        let new = path.with_extension(format!("new.{}", std::process::id()));
        let written = (|| {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = fs::OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(saved.to_json().as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            fs::File::open(folder)?.sync_all()
        })();
        if written.is_err() {
            // What counts is the first error.
            let _ = fs::remove_file(&new);
        }
        written.map_err(failed("write", &path))
    }

    /// Forgets a login; `false` where there was none of that name.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub fn remove(&self, login: &str) -> Result<bool, Error> {
        let path = self.path(login);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(failed("remove", &path)(source)),
        }
    }
}

impl Saved {
    /// As it stands in the file.
    fn to_json(&self) -> Zeroizing<String> {
        let secrets = [
            ("api-key", &self.api_key),
            ("refresh-token", &self.refresh_token),
            ("client-secret", &self.client_secret),
            ("token", &self.token),
        ];
        let mut fields = Vec::new();
        for (name, secret) in secrets {
            if let Some(secret) = secret {
                let text = Zeroizing::new(serde_json::json!(secret.expose()).to_string());
                fields.push(Zeroizing::new(format!("  \"{name}\": {}", *text)));
            }
        }
        if let Some(end) = self.expires_at {
            fields.push(Zeroizing::new(format!("  \"expires-at\": {end}")));
        }
        let lines: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
        Zeroizing::new(format!("{{\n{}\n}}\n", lines.join(",\n")))
    }
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().as_os_str().to_owned();
        let store = Store::of_user(&|name| (name == "HOME").then(|| home.clone())).unwrap();
        (folder, store)
    }

    #[test]
    fn what_is_written_is_read_and_only_its_owner_may() {
        let (_folder, store) = store();
        let login = "default/api.example:6443/../jane";
        assert!(store.read(login).unwrap().is_none());
        let saved = Saved {
            token: Some(Secret::new("a\"b\\c\u{e9}")),
            expires_at: Some(1_900_000_000),
            ..Saved::default()
        };
        store.write(login, &saved).unwrap();
        let read = store.read(login).unwrap().unwrap();
        assert_eq!(read.token, saved.token);
        assert_eq!(read.expires_at, saved.expires_at);
        assert_eq!(read.api_key, None);
        let path = store.path(login);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(mode(&store.folder), 0o700);
        assert_eq!(path.parent().unwrap(), store.folder.join("logins"));
        assert!(store.remove(login).unwrap());
        assert!(!store.remove(login).unwrap());
    }

    #[test]
    fn a_broken_file_is_named_and_not_shown() {
        let (_folder, store) = store();
        store.write("a", &Saved::default()).unwrap();
        fs::write(store.path("a"), "{\"token\": hunter2}").unwrap();
        let error = store.read("a").unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            shown.contains("a.json") && shown.contains("log in again"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
