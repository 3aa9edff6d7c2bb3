//! Cuts standard error into lines that can be logged.
//!
//! A line is logged as soon as it is complete. What is removed from it is what is known to be
//! secret by then (the plugin's output so far, the output of its last run, its secret variables)
//! and what looks like a secret. A plugin prints its token at its end, so a new token that does not
//! look like one is removed only from the error that reports its failure.

use super::{
    redact::{KnownSecrets, redacted},
    stderr::MAX_SHOWN,
};
use crate::printable::printable;

/// Bytes of a line that are read; the rest is dropped. Twice of what is shown, so that the part
/// that is dropped cannot be the one that identifies a secret.
const MAX_LINE: usize = 2 * MAX_SHOWN;

/// Cuts bytes into lines as they arrive. Holds at most one line, of at most [`MAX_LINE`] bytes.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    in_key: bool,
}

impl Lines {
    /// Takes the next complete line from the start of `rest`; `None` if its end has not arrived.
    pub(super) fn next(&mut self, rest: &mut &[u8]) -> Option<Vec<u8>> {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let capacity = MAX_LINE.saturating_sub(self.line.len());
        self.line
            .extend_from_slice(&part[..part.len().min(capacity)]);
        *rest = behind.get(1..).unwrap_or_default();
        end.map(|_| std::mem::take(&mut self.line))
    }

    pub(super) fn has_begun(&self) -> bool {
        !self.line.is_empty()
    }

    /// Takes the line whose end has not arrived. The rest of it counts as another line.
    pub(super) fn unfinished(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.line)
    }

    /// Whether the next line is part of a private key.
    pub(super) fn is_in_key(&self) -> bool {
        self.in_key
    }

    /// Notes whether a private key begins or ends in `line`.
    pub(super) fn track_key(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if text.contains("PRIVATE KEY-----") {
            let begins = text.rfind("-----BEGIN ");
            self.in_key = begins > text.rfind("-----END ");
        }
    }

    /// Returns `line` as text without secrets; `None` for a line within a private key.
    pub(super) fn presentable(
        &mut self,
        line: &[u8],
        stdout: &[u8],
        secrets: &KnownSecrets<'_>,
    ) -> Option<String> {
        let was_in_key = self.in_key;
        self.track_key(line);
        if was_in_key {
            return None;
        }
        let text = String::from_utf8_lossy(line);
        let text = redacted(&text, &[stdout, secrets.last_output], secrets.env);
        let text = printable(text.trim());
        let mut end = text.len().min(MAX_SHOWN);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let more = if end < text.len() { " ..." } else { "" };
        Some(format!("{}{more}", &text[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::redact::REMOVED, *};
    use crate::secret::Secret;

    /// The lines that are shown of `parts`, which arrive one after another.
    fn lines(parts: &[&str], stdout: &str, secrets: KnownSecrets<'_>) -> Vec<String> {
        let (mut lines, mut shown) = (Lines::default(), Vec::new());
        let mut show = |lines: &mut Lines, line: &[u8]| {
            shown.extend(lines.presentable(line, stdout.as_bytes(), &secrets));
        };
        for part in parts {
            let mut rest = part.as_bytes();
            while let Some(line) = lines.next(&mut rest) {
                show(&mut lines, &line);
            }
        }
        if lines.has_begun() {
            let line = lines.unfinished();
            show(&mut lines, &line);
        }
        shown
    }

    const NOTHING: KnownSecrets<'_> = KnownSecrets {
        env: &[],
        last_output: b"",
    };

    #[test]
    fn what_a_user_needs_for_a_login_is_shown() {
        for text in [
            "To sign in, open https://microsoft.com/devicelogin and enter the code ABCD-EFGH.",
            "https://device.sso.us-east-1.amazonaws.com/?user_code=WXYZ-1234",
            "Open https://issuer.example/auth?response_type=code&client_id=abc&\
             code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256\
             &state=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1&nonce=b2",
            "cannot read the ExecCredential of client.authentication.k8s.io/v1",
        ] {
            let printed =
                r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"}"#;
            assert_eq!(lines(&[text], printed, NOTHING), [text]);
        }
    }

    #[test]
    fn secrets_in_urls_are_removed() {
        for text in [
            "https://sts.amazonaws.com/?X-Amz-Signature=0a0a0a0a0a0a0a0a0a0ahunter20a0a0a0a0a0a0a0a0a0a0a0a",
            "http://localhost:8000/?code=0a0a0a0a0a0a0a0a0a0ahunter20a0a0a0a0a0a0a0a0&state=x",
            "https://x.example/?state=eyJhbGciOi.hunter2.hunter2",
            "state=0a0a0a0a0a0a0a0a0a0ahunter20a0a0a0a0a0a0a0a0a0a0a0a0a0a",
        ] {
            let shown = lines(&[text], "", NOTHING).concat();
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn secrets_known_at_the_end_of_a_line_are_removed() {
        let env = [("MY_PASSWORD".to_owned(), Secret::new("pass1234"))];
        let secrets = KnownSecrets {
            env: &env,
            last_output: br#"{"status":{"token":"last-secret-0"}}"#,
        };
        let printed = r#"{"status":{"token":"short-secret-1"}}"#;
        let parts = [
            "one\ntw",
            "o\r\n\x1b[31mlast-secret-0, short-se",
            "cret-1 pass1234\u{9b}",
        ];
        let shown = lines(&parts, printed, secrets);
        let shown: Vec<_> = shown.iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(
            shown,
            ["one", "two", "[removed], [removed] [removed]\u{fffd}"]
        );
    }

    #[test]
    fn all_lines_of_a_private_key_are_removed() {
        let text = "before\n-----BEGIN PRIVATE KEY-----\nhunter2\nhunter2\n-----END PRIVATE KEY-----\nafter\n";
        let shown = lines(&[text], "", NOTHING);
        assert_eq!(shown, ["before", REMOVED, "after"]);
    }

    #[test]
    fn an_endless_line_is_cut_and_the_next_one_is_shown() {
        let long = "x ".repeat(1 << 20);
        let shown = lines(&[&long, &long, "\nnext\n"], "", NOTHING);
        assert_eq!(shown.len(), 2);
        assert!(shown[0].len() <= MAX_SHOWN + 4 && shown[0].ends_with(" ..."));
        assert_eq!(shown[1], "next");
    }

    #[test]
    fn a_line_is_removed_if_there_are_too_many_known_words() {
        let words = |count: usize| {
            let words = (0..count).map(|number| format!("word-number-{number:06}"));
            words.collect::<Vec<_>>().join(" ")
        };
        let line = "see word-number-000007";
        let shown = |stdout: &str| lines(&[line], stdout, NOTHING).concat();
        assert_eq!(shown(&words(512)), "see [removed]");
        assert_eq!(shown(&words(512).repeat(2)), "see [removed]");
        assert_eq!(shown(&words(512 + 1)), REMOVED);
    }
}
