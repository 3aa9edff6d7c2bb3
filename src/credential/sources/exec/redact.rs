//! Removes secrets and control characters from what a plugin writes to standard error.

use std::{collections::HashSet, sync::LazyLock};

use regex::{Captures, Regex};

use crate::{printable::printable_lines, secret::Secret};

/// The text in place of a secret.
pub(super) const REMOVED: &str = "[removed]";

/// Shorter words of standard output count as no secrets when standard error repeats them.
const SHORTEST_TOKEN: usize = 12;

/// Words that a line is searched for at most. A plugin's output has far fewer, unless it has a
/// chain of many certificates.
const MOST_SECRETS: usize = 512;

/// Words of every `ExecCredential`, which are no secrets.
const FIELD_NAMES: [&str; 6] = [
    "ExecCredential",
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
    "expirationTimestamp",
    "clientCertificateData",
    "clientKeyData",
];

/// What is known to be secret while a plugin runs.
#[derive(Clone, Copy)]
pub(super) struct KnownSecrets<'a> {
    /// The plugin's own environment variables.
    pub(super) env: &'a [(String, Secret)],
    /// The standard output of its last run.
    pub(super) last_output: &'a [u8],
}

/// `text` without control characters, and without anything that is or looks like a secret.
/// `outputs` are what the plugin has printed, which includes its tokens.
pub(super) fn redacted(text: &str, outputs: &[&[u8]], env: &[(String, Secret)]) -> String {
    let mut text = neutral(text);
    for output in outputs {
        text = without_known(text, output, env);
    }
    without_secrets(&text)
}

/// `text` without terminal sequences, control characters and marks that change its direction.
fn neutral(text: &str) -> String {
    static SEQUENCES: LazyLock<Regex> =
        LazyLock::new(|| regex(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?"));
    let text = SEQUENCES.replace_all(text, "");
    printable_lines(&text.replace('\r', "\n")).into_owned()
}

/// `text` without the secrets that are known from `stdout` and `env`. If these are too many to be
/// searched for, all of it is removed.
fn without_known(mut text: String, stdout: &[u8], env: &[(String, Secret)]) -> String {
    let Some(secrets) = known_secrets(stdout, env, text.len()) else {
        return REMOVED.to_owned();
    };
    for secret in secrets {
        text = text.replace(secret, REMOVED);
    }
    text
}

/// Returns the long words of the output, of which one is the token, and the values of variables
/// that are named as secrets, if they are not longer than `longest`. The longest come first, so
/// that no secret is replaced in part. `None` for more than [`MOST_SECRETS`].
fn known_secrets<'a>(
    stdout: &'a [u8],
    env: &'a [(String, Secret)],
    longest: usize,
) -> Option<Vec<&'a str>> {
    let stdout = std::str::from_utf8(stdout).unwrap_or_default();
    let is_token = |sign: char| sign.is_ascii_alphanumeric() || "-._~+/=".contains(sign);
    let words = stdout.split(|sign: char| !is_token(sign));
    let words = words.filter(|word| word.len() >= SHORTEST_TOKEN && !FIELD_NAMES.contains(word));
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
        if is_login_parameter(before, word) {
            return word.to_owned();
        }
        let has = |what| word.as_bytes().iter().any(what);
        // A long word without digits is a name with dashes; a secret has digits and letters.
        if has(u8::is_ascii_digit as fn(&u8) -> bool) && has(u8::is_ascii_alphabetic) {
            REMOVED.to_owned()
        } else {
            word.to_owned()
        }
    };
    OPAQUE.replace_all(text, opaque).into_owned()
}

/// Whether `word`, which follows `before`, belongs to a parameter of a URL that is no secret and
/// that the user needs in order to log in. Codes and signatures are secret.
fn is_login_parameter(before: &str, word: &str) -> bool {
    const PUBLIC: [&str; 11] = [
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
        .is_some_and(|(name, _)| PUBLIC.contains(&name))
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that the tests run")
}
