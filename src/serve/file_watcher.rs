//! [`FileWatcher`]: detects by polling that the content of files has changed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::kubeconfig::{
    fingerprint::{self, Fingerprint},
    own_writes::{self, Sha256},
};

/// How many bytes of a file are compared. No watched file may have more.
const LIMIT: u64 = 8 << 20;

/// The watched files, and their state at the last check.
#[derive(Debug, Default)]
pub(super) struct FileWatcher(BTreeMap<PathBuf, FileState>);

/// The result of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// The content of a file has changed since the last check.
    pub(super) any: bool,
    /// The new content was not written by this process.
    pub(super) by_others: bool,
}

/// A file as it was at the last check.
#[derive(Debug, Default)]
struct FileState {
    metadata: Option<Fingerprint>,
    /// Whether the content was read after the metadata had been seen unchanged once. Only then does
    /// equal metadata mean equal content, because file systems record times in coarse steps.
    settled: bool,
    /// The hash of the content, or `None` if it cannot be read.
    hash: Option<Sha256>,
}

impl FileWatcher {
    /// Watches these files and no others. A new file counts as changed at its first check, since it
    /// may have changed after the caller read it.
    pub(super) fn watch(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let mut before = std::mem::take(&mut self.0);
        for path in files {
            let state = before.remove(&path).unwrap_or_default();
            self.0.entry(path).or_insert(state);
        }
    }

    /// Checks every file.
    pub(super) fn check(&mut self) -> Changes {
        let mut changes = Changes::default();
        for (path, state) in &mut self.0 {
            if state.check(path) {
                changes.any = true;
                changes.by_others |= !state.hash.as_ref().is_some_and(own_writes::contains);
            }
        }
        changes
    }
}

impl FileState {
    /// Returns whether the content has changed.
    fn check(&mut self, path: &Path) -> bool {
        let opened = fingerprint::open(path);
        let metadata = opened.as_ref().map(|(_, fingerprint)| *fingerprint);
        if metadata == self.metadata && self.settled {
            return false;
        }
        let hash = opened.and_then(|(file, _)| fingerprint::digest(file, LIMIT).ok());
        let changed = hash != self.hash;
        *self = Self {
            settled: metadata == self.metadata,
            metadata,
            hash,
        };
        changed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn watching(path: &Path) -> FileWatcher {
        let mut watched = FileWatcher::default();
        watched.watch([path.to_owned()]);
        watched.check();
        watched
    }

    impl FileWatcher {
        fn sees(&mut self) -> bool {
            let changes = self.check();
            assert!(changes.any || !changes.by_others);
            changes.any
        }
    }

    #[test]
    fn own_writes_are_not_changes_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "watched: theirs").unwrap();
        let mut watched = watching(&path);
        for (content, by_others) in [("watched: ours", false), ("watched: theirs again", true)] {
            if !by_others {
                own_writes::record(content.as_bytes());
            }
            fs::write(&path, content).unwrap();
            let any = true;
            assert_eq!(watched.check(), Changes { any, by_others }, "{content}");
        }
    }

    #[test]
    fn every_change_of_content_is_noticed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "one").unwrap();
        let mut watched = watching(&path);
        assert!(!watched.sees() && !watched.sees());
        // Of the same length, and within the same tick of the file system's clock.
        for content in ["two", "too", "one"] {
            fs::write(&path, content).unwrap();
            assert!(watched.sees(), "{content}");
            assert!(!watched.sees());
        }
        fs::write(&path, "one").unwrap();
        assert!(!watched.sees(), "written, but not changed");
        fs::write(folder.path().join("b"), "one").unwrap();
        fs::rename(folder.path().join("b"), &path).unwrap();
        assert!(!watched.sees(), "replaced by a file of equal content");
        fs::remove_file(&path).unwrap();
        assert!(watched.sees() && !watched.sees());
        fs::write(&path, "one").unwrap();
        assert!(watched.sees() && !watched.sees());
    }

    #[test]
    fn a_swapped_symlink_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["one", "two"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("token"), name).unwrap();
        }
        symlink("one", at("..data")).unwrap();
        symlink("..data/token", at("token")).unwrap();
        let mut watched = watching(&at("token"));
        assert!(!watched.sees());
        symlink("two", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(watched.sees() && !watched.sees());
    }

    #[test]
    fn only_newly_watched_files_count_as_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "a").unwrap();
        fs::write(&b, "b").unwrap();
        let mut watched = watching(&a);
        watched.watch([a.clone(), b.clone()]);
        assert!(watched.sees() && !watched.sees());
        watched.watch([b]);
        assert!(!watched.sees());
        fs::write(&a, "other").unwrap();
        assert!(!watched.sees(), "not watched any more");
    }

    #[test]
    fn a_pipe_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert!(!watching(&path).sees());
    }
}
