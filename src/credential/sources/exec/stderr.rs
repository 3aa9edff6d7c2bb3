//! Makes what a plugin wrote to standard error fit to be shown.
//!
//! A line is shown as soon as it comes. What can be hidden in it then is what is known by that time
//! (what the plugin has printed so far, what its last run printed, its secret variables) and what
//! looks like a secret. A plugin prints its token at its end, so a token that looks like none and
//! is new can only be hidden in the error that tells of its failure.

use std::{collections::HashSet, sync::LazyLock};

use regex::{Captures, Regex};

use crate::{
    printable::{printable, printable_lines},
    secret::Secret,
};

/// Bytes shown at most.
const SHOWN: usize = 4 << 10;

const REMOVED: &str = "[removed]";

/// Shorter words of standard output say nothing secret when standard error repeats them.
const SHORTEST_TOKEN: usize = 12;

/// Words that a line is searched for at most. An answer has far fewer, but for a chain of many
/// certificates.
const MOST_SECRETS: usize = 512;

/// Bytes of a line that are looked at; more of it is dropped. Twice of what is shown, so that what
/// is cut off cannot be the part by which a secret is known.
const LINE: usize = 2 * SHOWN;

/// Words of every answer, which are no secrets.
const OF_ANSWERS: [&str; 6] = [
    "ExecCredential",
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
    "expirationTimestamp",
    "clientCertificateData",
    "clientKeyData",
];

/// Bytes that are kept of the end of standard error.
pub(super) const STDERR_KEPT: usize = 8 << 10;

/// The end of a text.
#[derive(Default)]
pub(super) struct Tail {
    pub(super) bytes: Vec<u8>,
    /// Whether there was more before it.
    pub(super) is_cut: bool,
}

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * STDERR_KEPT {
            self.bytes.drain(..self.bytes.len() - STDERR_KEPT);
            self.is_cut = true;
        }
    }
}

/// What is known to be secret while a plugin runs.
#[derive(Clone, Copy)]
pub(super) struct Hide<'a> {
    /// The variables of its own.
    pub(super) env: &'a [(String, Secret)],
    /// What its last run printed on standard output.
    pub(super) last: &'a [u8],
}

/// Cuts bytes into lines, as they come. Holds no more than one line, and of that no more than
/// [`LINE`].
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    in_key: bool,
}

impl Lines {
    /// The next whole line, taken from the start of `rest`; `None` where its end is still to come.
    pub(super) fn next(&mut self, rest: &mut &[u8]) -> Option<Vec<u8>> {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let room = LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        *rest = behind.get(1..).unwrap_or_default();
        end.map(|_| std::mem::take(&mut self.line))
    }

    pub(super) fn has_begun(&self) -> bool {
        !self.line.is_empty()
    }

    /// The line whose end is still to come. What comes of it later is a line by itself.
    pub(super) fn unfinished(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.line)
    }

    /// Whether the lines are those of a private key.
    pub(super) fn is_in_key(&self) -> bool {
        self.in_key
    }

    /// Takes note of what `line` says of those behind it.
    pub(super) fn heed(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if text.contains("PRIVATE KEY-----") {
            let begins = text.rfind("-----BEGIN ");
            self.in_key = begins > text.rfind("-----END ");
        }
    }

    /// `line` as harmless text; `None` for one in the middle of a private key.
    pub(super) fn presentable(
        &mut self,
        line: &[u8],
        stdout: &[u8],
        hide: &Hide<'_>,
    ) -> Option<String> {
        let was_in_key = self.in_key;
        self.heed(line);
        if was_in_key {
            return None;
        }
        let mut text = neutral(&String::from_utf8_lossy(line));
        for printed in [stdout, hide.last] {
            text = without_known(text, printed, hide.env);
        }
        let text = without_secrets(&text);
        let text = printable(text.trim());
        let mut end = text.len().min(SHOWN);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let more = if end < text.len() { " ..." } else { "" };
        Some(format!("{}{more}", &text[..end]))
    }
}

/// One line of harmless text: the end of `stderr` without control characters and without
/// anything that is or looks like a secret. What `stdout` and the plugin's own `env` hold may be
/// one.
pub(super) fn presentable(stderr: &Tail, stdout: &[u8], env: &[(String, Secret)]) -> String {
    let text = String::from_utf8_lossy(whole_lines(stderr));
    let text = without_known(neutral(&text), stdout, env);
    let text = without_secrets(&text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" | ");
    let mut start = line.len().saturating_sub(SHOWN);
    while !line.is_char_boundary(start) {
        start += 1;
    }
    printable(&line[start..]).into_owned()
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
    printable_lines(&text.replace('\r', "\n")).into_owned()
}

/// `text` without the secrets that are known from `stdout` and `env`. Removed as a whole where
/// these are too many to be searched for.
fn without_known(mut text: String, stdout: &[u8], env: &[(String, Secret)]) -> String {
    let Some(secrets) = known_secrets(stdout, env, text.len()) else {
        return REMOVED.to_owned();
    };
    for secret in secrets {
        text = text.replace(secret, REMOVED);
    }
    text
}

