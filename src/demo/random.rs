//! Random identifiers.

use std::fmt::Write as _;

use aws_lc_rs::rand;

/// A random version 4 UUID.
pub(crate) fn new_uid() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let parts = [0..4, 4..6, 6..8, 8..10, 10..16].map(|range| hex(&bytes[range]));
    parts.join("-")
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // These name things and guard nothing; the store refuses a name given twice.
    let _ = rand::fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_version_4_uuids_and_differ() {
        let uid = new_uid();
        assert_eq!((uid.len(), uid.as_bytes()[14]), (36, b'4'));
        assert_ne!(uid, new_uid());
    }
}
