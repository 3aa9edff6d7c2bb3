//! Splits a command line into words as bash does, and quotes a word for bash.

use std::ffi::OsString;

/// The words of a line. The last one is at the cursor; it is empty after a space.
pub(super) struct Line(Vec<Word>);

/// A word without quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// The length of the part of `text` that bash keeps. It replaces the part after the last word break
    /// outside of quotes, or after an open quote.
    kept: usize,
    quote: Option<Quote>,
}

/// A quote that is open at the end of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quote {
    Single,
    Double,
}

impl Line {
    /// Splits a line; `breaks` are the characters of `COMP_WORDBREAKS`.
    pub(super) fn read(line: &str, breaks: &str) -> Self {
        let mut words = Vec::new();
        let mut word = Word::default();
        let mut has_begun = false;
        let mut kept_outside = 0;
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            let was_inside = has_begun;
            has_begun = true;
            match (word.quote, c) {
                (None, ' ' | '\t' | '\n') => {
                    if was_inside {
                        words.push(std::mem::take(&mut word));
                    }
                    has_begun = false;
                }
                (None, '\\') => word.text.extend(characters.next()),
                (None, '\'' | '"') => {
                    word.quote = Some(if c == '"' {
                        Quote::Double
                    } else {
                        Quote::Single
                    });
                    kept_outside = word.kept;
                    word.kept = word.text.len();
                }
                (Some(Quote::Single), '\'') | (Some(Quote::Double), '"') => {
                    word.quote = None;
                    word.kept = kept_outside;
                }
                (Some(Quote::Double), '\\') => {
                    let escaped = characters.next_if(|next| is_escaped_in_quotes(*next));
                    word.text.push(escaped.unwrap_or('\\'));
                }
                (None, _) if breaks.contains(c) => {
                    word.text.push(c);
                    word.kept = word.text.len();
                }
                _ => word.text.push(c),
            }
        }
        words.push(word);
        Self(words)
    }

    /// Returns the words without quotes.
    pub(super) fn texts(&self) -> Vec<OsString> {
        let texts = self.0.iter().map(|word| OsString::from(&word.text));
        texts.collect()
    }

    /// Returns the word at the cursor.
    pub(super) fn last(&self) -> Word {
        self.0.last().cloned().unwrap_or_default()
    }
}

impl Word {
    /// Returns the text that completes the word to `value`, quoted for the part that bash replaces;
    /// `None` if `value` begins differently.
    pub(super) fn completed(&self, value: &str) -> Option<String> {
        let rest = value.strip_prefix(self.text.get(..self.kept)?)?;
        Some(match self.quote {
            None => escaped(rest),
            Some(Quote::Single) => rest.replace('\'', r"'\''"),
            Some(Quote::Double) => {
                let mut text = String::new();
                for c in rest.chars() {
                    if is_escaped_in_quotes(c) {
                        text.push('\\');
                    }
                    text.push(c);
                }
                text
            }
        })
    }
}

/// Whether a backslash in double quotes escapes the character.
fn is_escaped_in_quotes(c: char) -> bool {
    matches!(c, '$' | '`' | '"' | '\\')
}

/// Quotes a part of a word with backslashes, except for a tilde.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_./:=,@%+~".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default of bash.
    const BREAKS: &str = " \t\n\"'><=;|&(:";

    #[test]
    fn words_are_read_without_their_quotes() {
        for (line, words) in [
            ("kubegate", &["kubegate"][..]),
            ("kubegate ", &["kubegate", ""]),
            (
                "kubegate  --context 'a b'",
                &["kubegate", "--context", "a b"],
            ),
            (r#"a "b \" \x $c" d\ e"#, &["a", r#"b " \x $c"#, "d e"]),
            ("a '' b", &["a", "", "b"]),
            ("a=b:c", &["a=b:c"]),
            ("a 'b ", &["a", "b "]),
        ] {
            assert_eq!(Line::read(line, BREAKS).texts(), words, "{line}");
        }
    }

    #[test]
    fn the_part_that_bash_replaces_is_written_as_it_reads_it() {
        for (typed, value, part) in [
            ("", "prod", Some("prod")),
            ("pr", "prod", Some("prod")),
            ("pr", "a b", Some(r"a\ b")),
            (r"a\ ", "a b's", Some(r"a\ b\'s")),
            ("default/api:64", "default/api:6443/jane", Some("6443/jane")),
            ("--context=pr", "--context=prod", Some("prod")),
            ("--context=", "--context=a:b", Some("a:b")),
            ("'a ", "a b'c", Some(r"a b'\''c")),
            ("\"a ", "a $b", Some(r"a \$b")),
            ("a:'b", "a:b c", Some("b c")),
            ("'a:b'c", "a:bcd", Some("a:bcd")),
            ("a:", "b", None),
            ("", "*;$(x)`", Some(r"\*\;\$\(x\)\`")),
            ("", "größe", Some("größe")),
        ] {
            let word = Line::read(typed, BREAKS).last();
            assert_eq!(word.completed(value).as_deref(), part, "{typed}");
        }
    }
}
