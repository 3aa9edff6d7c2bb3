//! [`Watched`]: files whose content is compared, look by look.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{Context, SHA256};
use zeroize::Zeroizing;

/// Bytes of a file that count; nothing that is watched for may have more.
const LIMIT: u64 = 8 << 20;

/// Files, and what was in them at the last look.
#[derive(Debug, Default)]
pub(super) struct Watched(BTreeMap<PathBuf, Seen>);

/// A file at the last look.
#[derive(Debug, Default)]
struct Seen {
    stamp: Option<Stamp>,
    /// Whether the content was read at a look at which the stamp was already known. Only then
    /// does the same stamp mean the same content, for file systems tell time in coarse steps.
    settled: bool,
    /// Of the content; `None` where there is none to be read.
    print: Option<Vec<u8>>,
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

    /// Looks at every file, and tells whether the content of one has changed since the last
    /// look.
    pub(super) fn look(&mut self) -> bool {
        let mut changed = false;
        for (path, seen) in &mut self.0 {
            changed |= seen.look(path);
        }
        changed
    }
}

impl Seen {
    fn look(&mut self, path: &Path) -> bool {
        // Opened, even where the stamp is the same: network file systems answer a mere `stat`
        // from a cache of up to a minute, but ask the server when a file is opened.
        let opened = open(path).ok().flatten();
        let stamp = opened.as_ref().map(|(_, metadata)| Stamp::of(metadata));
        if stamp == self.stamp && self.settled {
            return false;
        }
        let print = opened.and_then(|(file, _)| print(file).ok());
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

/// Compared in place of the content, which may be secret.
fn print(file: File) -> io::Result<Vec<u8>> {
    let mut context = Context::new(&SHA256);
    let mut file = file.take(LIMIT);
    let mut buffer = Zeroizing::new([0; 16 << 10]);
    loop {
        match file.read(&mut *buffer)? {
            0 => return Ok(context.finish().as_ref().to_vec()),
            n => context.update(&buffer[..n]),
        }
    }
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

    #[test]
    fn every_other_content_is_noticed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "one").unwrap();
        let mut watched = watching(&path);
        assert!(!watched.look() && !watched.look());
        // Of the same length, and within the same tick of the file system's clock.
        for content in ["two", "too", "one"] {
            fs::write(&path, content).unwrap();
            assert!(watched.look(), "{content}");
            assert!(!watched.look());
        }
        fs::write(&path, "one").unwrap();
        assert!(!watched.look(), "written, but not changed");
        fs::write(folder.path().join("b"), "one").unwrap();
        fs::rename(folder.path().join("b"), &path).unwrap();
        assert!(!watched.look(), "replaced by its like");
        fs::remove_file(&path).unwrap();
        assert!(watched.look() && !watched.look());
        fs::write(&path, "one").unwrap();
        assert!(watched.look() && !watched.look());
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
        assert!(!watched.look());
        symlink("two", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(watched.look() && !watched.look());
    }

    #[test]
    fn what_is_named_later_counts_as_changed_once_and_what_stays_named_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "a").unwrap();
        fs::write(&b, "b").unwrap();
        let mut watched = watching(&a);
        watched.set([a.clone(), b.clone()]);
        assert!(watched.look() && !watched.look());
        watched.set([b]);
        assert!(!watched.look());
        fs::write(&a, "other").unwrap();
        assert!(!watched.look(), "not watched any more");
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert!(!watching(&path).look());
    }
}
