//! Writes renewed tokens into the `auth-provider` section of a user.
//!
//! Candidate edits of the text are tried one after another, until one parses to the intended content.

use std::{io, path::Path, time::Duration};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    file_lock::failed,
    parsed::Parsed,
    transaction::{Edit, edit_files, try_edit_files},
    write_lock::PATIENCE,
};
use crate::{
    kubeconfig::{Error, OidcTokens},
    secret::Secret,
};

/// The most candidate edits of one kind that are tried.
const TRIES: usize = 200;

/// Writes `tokens` into the `auth-provider` of `user` in the file at `path`. A token that is `None`
/// stays unchanged. Blocks. The file is replaced atomically, also through symlinks, or written in place
/// where it cannot be replaced; it keeps its owner, who alone may read it afterwards.
///
/// # Errors
/// A file that is locked, cannot be read or written, no longer has the entry, or has it in a form that
/// cannot be edited.
pub fn write_tokens(path: &Path, user: &str, tokens: &OidcTokens) -> Result<(), Error> {
    write_tokens_within(path, user, tokens, PATIENCE)
}

/// Checks that [`write_tokens`] can edit the entry, before a refresh token is used up. Blocks.
///
/// # Errors
/// The error that [`write_tokens`] would return for the file's content.
pub fn may_write_tokens(path: &Path, user: &str) -> Result<(), Error> {
    let any = || Some(Secret::new("any"));
    let tokens = OidcTokens {
        id_token: any(),
        refresh_token: any(),
    };
    try_edit_files(&[path.to_owned()], |texts| {
        edited(path, texts, user, &tokens)
    })
}

/// As [`write_tokens`], and waits for kubectl's lock for at most `patience`.
pub(super) fn write_tokens_within(
    path: &Path,
    user: &str,
    tokens: &OidcTokens,
    patience: Duration,
) -> Result<(), Error> {
    if !path.exists() {
        return Err(failed(path)(io::ErrorKind::NotFound.into()));
    }
    edit_files(&[path.to_owned()], None, patience, |texts| {
        edited(path, texts, user, tokens)
    })
}

fn edited(path: &Path, texts: &[&str], user: &str, tokens: &OidcTokens) -> Result<Edit<()>, Error> {
    let text = texts.first().copied().unwrap_or_default();
    Ok(Edit {
        texts: vec![Some(with_tokens(path, text, user, tokens)?)],
        outcome: (),
    })
}

fn with_tokens(
    path: &Path,
    text: &str,
    user: &str,
    tokens: &OidcTokens,
) -> Result<Zeroizing<String>, Error> {
    let mut edited = Zeroizing::new(text.to_owned());
    let values = [
        ("id-token", &tokens.id_token),
        ("refresh-token", &tokens.refresh_token),
    ];
    for (key, value) in values {
        if let Some(value) = value {
            edited = with_value(path, &edited, user, key, value.expose())?;
        }
    }
    Ok(edited)
}

/// The text with one value of the user's `auth-provider` set.
fn with_value(
    path: &Path,
    text: &str,
    user: &str,
    key: &str,
    value: &str,
) -> Result<Zeroizing<String>, Error> {
    let mut intended = Parsed::read(path, text)?;
    let config = provider_config(&mut intended.0, user).ok_or_else(|| {
        let location = format!("kubeconfig {}: user {user:?}", path.display());
        Error::field(location, "auth-provider.config", "is gone; log in again")
    })?;
    let old = match &config[key] {
        Value::String(old) => Zeroizing::new(old.clone()),
        _ => Zeroizing::default(),
    };
    if *old == value {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    let is_absent = config.get(key).is_none();
    // A new key is written behind the issuer's URL, which every entry has.
    let issuer = config["idp-issuer-url"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    config[key] = json!(value);

    let is_absent = is_absent && !issuer.is_empty();
    let replaced_values = text
        .match_indices(old.as_str())
        .take_while(|_| !old.is_empty())
        .map(|(at, old)| splice(text, at, at + old.len(), value));
    let replaced_keys = text
        .match_indices(key)
        .flat_map(|(at, key)| replaced_behind_key(text, at + key.len(), value));
    let added_keys = text
        .match_indices(issuer.as_str())
        .take_while(|_| is_absent)
        .flat_map(|(at, old)| added_behind_value(text, at + old.len(), key, value));
    replaced_values
        .take(TRIES)
        .chain(replaced_keys.take(TRIES))
        .chain(added_keys.take(TRIES))
        .find(|edited| intended.is_content_of(path, edited))
        .ok_or_else(|| Error::NotEditable {
            path: path.to_owned(),
            by_hand: format!(
                "write auth-provider.config.{key} of user {user:?} on one line, in quotes"
            ),
        })
}

/// The text with the value of the key that ends at `end` replaced: up to the next comment, comma or
/// brace, or to the end of the line.
fn replaced_behind_key(text: &str, end: usize, value: &str) -> Vec<Zeroizing<String>> {
    let rest = text[end..].lines().next().unwrap_or_default();
    let quote = usize::from(rest.starts_with(['"', '\'']));
    if !rest[quote..].starts_with(':') {
        return Vec::new();
    }
    let from = quote + 1;
    let stops = [" #", ",", "}"].map(|stop| rest[from..].find(stop).map(|at| from + at));
    let value = Zeroizing::new(format!(" {}", json!(value)));
    let stops = stops.into_iter().flatten().chain([rest.len()]);
    stops
        .map(|stop| splice(text, end + from, end + stop, &value))
        .collect()
}

/// The text with a new key added behind the value that ends at `end`: on a line of its own (block
/// style), and behind a comma (flow style).
fn added_behind_value(text: &str, end: usize, key: &str, value: &str) -> [Zeroizing<String>; 2] {
    let rest = &text[end..];
    let end = end + usize::from(rest.starts_with(['"', '\'']));
    let line_start = text[..end].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[end..].find('\n').map_or(text.len(), |at| end + at);
    let line = &text[line_start..];
    let indent = &line[..line.len() - line.trim_start_matches(' ').len()];
    let value = Zeroizing::new(json!(value).to_string());
    let own_line = Zeroizing::new(format!("\n{indent}{key}: {}", *value));
    let behind_comma = Zeroizing::new(format!(", \"{key}\": {}", *value));
    [
        splice(text, line_end, line_end, &own_line),
        splice(text, end, end, &behind_comma),
    ]
}

fn splice(text: &str, from: usize, to: usize, new: &str) -> Zeroizing<String> {
    let mut edited = Zeroizing::new(String::with_capacity(text.len() + new.len()));
    edited.push_str(&text[..from]);
    edited.push_str(new);
    edited.push_str(&text[to..]);
    edited
}

fn provider_config<'a>(top: &'a mut Value, user: &str) -> Option<&'a mut Value> {
    let users = top.get_mut("users")?.as_array_mut()?;
    let entry = users.iter_mut().find(|entry| entry["name"] == user)?;
    let config = entry
        .get_mut("user")?
        .get_mut("auth-provider")?
        .get_mut("config")?;
    config.is_object().then_some(config)
}
