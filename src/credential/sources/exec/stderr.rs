//! The end of a plugin's standard error, as its error shows it.

use super::redact::redacted;
use crate::{printable::printable, secret::Secret};

/// Bytes that are kept of the end of standard error.
pub(super) const STDERR_KEPT: usize = 8 << 10;

/// Bytes that are shown at most.
pub(super) const MAX_SHOWN: usize = 4 << 10;

/// The end of standard error.
#[derive(Default)]
pub(super) struct Tail {
    pub(super) bytes: Vec<u8>,
    /// Whether its start was dropped.
    pub(super) is_cut: bool,
}

impl Tail {
    /// Appends `bytes`, and drops the start of what is too long.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * STDERR_KEPT {
            self.bytes.drain(..self.bytes.len() - STDERR_KEPT);
            self.is_cut = true;
        }
    }
}

/// The end of `stderr` in one line, without control characters and without anything that is or
/// looks like a secret. `stdout` and the plugin's own `env` may contain secrets.
pub(super) fn presentable(stderr: &Tail, stdout: &[u8], env: &[(String, Secret)]) -> String {
    let text = String::from_utf8_lossy(whole_lines(stderr));
    let text = redacted(&text, &[stdout], env);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" | ");
    let mut start = line.len().saturating_sub(MAX_SHOWN);
    while !line.is_char_boundary(start) {
        start += 1;
    }
    printable(&line[start..]).into_owned()
}

/// The text without a first line whose start was dropped: the start may have announced a secret.
fn whole_lines(stderr: &Tail) -> &[u8] {
    let bytes = stderr.bytes.as_slice();
    if !stderr.is_cut {
        return bytes;
    }
    let line_break = bytes.iter().position(|byte| *byte == b'\n');
    &bytes[line_break.map_or(bytes.len(), |at| at + 1)..]
}

#[cfg(test)]
mod tests {
    use super::{super::redact::REMOVED, *};

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
    fn words_of_the_output_and_secret_variables_are_removed() {
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
    fn control_characters_are_removed() {
        let text = "\x1b[31mred\x1b[0m \x1b]0;title\x07a\u{202e}b\u{9b}c\n\r\n2026 INFO forged\n";
        let shown = shown(text);
        assert_eq!(shown, "red a\u{fffd}b\u{fffd}c | 2026 INFO forged");
    }

    #[test]
    fn a_long_text_is_cut_to_the_whole_lines_at_its_end() {
        let text = "wörd ".repeat(2000) + "the end";
        let shown_text = shown(&text);
        assert!(shown_text.len() <= MAX_SHOWN && shown_text.len() > MAX_SHOWN - 8);
        assert!(shown_text.ends_with("the end"));

        let cut = Tail {
            bytes: b"nter2\nsecond line".to_vec(),
            is_cut: true,
        };
        assert_eq!(presentable(&cut, b"", &[]), "second line");
    }
}
