//! [`Locations`]: where settings files are.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::error::FileError;

/// Returns the value of an environment variable.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Where settings files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locations {
    /// The file of `--config`, which must exist.
    File(PathBuf),
    /// `config.toml` and `conf.d/*.toml` in a folder, none of which need exist.
    Folder(PathBuf),
    /// No home folder is known.
    Nowhere,
}

impl Locations {
    /// Returns where the file of `--config` is, or else where the user's files are: in
    /// `$XDG_CONFIG_HOME/kubegate`, or `~/.config/kubegate` (XDG Base Directory Specification).
    #[must_use]
    pub fn find(config: Option<&Path>, env: Variables<'_>) -> Self {
        if let Some(file) = config {
            return Self::File(std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
        }
        // The specification has relative paths ignored.
        let folder = |name: &str| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let base = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
        base.map_or(Self::Nowhere, |base| Self::Folder(base.join("kubegate")))
    }

    /// Returns the file that is read first, whether it exists or not.
    #[must_use]
    pub fn main_file(&self) -> Option<PathBuf> {
        match self {
            Self::File(file) => Some(file.clone()),
            Self::Folder(folder) => Some(folder.join("config.toml")),
            Self::Nowhere => None,
        }
    }

    /// Returns the files to read, in that order.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn files(&self) -> Result<Vec<PathBuf>, FileError> {
        let Self::Folder(folder) = self else {
            return Ok(self.main_file().into_iter().collect());
        };
        let main = folder.join("config.toml");
        let mut files: Vec<_> = exists(&main).then_some(main).into_iter().collect();
        files.extend(further(&folder.join("conf.d"))?);
        Ok(files)
    }
}

/// Returns the files of a folder whose names end with `.toml` and do not begin with a dot, by name.
fn further(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let failed = |source| FileError::List {
        folder: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let bytes = name.as_encoded_bytes();
        if bytes.ends_with(b".toml") && !bytes.starts_with(b".") {
            files.push(folder.join(name));
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a file is there. One that cannot be looked at counts, so that reading it says why.
fn exists(file: &Path) -> bool {
    !matches!(fs::symlink_metadata(file), Err(error) if is_absent(&error))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
