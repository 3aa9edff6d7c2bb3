//! Writes renewed tokens back to the kubeconfig that holds them, and adds or removes what a
//! login made.
//!
//! Two locks: kubectl's own (`FILE.lock`, made with `O_EXCL`, as in client-go's `clientcmd`),
//! held only around the write, and one that kubegates hold among themselves over re-read,
//! renewal and write, since kubectl renews unlocked.
//!
//! The text is edited rather than written anew, so that comments, order and unknown fields
//! stay. Every edit is parsed and compared with what was meant before it counts; where no edit
//! of the text will do, the file stays as it is. Written anew from what was parsed, it might mean
//! something else to kubectl, which reads YAML 1.1 (`yes`, `0777`).

mod before;
mod context;
mod outline;
mod patch;
mod renewal_lock;

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
    },
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

pub use context::{NewContext, add_context, forget_user, may_add_context, may_forget_user};
pub use renewal_lock::RenewalLock;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    kubeconfig::{
        Error, OidcTokens,
        fields::wipe,
        file::{LIMIT, read_bounded},
        load::candidates,
        replacement::Replacement,
        syntax::{parse_yaml, survey},
        text,
    },
    secret::Secret,
};

/// How long kubectl's lock is waited for; it holds it for a write.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// How often a file that changes while it is edited is read.
const REREADS: usize = 5;
/// Edits that are tried.
const TRIES: usize = 200;

/// Puts `tokens` into the `auth-provider` of `user` in the file at `path`; a token that is
/// `None` stays as it is there. Blocks. The file is replaced whole or not at all, through
/// symlinks; its owner stays, and alone may read it.
///
/// # Errors
/// Where the file is locked, cannot be read or written, has no such entry any more, or has it in
/// a form that cannot be edited.
pub fn write_tokens(path: &Path, user: &str, tokens: &OidcTokens) -> Result<(), Error> {
    write_within(path, user, tokens, LOCK_PATIENCE)
}

/// Whether [`write_tokens`] will find the entry in a form that it can edit, to be asked before a
/// refresh token is spent. Blocks.
///
/// # Errors
/// Where it has not.
pub fn may_write_tokens(path: &Path, user: &str) -> Result<(), Error> {
    let any = || Some(Secret::new("any"));
    let tokens = OidcTokens {
        id_token: any(),
        refresh_token: any(),
    };
    try_edit(path, false, |text| edited(path, text, user, &tokens))
}

fn write_within(
    path: &Path,
    user: &str,
    tokens: &OidcTokens,
    patience: Duration,
) -> Result<(), Error> {
    edit_within(path, false, patience, |text| {
        edited(path, text, user, tokens)
    })
}

/// Puts what `edit` makes of the text of the file in its place. `make` takes a file that is
/// missing for an empty one.
fn edit_file(
    path: &Path,
    make: bool,
    edit: impl Fn(&str) -> Result<Zeroizing<String>, Error>,
) -> Result<(), Error> {
    edit_within(path, make, LOCK_PATIENCE, edit)
}

fn edit_within(
    path: &Path,
    make: bool,
    patience: Duration,
    edit: impl Fn(&str) -> Result<Zeroizing<String>, Error>,
) -> Result<(), Error> {
    if make && let Some(folder) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed(folder))?;
    }
    let _lock = Lock::take(path, patience)?;
    let is_missing =
        make && fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    let target = if is_missing {
        Ok(path.to_owned())
    } else {
        fs::canonicalize(path)
    };
    let target = target.map_err(failed(path))?;
    // An editor takes no lock. One that saves now and again comes to an end.
    for _ in 0..REREADS {
        let bytes = match read_bounded("kubeconfig", &target, LIMIT) {
            Ok(bytes) => Some(bytes),
            Err(Error::Read { source, .. }) if make && source.kind() == io::ErrorKind::NotFound => {
                None
            }
            Err(error) => return Err(error),
        };
        let before = bytes.as_deref().map(Vec::as_slice);
        let Some(edited) = edited_file(path, before.unwrap_or_default(), &edit)? else {
            return Ok(());
        };
        if replace(&target, before, edited.as_bytes())? {
            return Ok(());
        }
    }
    let source = io::Error::other("other programs keep writing it");
    Err(failed(path)(source))
}

