//! Text from outside, made safe for a terminal, a log and an error message.
//!
//! Names in a kubeconfig, the output of a plugin, the answers of issuers and servers, URLs and file
//! names may hold control characters. On a terminal those move the cursor, hide what stands
//! before them or change the window's title; in a log they forge lines.

use std::borrow::Cow;

/// Returns `text` as one line without characters that act on a terminal: line breaks and tabs
/// become spaces; other control characters (C0, DEL and C1) and those that reorder or hide text
/// (bidirectional controls, line and paragraph separators, zero-width characters) become U+FFFD.
///
/// Borrows where there is nothing to replace. The result holds as many characters as `text`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let replaced = text.chars().map(|c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if is_printable(c) => c,
        _ => char::REPLACEMENT_CHARACTER,
    });
    Cow::Owned(replaced.collect())
}

fn is_printable(c: char) -> bool {
    !(c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_borrowed() {
        for text in ["", "prod/eu:6443", "größe 日本語 👍", "a  b"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn nothing_that_acts_on_a_terminal_is_left() {
        for (text, shown) in [
            ("\u{1b}[2Jprod", "\u{fffd}[2Jprod"),
            ("\u{1b}]0;title\u{7}", "\u{fffd}]0;title\u{fffd}"),
            ("\u{9b}31mred", "\u{fffd}31mred"),
            ("a\r\nb\tc", "a  b c"),
            ("a\u{8}\u{7f}", "a\u{fffd}\u{fffd}"),
            ("\u{202e}txt.exe", "\u{fffd}txt.exe"),
            ("pro\u{200b}d\u{2028}", "pro\u{fffd}d\u{fffd}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }
}
