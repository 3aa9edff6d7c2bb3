//! Edits the text of a file in place: reads it under the lock, applies the edit to the document that
//! counts, and replaces the file.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown},
    path::Path,
    time::Duration,
};

use zeroize::Zeroizing;

use super::write_lock::{PATIENCE, WriteLock, failed, sibling};
use crate::kubeconfig::{
    Error,
    read::{LIMIT, read_bounded},
    replacement::Replacement,
    syntax::survey,
    text,
};

/// How often the edit is repeated because another program changed the file meanwhile.
const RETRIES: usize = 5;

/// Replaces the text of the file at `path` by what `edit` makes of it. With `create`, a missing file
/// counts as empty and is created.
pub(super) fn edit_file(
    path: &Path,
    create: bool,
    edit: impl Fn(&str) -> Result<Zeroizing<String>, Error>,
) -> Result<(), Error> {
    edit_file_within(path, create, PATIENCE, edit)
}

/// As [`edit_file`], and waits for kubectl's lock for at most `patience`.
pub(super) fn edit_file_within(
    path: &Path,
    create: bool,
    patience: Duration,
    edit: impl Fn(&str) -> Result<Zeroizing<String>, Error>,
) -> Result<(), Error> {
    if create && let Some(folder) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed(folder))?;
    }
    let _lock = WriteLock::acquire(path, patience)?;
    let is_missing =
        create && fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    let target = if is_missing {
        Ok(path.to_owned())
    } else {
        fs::canonicalize(path)
    };
    let target = target.map_err(failed(path))?;
    // Editors do not take the lock, so the file may change between reading and replacing it.
    for _ in 0..RETRIES {
        let bytes = match read_bounded("kubeconfig", &target, LIMIT) {
            Ok(bytes) => Some(bytes),
            Err(Error::Read { source, .. })
                if create && source.kind() == io::ErrorKind::NotFound =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        let before = bytes.as_deref().map(Vec::as_slice);
        let Some(edited) = edited(path, before.unwrap_or_default(), &edit)? else {
            return Ok(());
        };
        if replace(&target, before, edited.as_bytes())? {
            return Ok(());
        }
    }
    let source = io::Error::other("other programs keep writing it");
    Err(failed(path)(source))
}

/// Tries an edit of the file at `path` without writing, so that its error is known before anything is
/// done that cannot be undone.
pub(super) fn try_edit(
    path: &Path,
    create: bool,
    edit: impl Fn(&str) -> Result<Zeroizing<String>, Error>,
) -> Result<(), Error> {
    let bytes = match read_bounded("kubeconfig", path, LIMIT) {
        Ok(bytes) => bytes,
        Err(Error::Read { source, .. }) if create && source.kind() == io::ErrorKind::NotFound => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    edited(path, &bytes, edit).map(drop)
}

/// Applies `edit` to the first YAML document in `bytes`, the only one that counts, and returns the
/// whole text. Everything behind that document stays as it is. UTF-16 becomes UTF-8. Returns `None` if
/// nothing changes.
fn edited(
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
    // The document may have gained only blank lines and comments from the text behind it.
    let gained = all.get(edited.len()..survey(&all).end);
    let mut gained = gained.map(str::lines).into_iter().flatten().map(str::trim);
    let is_separate = survey(&all).end >= edited.len()
        && gained.all(|line| line.is_empty() || line.starts_with('#'));
    if !rest.is_empty() && !is_separate {
        return Err(Error::NotEditable {
            path: path.to_owned(),
            by_hand: "leave only its first YAML document in it, and try again".to_owned(),
        });
    }
    let mark = text::utf8_mark(bytes);
    Ok(Some(Zeroizing::new([mark, all.as_str()].concat())))
}

/// Whether lines end with a carriage return alone. That is a line break in YAML, but not for the edits
/// of the text.
fn has_bare_returns(text: &str) -> bool {
    text.split("\r\n").any(|part| part.contains('\r'))
}

/// Writes `bytes` to a new file and renames it over `target`. Returns `false` and leaves `target` if
/// its content is no longer `before`, where `None` stands for a missing file.
pub(super) fn replace(target: &Path, before: Option<&[u8]>, bytes: &[u8]) -> Result<bool, Error> {
    let new = sibling(target, &format!(".kubegate.{}", std::process::id()));
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

/// Gives the new file the owner of the old one, which differs when root edits a user's file, and
/// takes the rights of all other users away.
fn keep_owner(new: &File, old: &fs::Metadata) -> io::Result<()> {
    let own = new.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
        fchown(new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(fs::Permissions::from_mode(old.mode() & 0o600))
}
