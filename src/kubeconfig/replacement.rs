//! [`Replacement`]: replaces a file atomically by a new one that only its owner may read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::own_writes;

/// A new file next to the one that it is to replace. It is removed on drop if it did not replace it.
pub struct Replacement<'a> {
    target: &'a Path,
    path: PathBuf,
    file: File,
    renamed: bool,
}

impl<'a> Replacement<'a> {
    /// Creates the file at `path`, in the same folder as `target`.
    ///
    /// # Errors
    /// A file that cannot be created.
    pub fn new(target: &'a Path, path: PathBuf) -> io::Result<Self> {
        // A process that died and had the same id may have left it.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self {
            target,
            path,
            file,
            renamed: false,
        })
    }

    /// The new file, for changes of its owner and mode.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes `bytes`. Then, if `is_wanted` returns `true`, renames the file over the target and
    /// returns `true`.
    ///
    /// # Errors
    /// Errors of the system. The target is then unchanged.
    pub fn put(
        mut self,
        bytes: &[u8],
        is_wanted: impl FnOnce() -> io::Result<bool>,
    ) -> io::Result<bool> {
        self.file.write_all(bytes)?;
        self.file.sync_all()?;
        if !is_wanted()? {
            return Ok(false);
        }
        own_writes::record(bytes);
        fs::rename(&self.path, self.target)?;
        self.renamed = true;
        let folder = self.target.parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        // The target is replaced, so this is no failure: some network file systems sync no folders.
        // After a power failure, the target may be the old file.
        let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|f| f.sync_all());
        if let Err(error) = synced {
            tracing::debug!(%error, file = %self.target.display(), "the folder is not synced");
        }
        Ok(true)
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if self.renamed {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, file = %self.path.display(), "cannot remove a new file");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_target_is_replaced_whole_or_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (target, new) = (folder.path().join("a"), folder.path().join("a.new"));
        let put = |bytes: &[u8], outcome: io::Result<bool>| {
            let replacement = Replacement::new(&target, new.clone()).unwrap();
            assert!(new.exists());
            let done = replacement.put(bytes, || outcome);
            assert!(!new.exists());
            done
        };
        assert!(put(b"one", Ok(true)).unwrap());
        assert!(!put(b"two", Ok(false)).unwrap());
        assert!(put(b"two", Err(io::Error::other("no"))).is_err());
        assert_eq!(fs::read(&target).unwrap(), b"one");
        // The file that a dead process left is replaced.
        fs::write(&new, "left").unwrap();
        assert!(put(b"two", Ok(true)).unwrap());
        assert_eq!(fs::read(&target).unwrap(), b"two");
    }
}
