//! Random identifiers and tokens.

use std::fmt::Write as _;

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// A random version 4 UUID.
pub(crate) fn new_uuid() -> String {
    let mut bytes = random_bytes::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let parts = [0..4, 4..6, 6..8, 8..10, 10..16].map(|range| hex(&bytes[range]));
    parts.join("-")
}

/// 32 random bytes as text of 43 characters, for tokens and cookies.
pub(crate) fn new_token() -> String {
    let mut bytes = Zeroizing::new([0; 32]);
    // The TLS handshake of this very connection needed random numbers too, so this does not fail.
    let _ = rand::fill(&mut *bytes);
    URL_SAFE_NO_PAD.encode(*bytes)
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Random bytes for names. They protect nothing, and the store refuses a name that is taken, so
/// zeros after a failure do no harm.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = rand::fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_of_version_4_and_differ() {
        let uuid = new_uuid();
        assert_eq!((uuid.len(), uuid.as_bytes()[14]), (36, b'4'));
        assert_ne!(uuid, new_uuid());
    }
}
