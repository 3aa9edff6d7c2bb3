//! What this process itself wrote into files, so that who watches them can tell it from what
//! others write: a token that we renewed is no reason to look for a new one.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};

/// More than are written between two looks.
const REMEMBERED: usize = 64;

static WRITTEN: Mutex<VecDeque<Sha256>> = Mutex::new(VecDeque::new());

/// SHA-256 of a file's content, compared in its place because it may be secret.
pub type Sha256 = [u8; 32];

/// Remembers the content of a file that is about to be written.
pub fn record(content: &[u8]) {
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    written.truncate(REMEMBERED - 1);
    written.push_front(sha256(content));
}

/// Whether this process wrote such a content not long ago.
#[must_use]
pub fn contains(print: &Sha256) -> bool {
    let written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    written.contains(print)
}

/// The print of a content.
#[must_use]
pub fn sha256(content: &[u8]) -> Sha256 {
    let mut print = Sha256::default();
    print.copy_from_slice(digest(&SHA256, content).as_ref());
    print
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_known_for_a_while() {
        record(b"ours");
        assert!(contains(&sha256(b"ours")));
        assert!(!contains(&sha256(b"theirs")));
    }
}
