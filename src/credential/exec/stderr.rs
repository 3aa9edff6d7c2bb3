//! Makes what a plugin wrote to standard error fit to be shown.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::process::Tail;
use crate::secret::Secret;

/// Bytes shown at most.
const SHOWN: usize = 4 << 10;

const REMOVED: &str = "[removed]";

/// Shorter words of standard output say nothing secret when standard error repeats them.
const SHORTEST_TOKEN: usize = 12;

/// One line of harmless text: the end of `stderr` without control characters and without
/// anything that is or looks like a secret. What `stdout` and the plugin's own `env` hold may be
/// one.
pub(super) fn presentable(stderr: &Tail, stdout: &[u8], env: &[(String, Secret)]) -> String {
    let text = String::from_utf8_lossy(whole_lines(stderr));
    let mut text = neutral(&text);
    for secret in known_secrets(stdout, env) {
        text = text.replace(secret, REMOVED);
    }
    let text = without_secrets(&text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" | ");
    let mut start = line.len().saturating_sub(SHOWN);
    while !line.is_char_boundary(start) {
        start += 1;
    }
    line[start..].to_owned()
}

/// Without the part of a line that lost its start, which may have said that a secret follows.
fn whole_lines(stderr: &Tail) -> &[u8] {
    let bytes = stderr.bytes.as_slice();
    if !stderr.is_cut {
        return bytes;
    }
    let line_break = bytes.iter().position(|byte| *byte == b'\n');
    &bytes[line_break.map_or(bytes.len(), |at| at + 1)..]
}

/// Without terminal sequences, control characters and marks that change the text's direction.
fn neutral(text: &str) -> String {
    static SEQUENCES: LazyLock<Regex> =
        LazyLock::new(|| regex(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?"));
    let text = SEQUENCES.replace_all(text, "");
    let harmless = |sign: char| match sign {
        '\r' | '\n' => '\n',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
        sign if sign.is_control() => ' ',
        sign => sign,
    };
    text.chars().map(harmless).collect()
}

/// Long words of the output, which is where a token would be, and variables named as secrets;
/// the longest first, lest a part of one be replaced and the rest stay.
fn known_secrets<'a>(stdout: &'a [u8], env: &'a [(String, Secret)]) -> Vec<&'a str> {
    let stdout = std::str::from_utf8(stdout).unwrap_or_default();
    let is_token = |sign: char| sign.is_ascii_alphanumeric() || "-._~+/=".contains(sign);
    let words = stdout.split(|sign: char| !is_token(sign));
    let words = words.filter(|word| word.len() >= SHORTEST_TOKEN);
    let named = |(name, _): &&(String, Secret)| SECRET_NAME.is_match(name);
    let values = env.iter().filter(named).map(|(_, value)| value.expose());
    let values = values.filter(|value| value.len() >= 4);
    let mut secrets: Vec<_> = words.chain(values).collect();
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?i)token|secret|passw|passcode|credential|api.?key|access.?key|private.?key|assertion")
});