/// The text of a file that holds `bytes` after `edit`, which is given the document that counts: what
/// stands behind that stays as it is. UTF-16 becomes UTF-8. `None` where nothing changes.
fn edited_file(
    path: &Path,
    bytes: &[u8],
    edit: impl Fn(&str) -> Result<Zeroizing<String>, Error>,
) -> Result<Option<Zeroizing<String>>, Error> {
    let text = text::decode(bytes).map_err(|problem| Error::Syntax {
        path: path.to_owned(),
        position: None,
        problem,
    })?;
    let (document, rest) = text.split_at(survey(&text).end);
    let edited = edit(document).map_err(|error| match error {
        Error::NotEditable { path, .. } if has_bare_returns(document) => Error::NotEditable {
            path,
            by_hand:
                "some of its lines end with a carriage return (CR) alone: save it with line feeds \
                      (LF), and try again"
                    .to_owned(),
        },
        error => error,
    })?;
    if *edited == document {
        return Ok(None);
    }
    let all = Zeroizing::new([edited.as_str(), rest].concat());
    // Nothing but blank lines and comments may have come to the document from behind it.
    let between = all.get(edited.len()..survey(&all).end);
    let mut between = between.map(str::lines).into_iter().flatten().map(str::trim);
    let is_whole = survey(&all).end >= edited.len()
        && between.all(|line| line.is_empty() || line.starts_with('#'));
    if !rest.is_empty() && !is_whole {
        return Err(Error::NotEditable {
            path: path.to_owned(),
            by_hand: "leave only its first YAML document in it, and try again".to_owned(),
        });
    }
    let mark = text::utf8_mark(bytes);
    Ok(Some(Zeroizing::new([mark, all.as_str()].concat())))
}

/// Whether lines end with a carriage return alone, which YAML takes for a line break and edits of
/// the text do not.
fn has_bare_returns(text: &str) -> bool {
    text.split("\r\n").any(|part| part.contains('\r'))
}

/// Says what would be wrong with an edit of the file at `path`, before anything is done that
/// cannot be undone; that it cannot be read is said by the edit itself.
fn try_edit(
    path: &Path,
    make: bool,
    edit: impl Fn(&str) -> Result<Zeroizing<String>, Error>,
) -> Result<(), Error> {
    let bytes = match read_bounded("kubeconfig", path, LIMIT) {
        Ok(bytes) => bytes,
        Err(Error::Read { source, .. }) if make && source.kind() == io::ErrorKind::NotFound => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    edited_file(path, &bytes, edit).map(drop)
}

/// The file that a new context goes into, by the rule of kubectl (client-go's
/// `PathOptions.GetDefaultFilename`): `explicit`, else the first file of `KUBECONFIG` that
/// exists, else the last, else `~/.kube/config`.
///
/// # Errors
/// Where nothing names a file.
pub fn file_to_edit(
    explicit: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, Error> {
    let candidates = candidates(explicit, env);
    let existing = candidates.iter().find(|path| path.exists());
    let file = existing.or(candidates.last()).cloned();
    file.ok_or_else(|| {
        let problem = "are not set, so there is no kubeconfig to write; name one with --kubeconfig";
        Error::field("environment", "KUBECONFIG and HOME", problem)
    })
}

/// The files that make up the kubeconfig, whether they are there or not.
#[must_use]
pub fn files(explicit: Option<&Path>, env: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    candidates(explicit, env)
}

/// The file's text with the tokens in it.
fn edited(
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
            edited = set(path, &edited, user, key, value.expose())?;
        }
    }
    Ok(edited)
}

