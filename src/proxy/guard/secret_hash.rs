//! [`Hash`]: what the guard keeps of tokens, codes and cookies in place of them.

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// The SHA-256 hash of a token, code or cookie.
pub(super) type Hash = [u8; SHA256_OUTPUT_LEN];

/// Returns the hash of a secret.
pub(super) fn hash(secret: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, secret).as_ref());
    hash
}
