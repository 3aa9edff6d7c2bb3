//! Writes characters and ranges in the syntax of the `regex` crate.

use std::fmt::Write as _;

/// A class that matches no character.
pub(super) const NOTHING: &str = "[a&&b]";

/// Writes a character so that it stands for itself, inside of brackets or outside.
pub(super) fn write_char(text: &mut String, char: char) {
    if char.is_ascii_alphanumeric() || char == '/' {
        text.push(char);
    } else {
        // Writing to a string does not fail.
        let _ = write!(text, r"\x{{{:X}}}", u32::from(char));
    }
}

/// Writes a range without its surrogates, which no text contains.
pub(super) fn write_range(members: &mut String, from: u32, to: u32) {
    let mut write = |from: u32, to: u32| {
        if let (true, Some(from), Some(to)) = (from <= to, char::from_u32(from), char::from_u32(to))
        {
            write_char(members, from);
            members.push('-');
            write_char(members, to);
        }
    };
    if to < 0xD800 || from > 0xDFFF {
        write(from, to);
    } else {
        write(from, 0xD7FF);
        write(0xE000, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_stands_for_itself() {
        let mut text = String::new();
        for char in ['a', '7', '/', '.', '\u{e9}'] {
            write_char(&mut text, char);
        }
        assert_eq!(text, r"a7/\x{2E}\x{E9}");
    }

    #[test]
    fn a_range_has_no_surrogates() {
        let mut text = String::new();
        write_range(&mut text, 0xD700, 0xE001);
        assert_eq!(text, r"\x{D700}-\x{D7FF}\x{E000}-\x{E001}");
    }
}
