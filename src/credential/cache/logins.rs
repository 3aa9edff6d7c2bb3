//! Files in which others leave a new credential, looked at before a failure is told: a login that has
//! ended is often followed by another one just then.

use std::{
    fs, io,
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::kubeconfig::written;

/// Bytes of such a file that count.
const LIMIT: u64 = 1 << 20;

/// Those files, as they were when the source was asked last.
#[derive(Default)]
pub(super) struct Logins(Vec<(PathBuf, Option<Stamp>)>);

/// What changes with a file's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Logins {
    /// As they are now.
    pub(super) fn look(files: Vec<PathBuf>) -> Self {
        let stamped = files.into_iter().map(|path| {
            let stamp = stamp(&path);
            (path, stamp)
        });
        Self(stamped.collect())
    }

    /// Whether somebody else than this process has written one of them since; told once for each
    /// time.
    pub(super) fn have_news(&mut self) -> bool {
        let mut have_news = false;
        for (path, before) in &mut self.0 {
            let now = stamp(path);
            if now != *before {
                *before = now;
                have_news |=
                    !content(path).is_ok_and(|text| written::is_ours(&written::print(&text)));
            }
        }
        have_news
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp {
        file: (found.dev(), found.ino()),
        length: found.len(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

fn content(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // Room for all of it at once: growing would leave unwiped copies behind.
    let file = fs::File::open(path)?;
    let room = usize::try_from(file.metadata()?.len().min(LIMIT)).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    file.take(LIMIT).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_others_write_is_news_once_and_what_we_write_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login.json");
        let mut logins = Logins::look(vec![path.clone()]);
        assert!(!logins.have_news(), "there is no file");
        fs::write(&path, "theirs").unwrap();
        assert!(logins.have_news());
        assert!(!logins.have_news());
        written::note(b"a token that this process renewed");
        fs::write(&path, "a token that this process renewed").unwrap();
        assert!(!logins.have_news());
        fs::write(&path, "theirs again").unwrap();
        assert!(logins.have_news());
        fs::remove_file(&path).unwrap();
        assert!(logins.have_news(), "a login that is gone is news too");
    }
}
