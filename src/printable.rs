//! Makes text from outside safe for terminals, logs and error messages.
//!
//! Names in a kubeconfig, the output of a plugin, the responses of issuers and servers, URLs and file
//! names may contain control characters. On a terminal these move the cursor, hide text or change
//! the window's title; in a log they forge lines.

use std::{borrow::Cow, fmt::Write as _};

/// Returns `text` as one line without characters that act on a terminal: line breaks and tabs
/// become spaces; other control characters (C0, DEL and C1) and those that reorder or hide text
/// (bidirectional controls, line and paragraph separators, zero-width characters) become U+FFFD.
///
/// Borrows if there is nothing to replace. The result has as many characters as `text`.
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

/// Does the same as [`printable`] for text with several lines: line breaks are kept.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c == '\n' || is_printable(c)) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    Cow::Owned(lines.join("\n"))
}

/// Returns [`printable`] text that is cut to `limit` characters, with `…` in place of the rest.
#[must_use]
pub fn excerpt(text: &str, limit: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", printable(text[..end].trim_end())),
        None => printable(text).into_owned(),
    }
}

/// Returns a JSON text, or YAML whose quoted strings are JSON, with the characters that
/// [`printable`] replaces written as escapes. Its values do not change.
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

/// Returns whether a character shows as itself and has no other effect on a terminal.
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
    fn characters_that_act_on_a_terminal_are_replaced() {
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
    fn printable_lines_keeps_line_breaks() {
        assert_eq!(
            printable_lines("a\u{1b}[1m\n\tb\r\n"),
            "a\u{fffd}[1m\n b \n"
        );
        assert!(matches!(printable_lines("a\nb"), Cow::Borrowed("a\nb")));
    }

    #[test]
    fn an_excerpt_is_cut_to_its_limit() {
        for (text, shown) in [
            (" größe\n", "größe"),
            ("größer", "größe…"),
            ("größ er", "größ…"),
            ("\u{1b}[2J", "\u{fffd}[2J"),
            ("", ""),
        ] {
            assert_eq!(excerpt(text, 5), shown);
        }
    }

    #[test]
    fn escaped_json_keeps_its_values() {
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