fn without_secrets(text: &str) -> String {
    static KEYS: LazyLock<Regex> = LazyLock::new(|| {
        regex(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)")
    });
    static SCHEMES: LazyLock<Regex> =
        LazyLock::new(|| regex(r"(?i)\b(bearer|basic)(\s+|%20)[A-Za-z0-9._~+/=-]{6,}"));
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r#"(?ix) ( [\w-]* (?: token | secret | passw(?:or)?d | passcode | api[-_]?key
                              | access[-_]?key | private[-_]?key | assertion | authorization )
                       [\w-]* ["']? \s* [:=] \s* ) ( "[^"]*" | '[^']*' | [^\s"',;&]+ )"#,
        )
    });
    static IN_URL: LazyLock<Regex> = LazyLock::new(|| regex(r"://[^/\s:@]*:[^/\s@]+@"));
    static SHAPED: LazyLock<Regex> =
        LazyLock::new(|| regex(r"\beyJ[A-Za-z0-9_.=-]{8,}|\bsha256~[A-Za-z0-9_-]+"));
    static OPAQUE: LazyLock<Regex> = LazyLock::new(|| regex(r"[A-Za-z0-9_+=~-]{40,}"));

    let text = KEYS.replace_all(text, REMOVED);
    let text = IN_URL.replace_all(&text, format!("://{REMOVED}@"));
    let text = SCHEMES.replace_all(&text, format!("$1 {REMOVED}"));
    let text = SHAPED.replace_all(&text, REMOVED);
    let text = NAMED.replace_all(&text, format!("${{1}}{REMOVED}"));
    let opaque = |word: &Captures<'_>| {
        let word = &word[0];
        let has = |what| word.as_bytes().iter().any(what);
        // A long word in dashes is a name; a secret has digits among its letters.
        if has(u8::is_ascii_digit as fn(&u8) -> bool) && has(u8::is_ascii_alphabetic) {
            REMOVED.to_owned()
        } else {
            word.to_owned()
        }
    };
    OPAQUE.replace_all(&text, opaque).into_owned()
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that the tests run")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stderr: &str) -> String {
        let bytes = stderr.as_bytes().to_vec();
        let tail = Tail {
            bytes,
            is_cut: false,
        };
        presentable(&tail, b"", &[])
    }

    #[test]
    fn an_ordinary_message_stays_as_it_is() {
        for text in [
            "Unable to locate credentials. You can configure them by running \"aws configure\".",
            "Error: token expired; run `az login` again",
            "could not reach https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE: timeout",
            "An error occurred (ExpiredToken) when calling the AssumeRole operation",
            "request 3fa85f64-5717-4562-b3fc-2c963f66afa6 failed",
        ] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_removed() {
        for text in [
            "Authorization: Bearer hunter2.x",
            "header 'authorization: hunter2x'",
            "got eyJhbGciOi.hunter2.hunter2 from",
            "token=hunter2",
            "\"access_token\" : \"hunter2 hunter2\"",
            "--client-secret=hunter2 given",
            "password: hunter2",
            "AWS_SECRET_ACCESS_KEY=hunter2",
            "sha256~hunter2",
            "https://me:hunter2@proxy/x",
            "k8s-aws-v1.hunter2aHR0cHM6Ly9zdHMuZXUtY2VudHJhbC0xLmFtYXpvbmF3cy5jb20",
            "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nhunter2",
            "tok\x1b[0men=hunter2",
        ] {
            let shown = shown(text);
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains(REMOVED), "{shown}");
        }
    }

    #[test]
    fn what_the_plugin_printed_or_was_given_is_removed() {
        let tail = Tail {
            bytes: b"cached short-secret-1 for pass1234 in eu-west-1, see abc".to_vec(),
            is_cut: false,
        };
        let env = [
            ("REGION".to_owned(), Secret::new("eu-west-1")),
            ("MY_PASSWORD".to_owned(), Secret::new("pass1234")),
        ];
        let stdout = br#"{"status":{"token":"short-secret-1","x":"abc"}}"#;
        assert_eq!(
            presentable(&tail, stdout, &env),
            "cached [removed] for [removed] in eu-west-1, see abc"
        );
    }

    #[test]
    fn nothing_in_it_can_drive_a_terminal_or_forge_a_line() {
        let text = "\x1b[31mred\x1b[0m \x1b]0;title\x07a\u{202e}b\u{9b}c\n\r\n2026 INFO forged\n";
        let shown = shown(text);
        assert_eq!(shown, "red a b c | 2026 INFO forged");
    }

    #[test]
    fn only_the_end_of_a_long_text_is_shown_and_no_half_of_a_line() {
        let text = "wörd ".repeat(2000) + "the end";
        let shown_text = shown(&text);
        assert!(shown_text.len() <= SHOWN && shown_text.len() > SHOWN - 8);
        assert!(shown_text.ends_with("the end"));

        let cut = Tail {
            bytes: b"nter2\nsecond line".to_vec(),
            is_cut: true,
        };
        assert_eq!(presentable(&cut, b"", &[]), "second line");
    }
}