/// The text with one value of the user's `auth-provider` set.
fn set(
    path: &Path,
    text: &str,
    user: &str,
    key: &str,
    value: &str,
) -> Result<Zeroizing<String>, Error> {
    let mut meant = Parsed(parse_yaml(path, text)?);
    let config = provider_config(&mut meant.0, user).ok_or_else(|| {
        let place = format!("kubeconfig {}: user {user:?}", path.display());
        Error::field(place, "auth-provider.config", "is gone; log in again")
    })?;
    let before = match &config[key] {
        Value::String(before) => Zeroizing::new(before.clone()),
        _ => Zeroizing::default(),
    };
    if *before == value {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    let absent = config.get(key).is_none();
    let anchor = config["idp-issuer-url"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    config[key] = json!(value);

    let is_meant = |edited: &str| is(path, edited, &meant.0);
    let absent = absent && !anchor.is_empty();
    let values = text
        .match_indices(before.as_str())
        .take_while(|_| !before.is_empty())
        .map(|(at, old)| splice(text, at, at + old.len(), value));
    let keys = text
        .match_indices(key)
        .flat_map(|(at, key)| overwritten(text, at + key.len(), value));
    let places = text
        .match_indices(anchor.as_str())
        .take_while(|_| absent)
        .flat_map(|(at, old)| inserted(text, at + old.len(), key, value));
    values
        .take(TRIES)
        .chain(keys.take(TRIES))
        .chain(places.take(TRIES))
        .find(|edited| is_meant(edited))
        .ok_or_else(|| Error::NotEditable {
            path: path.to_owned(),
            by_hand: format!(
                "write auth-provider.config.{key} of user {user:?} on one line, in quotes"
            ),
        })
}

/// The text with all that follows the key that ends at `end` replaced: up to the next comment,
/// comma or brace, or to the end of the line.
fn overwritten(text: &str, end: usize, value: &str) -> Vec<Zeroizing<String>> {
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

/// The text with a new key behind the value that ends at `end`: on a line of its own, and
/// behind a comma.
fn inserted(text: &str, end: usize, key: &str, value: &str) -> [Zeroizing<String>; 2] {
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

/// Whether the text is one document that holds `meant`.
fn is(path: &Path, text: &str, meant: &Value) -> bool {
    parse_yaml(path, text).is_ok_and(|parsed| Parsed(parsed).0 == *meant)
        && survey(text).rest.is_none()
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

/// A parsed file, wiped on drop.
struct Parsed(Value);

impl Drop for Parsed {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Writes `bytes` beside `target` and renames over it, unless it no longer holds `before`;
/// `None` where there was no file.
fn replace(target: &Path, before: Option<&[u8]>, bytes: &[u8]) -> Result<bool, Error> {
    let new = beside(target, &format!(".kubegate.{}", std::process::id()));
    let replaced = Replacement::new(target, new).and_then(|new| {
        match (fs::metadata(target), before) {
            (Ok(old), Some(_)) => keep_owner(new.file(), &old)?,
            (Err(error), None) if error.kind() == io::ErrorKind::NotFound => {}
            (Err(error), _) => return Err(error),
            (Ok(_), None) => return Ok(false),
        }
        new.put(bytes, || match before {
            Some(before) => Ok(*Zeroizing::new(fs::read(target)?) == before),
            None => Ok(true),
        })
    });
    replaced.map_err(failed(target))
}

/// Run as root on a user's file, it must stay that user's; and others may not read it.
fn keep_owner(new: &File, old: &fs::Metadata) -> io::Result<()> {
    let own = new.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
        fchown(new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(fs::Permissions::from_mode(old.mode() & 0o600))
}

/// kubectl's lock.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path, patience: Duration) -> Result<Self, Error> {
        let lock = beside(path, ".lock");
        let started = Instant::now();
        loop {
            let made = OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(&lock);
            match made {
                Ok(_) => return Ok(Self(lock)),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(&lock)(error));
                }
                Err(_) if started.elapsed() < patience => sleep(LOCK_RETRY),
                Err(_) => {
                    return Err(Error::Locked {
                        lock,
                        holder: "kubectl or another program; if none is running, remove the lock file",
                    });
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, lock = %self.0.display(), "cannot remove the lock file");
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests;
