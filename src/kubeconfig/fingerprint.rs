//! [`Fingerprint`]: shows by its metadata that a file may have changed. A digest of its content then
//! tells whether it has.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use zeroize::Zeroizing;

use super::own_writes::{self, Sha256};

/// Metadata that change with the content of a file, as precisely as the file system records them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Opens the file at `path`; `None` if it cannot be opened, and for anything but a regular file:
/// opening a pipe without a writer would block.
///
/// Network file systems answer a plain `stat` from a cache that is up to a minute old, but ask their
/// server when a file is opened.
#[must_use]
pub fn open(path: &Path) -> Option<(File, Fingerprint)> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let file = File::open(path).ok()?;
    let fingerprint = Fingerprint::of(&file.metadata().ok()?);
    Some((file, fingerprint))
}

/// Returns the digest of the first bytes of a file, up to `limit` of them.
///
/// # Errors
/// A file that cannot be read.
pub fn digest(file: File, limit: u64) -> io::Result<Sha256> {
    let length = file.metadata()?.len().min(limit);
    // The capacity is allocated at once: growing would leave copies that are not wiped.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(limit).read_to_end(&mut content)?;
    Ok(own_writes::sha256(&content))
}
