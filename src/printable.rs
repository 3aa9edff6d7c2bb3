//! Text from outside, made safe for a terminal, a log and an error message.
//!
//! Names in a kubeconfig, the output of a plugin, the answers of issuers and servers, URLs and file
//! names may hold control characters. On a terminal those move the cursor, hide what stands
//! before them or change the window's title; in a log they forge lines.

use std::{borrow::Cow, fmt::Write as _};

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

/// As [`printable`] for text of several lines of our own: line breaks stay.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c == '\n' || is_printable(c)) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    Cow::Owned(lines.join("\n"))
}

/// Returns a JSON text, or YAML whose quoted strings are JSON, with the characters that
/// [`printable`] replaces as escapes: its values stay what they are.
#[must_use]
pub fn escaped_json(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c == '\n' || is_printable(c)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 32);
    for c in text.chars() {
        if c == '\n' || is_printable(c) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character takes its own place in a line, and nothing else.
fn is_printable(c: char) -> bool {
    !(c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                // Tag characters: invisible copies of ASCII.
                | '\u{e0000}'..='\u{e007f}'
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
            ("a\u{e0062}", "a\u{fffd}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn lines_of_our_own_stay_lines() {
        assert_eq!(
            printable_lines("a\u{1b}[1m\n\tb\r\n"),
            "a\u{fffd}[1m\n b \n"
        );
        assert!(matches!(printable_lines("a\nb"), Cow::Borrowed("a\nb")));
    }

    #[test]
    fn a_json_text_keeps_its_values_without_characters_that_act() {
        let name = "a\u{9b}2J\u{202e}\u{7f}\u{1b}\nü\u{e0062}";
        let text = format!("{:#}\n", serde_json::json!({ "name": name }));
        let shown = escaped_json(&text);
        assert!(
            shown.chars().all(|c| c == '\n' || is_printable(c)),
            "{shown}"
        );
        let value: serde_json::Value = serde_json::from_str(&shown).expect("it is JSON");
        assert_eq!(value["name"], name);
        assert!(
            shown.contains("ü") && shown.contains("\\u009b2J\\u202e"),
            "{shown}"
        );
    }
}