/// Long words of the output, which is where a token would be, and values of variables that are
/// named as secrets, if not longer than `longest`. The longest come first, so that no secret is
/// replaced in part. `None` for more than [`MOST_SECRETS`].
fn known_secrets<'a>(
    stdout: &'a [u8],
    env: &'a [(String, Secret)],
    longest: usize,
) -> Option<Vec<&'a str>> {
    let stdout = std::str::from_utf8(stdout).unwrap_or_default();
    let is_token = |sign: char| sign.is_ascii_alphanumeric() || "-._~+/=".contains(sign);
    let words = stdout.split(|sign: char| !is_token(sign));
    let words = words.filter(|word| word.len() >= SHORTEST_TOKEN && !OF_ANSWERS.contains(word));
    let named = |(name, _): &&(String, Secret)| SECRET_NAME.is_match(name);
    let values = env.iter().filter(named).map(|(_, value)| value.expose());
    let values = values.filter(|value| value.len() >= 4);
    let mut found = HashSet::new();
    for secret in words.chain(values) {
        if secret.len() <= longest && found.insert(secret) && found.len() > MOST_SECRETS {
            return None;
        }
    }
    let mut secrets: Vec<_> = found.into_iter().collect();
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    Some(secrets)
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
    let text = &*text;
    let opaque = |word: &Captures<'_>| {
        let before = word.get(0).map_or("", |found| &text[..found.start()]);
        let word = &word[0];
        if is_for_the_browser(before, word) {
            return word.to_owned();
        }
        let has = |what| word.as_bytes().iter().any(what);
        // A long word in dashes is a name; a secret has digits among its letters.
        if has(u8::is_ascii_digit as fn(&u8) -> bool) && has(u8::is_ascii_alphabetic) {
            REMOVED.to_owned()
        } else {
            word.to_owned()
        }
    };
    OPAQUE.replace_all(text, opaque).into_owned()
}

/// Whether `word`, behind `before`, belongs to a parameter of a URL that somebody must open to log
/// in and that is no secret: without it the login could not be finished. Codes and signatures are
/// none of these.
fn is_for_the_browser(before: &str, word: &str) -> bool {
    const OPEN: [&str; 11] = [
        "audience",
        "client_id",
        "code_challenge",
        "login_hint",
        "nonce",
        "redirect_uri",
        "request_uri",
        "resource",
        "scope",
        "state",
        "user_code",
    ];
    let url = before.rfind(|sign: char| sign.is_whitespace() || "\"'<>".contains(sign));
    let url = &before[url.map_or(0, |at| at + 1)..];
    let Some((_, query)) = url
        .split_once("://")
        .and_then(|(_, url)| url.split_once('?'))
    else {
        return false;
    };
    let parameter = query.rsplit('&').next().unwrap_or_default();
    let whole = [parameter, word].concat();
    whole
        .split_once('=')
        .is_some_and(|(name, _)| OPEN.contains(&name))
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

    /// The lines that are shown of `parts`, which come one after another.
    fn lines(parts: &[&str], stdout: &str, hide: Hide<'_>) -> Vec<String> {
        let (mut lines, mut shown) = (Lines::default(), Vec::new());
        let mut show = |lines: &mut Lines, line: &[u8]| {
            shown.extend(lines.presentable(line, stdout.as_bytes(), &hide));
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

    const NOTHING: Hide<'_> = Hide {
        env: &[],
        last: b"",
    };

    #[test]
    fn what_a_human_needs_for_a_login_is_shown() {
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
    fn what_a_url_must_not_show_is_removed() {
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
    fn lines_are_cut_where_they_end_and_secrets_known_by_then_are_removed() {
        let env = [("MY_PASSWORD".to_owned(), Secret::new("pass1234"))];
        let hide = Hide {
            env: &env,
            last: br#"{"status":{"token":"last-secret-0"}}"#,
        };
        let printed = r#"{"status":{"token":"short-secret-1"}}"#;
        let parts = [
            "one\ntw",
            "o\r\n\x1b[31mlast-secret-0, short-se",
            "cret-1 pass1234\u{9b}",
        ];
        let shown = lines(&parts, printed, hide);
        let shown: Vec<_> = shown.iter().filter(|line| !line.is_empty()).collect();
        assert_eq!(
            shown,
            ["one", "two", "[removed], [removed] [removed]\u{fffd}"]
        );
    }

    #[test]
    fn a_private_key_is_hidden_over_all_of_its_lines() {
        let text = "before\n-----BEGIN PRIVATE KEY-----\nhunter2\nhunter2\n-----END PRIVATE KEY-----\nafter\n";
        let shown = lines(&[text], "", NOTHING);
        assert_eq!(shown, ["before", REMOVED, "after"]);
    }

    #[test]
    fn a_line_without_end_is_cut_and_what_comes_behind_it_is_shown() {
        let long = "x ".repeat(1 << 20);
        let shown = lines(&[&long, &long, "\nnext\n"], "", NOTHING);
        assert_eq!(shown.len(), 2);
        assert!(shown[0].len() <= SHOWN + 4 && shown[0].ends_with(" ..."));
        assert_eq!(shown[1], "next");
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
    fn a_line_is_hidden_whole_if_the_known_words_are_too_many() {
        let words = |count: usize| {
            let words = (0..count).map(|number| format!("word-number-{number:06}"));
            words.collect::<Vec<_>>().join(" ")
        };
        let line = "see word-number-000007";
        let shown = |stdout: &str| lines(&[line], stdout, NOTHING).concat();
        assert_eq!(shown(&words(MOST_SECRETS)), "see [removed]");
        assert_eq!(shown(&words(MOST_SECRETS).repeat(2)), "see [removed]");
        assert_eq!(shown(&words(MOST_SECRETS + 1)), REMOVED);
    }

    #[test]
    fn nothing_in_it_can_drive_a_terminal_or_forge_a_line() {
        let text = "\x1b[31mred\x1b[0m \x1b]0;title\x07a\u{202e}b\u{9b}c\n\r\n2026 INFO forged\n";
        let shown = shown(text);
        assert_eq!(shown, "red a\u{fffd}b\u{fffd}c | 2026 INFO forged");
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
