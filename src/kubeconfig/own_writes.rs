//! The contents that this process itself wrote into files. A file watcher uses it to distinguish them from
//! changes by other programs: a token that this process renewed is no reason to look for a new one.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};

/// The number of contents to remember: more than are written between two looks at the files.
const REMEMBERED: usize = 64;

static WRITTEN: Mutex<VecDeque<Sha256>> = Mutex::new(VecDeque::new());

/// SHA-256 of a file's content, which is kept instead of the content because that may be secret.
pub type Sha256 = [u8; 32];

/// Records the content of a file that is about to be written.
pub fn record(content: &[u8]) {
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    written.truncate(REMEMBERED - 1);
    written.push_front(sha256(content));
}

/// Whether this process wrote the content with this digest recently.
#[must_use]
pub fn contains(digest: &Sha256) -> bool {
    let written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    written.contains(digest)
}

/// Returns the digest of a content.
#[must_use]
pub fn sha256(content: &[u8]) -> Sha256 {
    let mut sha256 = Sha256::default();
    sha256.copy_from_slice(digest(&SHA256, content).as_ref());
    sha256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_contents_are_known() {
        record(b"ours");
        assert!(contains(&sha256(b"ours")));
        assert!(!contains(&sha256(b"theirs")));
    }
}
