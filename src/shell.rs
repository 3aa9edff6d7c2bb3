//! Command lines to paste into a POSIX shell.

use std::borrow::Cow;

/// Returns the words separated by spaces, each quoted if it needs to be.
#[must_use]
pub fn line<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().map(quoted).collect();
    words.join(" ")
}

/// Returns a word in quotes if a shell would otherwise not read it as it is.
#[must_use]
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(in_quotes(word))
}

/// Returns a word in quotes.
#[must_use]
pub fn in_quotes(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_quoted_words_as_they_were() {
        let words = [
            "a",
            "",
            "two words",
            "it's",
            "$HOME",
            "`id`",
            "~/x",
            "*",
            "a\\b",
            "\"q\"",
            "{a,b}",
            "#x",
            "!x",
            "größe",
            "-o=jsonpath={.items[0]}",
        ];
        let script = format!("printf '%s\\n' {}", line(words));
        let read = Command::new("/bin/sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        let read = String::from_utf8(read.stdout).unwrap();
        assert_eq!(read, words.join("\n") + "\n");
        assert_eq!(
            (in_quotes("a"), in_quotes("it's")),
            ("'a'".into(), r"'it'\''s'".into())
        );
        assert_eq!(
            line(["kubectl", "get", "pods", "-n", "a/b"]),
            "kubectl get pods -n a/b"
        );
    }
}
