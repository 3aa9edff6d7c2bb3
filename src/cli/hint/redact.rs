//! Words of a command line as errors may repeat them: without what may be a password or a token. Errors
//! of the command line are logged by shells, schedulers and CI systems.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, Error};

/// What stands for a value that is not shown.
pub(super) const HIDDEN: &str = "...";

/// Parts of the names of flags and variables whose values may be secrets.
const SECRETS: [&str; 12] = [
    "api-key",
    "api_key",
    "apikey",
    "extra-params",
    "from-literal",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "token",
    "upstream-header",
];

/// Ends of the names of flags whose values are no secrets, in spite of their names.
const PUBLIC: [&str; 5] = ["file", "type", "stdin", "audience", "ttl"];

/// Returns whether the value of a flag or variable of this name may be a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|part| name.contains(part)) && !PUBLIC.iter().any(|end| name.ends_with(end))
}

/// Returns a word without the secret that it has as `NAME=VALUE`, or as the user info of a URL.
pub(super) fn redacted(word: &str) -> String {
    let names = word.match_indices('=').map(|(at, _)| &word[..at]);
    if let Some(name) = names.into_iter().find(|name| is_secret(name)) {
        return format!("{name}={HIDDEN}");
    }
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}{}", &rest[end..]),
        None => word.to_owned(),
    }
}

/// Returns words without the secrets in them, and without those that are the values of flags.
pub(super) fn redacted_words(words: &[&str]) -> Vec<String> {
    let is_value = |at: usize| at > 0 && is_secret_flag(words[at - 1]);
    let shown = words.iter().enumerate().map(|(at, word)| {
        if is_value(at) {
            HIDDEN.to_owned()
        } else {
            redacted(word)
        }
    });
    shown.collect()
}

/// Returns whether the word at `at` may be a secret behind its name, or a part of one with spaces that was
/// not quoted.
pub(super) fn follows_secret(line: &[OsString], at: usize) -> bool {
    let word = |before: usize| line.get(at.checked_sub(before)?)?.to_str();
    // A flag behind the command `token` is no token.
    let is_flag = word(0).is_some_and(|word| word.starts_with("--"));
    word(2).is_some_and(is_secret_flag)
        || word(1).is_some_and(if is_flag { is_secret_flag } else { is_secret })
}

/// Returns clap's error without the secrets that it repeats.
pub(in crate::cli) fn without_secrets(mut error: Error, line: &[OsString]) -> Error {
    let text = |error: &Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let argument = text(&error, ContextKind::InvalidArg);
    if let Some(value) = text(&error, ContextKind::InvalidValue) {
        let name = argument.as_deref().and_then(|flag| flag.split(' ').next());
        let shown = match name {
            Some(name) if is_secret(name) => HIDDEN.to_owned(),
            _ => redacted(&value),
        };
        replace(&mut error, ContextKind::InvalidValue, &value, shown);
    }
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        let Some(word) = text(&error, kind) else {
            continue;
        };
        let at = line.iter().position(|given| *given == *word);
        let shown = if at.is_some_and(|at| follows_secret(line, at)) {
            HIDDEN.to_owned()
        } else {
            redacted(&word)
        };
        replace(&mut error, kind, &word, shown);
    }
    error
}

/// Replaces a text of an error, and removes the advice that repeats it.
fn replace(error: &mut Error, kind: ContextKind, before: &str, shown: String) {
    if before != shown {
        error.insert(kind, ContextValue::String(shown));
        error.remove(ContextKind::Suggested);
        error.remove(ContextKind::TrailingArg);
    }
}

/// Whether the next word is the value of this one, and may be a secret.
fn is_secret_flag(word: &str) -> bool {
    word.starts_with('-') && !word.contains('=') && is_secret(word)
}
