//! [`Watched`]: files whose content is compared, look by look.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::kubeconfig::own_writes::{self, Sha256};

/// Bytes of a file that count; nothing that is watched for may have more.
const LIMIT: u64 = 8 << 20;

/// Files, and what was in them at the last look.
#[derive(Debug, Default)]
pub(super) struct Watched(BTreeMap<PathBuf, Seen>);

/// What a look found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// The content of a file has changed since the last look.
    pub(super) any: bool,
    /// It has, and not because we wrote it.
    pub(super) by_others: bool,
}

/// A file at the last look.
#[derive(Debug, Default)]
struct Seen {
    stamp: Option<Stamp>,
    /// Whether the content was read at a look at which the stamp was already known. Only then
    /// does the same stamp mean the same content, for file systems tell time in coarse steps.
    settled: bool,
    /// Of the content; `None` where there is none to be read.
    print: Option<Sha256>,
}

/// What changes with the content, as finely as the file system tells.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watched {
    /// Watches these files and no others. New ones count as changed at their first look: who
    /// names them has read them before.
    pub(super) fn set(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let mut before = std::mem::take(&mut self.0);
        for path in files {
            let seen = before.remove(&path).unwrap_or_default();
            self.0.entry(path).or_insert(seen);
        }
    }

    /// Looks at every file.
    pub(super) fn look(&mut self) -> Changes {
        let mut changes = Changes::default();
        for (path, seen) in &mut self.0 {
            if seen.look(path) {
                changes.any = true;
                changes.by_others |= !seen.print.as_ref().is_some_and(own_writes::contains);
            }
        }
        changes
    }
}

impl Seen {
    /// Whether the content has changed.
    fn look(&mut self, path: &Path) -> bool {
        // Opened, even where the stamp is the same: network file systems answer a mere `stat`
        // from a cache of up to a minute, but ask the server when a file is opened.
        let opened = open(path).ok().flatten();
        let stamp = opened.as_ref().map(|(_, metadata)| Stamp::of(metadata));
        if stamp == self.stamp && self.settled {
            return false;
        }
        let print = opened.and_then(|(file, _)| content(file).ok());
        let print = print.map(|content| own_writes::sha256(&content));
        let changed = print != self.print;
        *self = Self {
            settled: stamp == self.stamp,
            stamp,
            print,
        };
        changed
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// `None` for what is no file: opening a pipe that nobody writes to would block for ever.
fn open(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok(Some((file, metadata)))
}

fn content(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = file.metadata()?.len().min(LIMIT);
    // Room for all of it at once: growing would leave unwiped copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(LIMIT).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;

    fn watching(path: &Path) -> Watched {
        let mut watched = Watched::default();
        watched.set([path.to_owned()]);
        watched.look();
        watched
    }

    impl Watched {
        fn sees(&mut self) -> bool {
            let changes = self.look();
            assert!(changes.any || !changes.by_others);
            changes.any
        }
    }

    #[test]
    fn what_we_wrote_is_no_change_by_others() {
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
            assert_eq!(watched.look(), Changes { any, by_others }, "{content}");
        }
    }

    #[test]
    fn every_other_content_is_noticed_and_nothing_else() {
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
        assert!(!watched.sees(), "replaced by its like");
        fs::remove_file(&path).unwrap();
        assert!(watched.sees() && !watched.sees());
        fs::write(&path, "one").unwrap();
        assert!(watched.sees() && !watched.sees());
    }

    #[test]
    fn a_symlink_on_the_way_that_is_swapped_is_noticed() {
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
    fn what_is_named_later_counts_as_changed_once_and_what_stays_named_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "a").unwrap();
        fs::write(&b, "b").unwrap();
        let mut watched = watching(&a);
        watched.set([a.clone(), b.clone()]);
        assert!(watched.sees() && !watched.sees());
        watched.set([b]);
        assert!(!watched.sees());
        fs::write(&a, "other").unwrap();
        assert!(!watched.sees(), "not watched any more");
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert!(!watching(&path).sees());
    }
}
