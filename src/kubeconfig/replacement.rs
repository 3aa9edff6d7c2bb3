//! A file that takes another's place: whole or not at all, and from the beginning its owner's
//! alone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::own_writes;

/// A new file beside the one that it is to replace. Removed on drop, unless it took its place.
pub struct Replacement<'a> {
    target: &'a Path,
    path: PathBuf,
    file: File,
    took_place: bool,
}

impl<'a> Replacement<'a> {
    /// Makes the file at `path`, in the same folder as `target`.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new(target: &'a Path, path: PathBuf) -> io::Result<Self> {
        // Left by a process that died and had the same id.
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
            took_place: false,
        })
    }

    /// The file, to give it another owner.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes `bytes`; then, unless `is_wanted` says that they are not any more, takes the
    /// target's place, and gives `true`.
    ///
    /// # Errors
    /// What the system says. The target is as it was; or, where its folder cannot be synced, new,
    /// but perhaps not after a power failure.
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
        self.took_place = true;
        let folder = self.target.parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(true)
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if self.took_place {
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
    fn it_takes_the_place_whole_or_leaves_nothing_behind() {
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
        // What a process that died left behind is in nobody's way.
        fs::write(&new, "left").unwrap();
        assert!(put(b"two", Ok(true)).unwrap());
        assert_eq!(fs::read(&target).unwrap(), b"two");
    }
}
