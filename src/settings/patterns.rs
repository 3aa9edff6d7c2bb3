//! [`Patterns`]: the value of a flag that takes regular expressions.

/// A list of regular expressions, not yet compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patterns(pub Vec<String>);

impl From<&str> for Patterns {
    /// Splits the list at commas. An empty text is no pattern, so `--reject-paths ''` rejects nothing.
    ///
    /// kubectl splits at every comma, and so turns `^/a{1,3}$` into two expressions that match other
    /// paths. Here a comma within an expression does not split: in a repetition, in brackets, in
    /// parentheses or `\Q..\E`, and after a backslash.
    fn from(text: &str) -> Self {
        if text.is_empty() {
            return Self(Vec::new());
        }
        let (mut patterns, mut rest) = (Vec::new(), text);
        while let Some(comma) = first_split(rest) {
            patterns.push(rest[..comma].to_owned());
            rest = &rest[comma + 1..];
        }
        patterns.push(rest.to_owned());
        Self(patterns)
    }
}

/// Returns the index of the first comma that ends an expression.
fn first_split(text: &str) -> Option<usize> {
    let (mut at, mut groups) = (0, 0_usize);
    // All special characters are ASCII, whose bytes are never part of another character in UTF-8.
    while let Some(byte) = text.as_bytes().get(at) {
        let rest = &text.as_bytes()[at..];
        at += match byte {
            b',' if groups == 0 => return Some(at),
            b'\\' => escape(&text[at..]),
            b'[' => class(rest).unwrap_or(1),
            b'{' => repetition(rest).unwrap_or(1),
            b'(' => {
                groups += 1;
                1
            }
            b')' => {
                groups = groups.saturating_sub(1);
                1
            }
            _ => 1,
        };
    }
    None
}

/// Returns the length of an escape: an escaped character, or a whole `\Q..\E`. A `\Q` without `\E`
/// extends to the next comma, as in kubectl.
fn escape(text: &str) -> usize {
    if let Some(quoted) = text.strip_prefix(r"\Q")
        && let Some(end) = quoted.find(r"\E")
    {
        return end + 4;
    }
    let next = text[1..].chars().next();
    1 + next.map_or(0, char::len_utf8)
}

/// Returns the length of a repetition such as `{1,3}`. Any other brace is an ordinary character.
fn repetition(text: &[u8]) -> Option<usize> {
    let end = text.iter().position(|byte| *byte == b'}')?;
    let counts = &text[1..end];
    let is_count = |byte: &u8| byte.is_ascii_digit() || *byte == b',';
    counts.iter().all(is_count).then_some(end + 1)
}

/// Returns the length of a character class in brackets, if it is closed.
fn class(text: &[u8]) -> Option<usize> {
    let mut at = if text.get(1) == Some(&b'^') { 2 } else { 1 };
    let first = at;
    loop {
        at += match text.get(at)? {
            b']' if at > first => return Some(at + 1),
            b'\\' => 2,
            b'[' if text.get(at + 1) == Some(&b':') => {
                let name = &text[at + 2..];
                name.windows(2)
                    .position(|pair| pair == b":]")
                    .map_or(1, |end| end + 4)
            }
            _ => 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        Patterns::from(text).0
    }

    #[test]
    fn an_empty_list_holds_no_pattern() {
        assert_eq!(split(""), Vec::<String>::new());
        assert_eq!(split("a,b"), ["a", "b"]);
        assert_eq!(split(","), ["", ""]);
        assert_eq!(split("a,,b,"), ["a", "", "b", ""]);
        assert_eq!(split("\u{e9},\\\u{e9},b"), ["\u{e9}", "\\\u{e9}", "b"]);
    }

    #[test]
    fn a_comma_within_an_expression_does_not_split() {
        for whole in [
            "^a{1,3}$",
            "a{2,}",
            "[a,b]",
            "[],]",
            "[^],]",
            r"[\],]",
            "[[:alpha:],]",
            "[[:,]",
            "(a,b)",
            "(a(,)b,)",
            r"\Qa,b\E",
            r"\Q(,\E",
            r"a\,b",
        ] {
            assert_eq!(split(whole), [whole], "{whole}");
            let pair = format!("{whole},{whole}");
            assert_eq!(split(&pair), [whole, whole], "{pair}");
        }
    }

    #[test]
    fn a_comma_after_an_unclosed_expression_splits() {
        assert_eq!(split(r"\(a,b\)"), [r"\(a", r"b\)"]);
        assert_eq!(split(r"\[a,b]"), [r"\[a", "b]"]);
        assert_eq!(split(r"\\,b"), [r"\\", "b"]);
        assert_eq!(split("[a,b"), ["[a", "b"]);
        assert_eq!(split("a{1,3"), ["a{1", "3"]);
        assert_eq!(split("a{,b{01}"), ["a{", "b{01}"]);
        assert_eq!(split("a{b,c}"), ["a{b", "c}"]);
        assert_eq!(split(r"\Qa,b"), [r"\Qa", "b"]);
        assert_eq!(split("a),b"), ["a)", "b"]);
        assert_eq!(split("[a],[b]"), ["[a]", "[b]"]);
    }
}
