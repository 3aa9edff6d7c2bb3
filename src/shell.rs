//! Command lines for a person to paste into a shell.

use std::borrow::Cow;

/// The words with blanks between them, each quoted where a shell would read it as something else.
#[must_use]
pub fn line<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().map(quoted).collect();
    words.join(" ")
}

/// One word of a POSIX shell.
#[must_use]
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(in_quotes(word))
}

/// The same, in quotes even where it needs none.
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
    fn a_shell_reads_the_words_that_were_meant() {
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
