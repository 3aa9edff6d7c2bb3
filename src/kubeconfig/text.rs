//! Decodes the text of files: UTF-8 with or without a byte order mark, and UTF-16 with one, which the
//! `>` of Windows PowerShell writes.

use zeroize::Zeroizing;

/// The byte order mark.
const MARK: char = '\u{feff}';

const NOT_TEXT: &str = "is not UTF-8 text, nor UTF-16 with a byte order mark";
const CUT_OFF: &str =
    "is UTF-16 text that ends in the middle of a character; the file seems to be cut off";
const UNPAIRED: &str = "is UTF-16 text with a surrogate that has no partner";

/// Returns the text of a file without its byte order mark.
///
/// # Errors
/// Bytes that are neither UTF-8, nor UTF-16 behind a byte order mark. The error is a clause that
/// follows the file's name.
pub fn decode(bytes: &[u8]) -> Result<Zeroizing<String>, &'static str> {
    // The full capacity at once: a growing string leaves copies behind that are not wiped.
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() / 2 * 3 + 3));
    let units: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            let utf8 = std::str::from_utf8(bytes).map_err(|_| NOT_TEXT)?;
            text.push_str(utf8.strip_prefix(MARK).unwrap_or(utf8));
            return Ok(text);
        }
    };
    let (pairs, rest) = bytes[2..].as_chunks::<2>();
    let mut characters = char::decode_utf16(pairs.iter().map(|pair| units(*pair)));
    while let Some(character) = characters.next() {
        text.push(character.map_err(|_| match characters.next() {
            Some(_) => UNPAIRED,
            None => CUT_OFF,
        })?);
    }
    if rest.is_empty() {
        Ok(text)
    } else {
        Err(CUT_OFF)
    }
}

/// The byte order mark at the beginning of UTF-8 text, or an empty string.
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
    fn bytes_that_are_not_text_are_refused_with_the_reason() {
        for (bytes, problem) in [
            (&b"caf\xe9"[..], NOT_TEXT),
            (b"\xff", NOT_TEXT),
            (b"\xef\xbb\xbf\xff", NOT_TEXT),
            // An odd number of bytes, and a high surrogate at the end.
            (b"\xff\xfea", CUT_OFF),
            (b"\xff\xfea\x00b", CUT_OFF),
            (b"\xfe\xff\x00a\x00", CUT_OFF),
            (b"\xff\xfe\x00\xd8", CUT_OFF),
            (b"\xff\xfe\x00\xd8a\x00", UNPAIRED),
            (b"\xff\xfe\x00\xdca\x00", UNPAIRED),
        ] {
            assert_eq!(decode(bytes).unwrap_err(), problem, "{bytes:?}");
        }
        assert_eq!(decode(b"\xff\xfe").unwrap().as_str(), "");
        assert_eq!(decode(b"").unwrap().as_str(), "");
    }
}
