//! Text as editors and shells leave it in files: UTF-8, with or without a byte order mark, or
//! UTF-16 with one, which `>` of Windows PowerShell writes.

use zeroize::Zeroizing;

/// The byte order mark, as a character.
const MARK: char = '\u{feff}';

/// The text of a file, without its byte order mark; `None` for what is neither UTF-8, nor UTF-16
/// that says so by its first two bytes.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Zeroizing<String>> {
    // Room for all of it at once: growing would leave unwiped copies behind.
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() / 2 * 3 + 3));
    let units: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            let utf8 = std::str::from_utf8(bytes).ok()?;
            text.push_str(utf8.strip_prefix(MARK).unwrap_or(utf8));
            return Some(text);
        }
    };
    let (pairs, []) = bytes[2..].as_chunks::<2>() else {
        return None;
    };
    for character in char::decode_utf16(pairs.iter().map(|pair| units(*pair))) {
        text.push(character.ok()?);
    }
    Some(text)
}

/// The byte order mark that UTF-8 text begins with, or nothing.
pub(super) fn utf8_mark(bytes: &[u8]) -> &'static str {
    if bytes.starts_with("\u{feff}".as_bytes()) {
        "\u{feff}"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let units = [0xfeff].into_iter().chain(text.encode_utf16());
        units.flat_map(bytes_of).collect()
    }

    proptest! {
        #[test]
        fn text_is_the_same_in_every_encoding(text in "[^\u{feff}].*") {
            let marked = format!("{MARK}{text}");
            for bytes in [
                text.clone().into_bytes(),
                marked.into_bytes(),
                utf16(&text, u16::to_le_bytes),
                utf16(&text, u16::to_be_bytes),
            ] {
                let decoded = decode(&bytes).unwrap();
                prop_assert_eq!(&*decoded, &text);
                prop_assert!(decoded.len() <= bytes.len() / 2 * 3 + 3);
            }
        }
    }

    #[test]
    fn what_is_no_text_is_none() {
        for bytes in [
            &b"caf\xe9"[..],
            b"\xff\xfea",
            b"\xff\xfe\x00\xd8",
            b"\xff",
            b"\xef\xbb\xbf\xff",
        ] {
            assert!(decode(bytes).is_none(), "{bytes:?}");
        }
        assert_eq!(decode(b"\xff\xfe").unwrap().as_str(), "");
        assert_eq!(decode(b"").unwrap().as_str(), "");
    }
}
