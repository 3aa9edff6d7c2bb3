//! Edits the text of files: reads them under their locks, applies the edit to the document that counts
//! in each, and writes them all, or leaves them all as they were.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use zeroize::Zeroizing;

use super::{
    file_lock::failed,
    write_file::{may_write, write_file},
    write_lock::WriteLock,
};
use crate::kubeconfig::{
    Error,
    read::{LIMIT, read_bounded},
    syntax::survey,
    text,
};

/// How often the edit is repeated because another program changed a file meanwhile.
const RETRIES: usize = 5;

/// The result of an edit.
pub(super) struct Edit<T> {
    /// The new text of the document that counts in each file; `None` where it does not change.
    pub(super) texts: Vec<Option<Zeroizing<String>>>,
    pub(super) outcome: T,
}

impl Edit<()> {
    /// The edit of `files` files that changes nothing.
    pub(super) fn none(files: usize) -> Self {
        Self {
            texts: vec![None; files],
            outcome: (),
        }
    }
}

impl<T> Edit<T> {
    pub(super) fn map<U>(self, act: impl FnOnce(T) -> U) -> Edit<U> {
        Edit {
            texts: self.texts,
            outcome: act(self.outcome),
        }
    }
}

/// The file that new entries are written to, as an index: the first that exists, else the last (client-go's
/// `PathOptions.GetDefaultFilename`).
pub(super) fn main_file(files: &[PathBuf]) -> usize {
    let existing = files.iter().position(|path| path.exists());
    existing.unwrap_or(files.len().saturating_sub(1))
}

/// Replaces the texts of the files at `paths` by what `edit` makes of them. A missing file counts as
/// empty; only the one with the index `creates` is created. Waits for the lock of each file to be
/// changed for at most `patience`. After an error, all files are as they were.
pub(super) fn edit_files<T>(
    paths: &[PathBuf],
    creates: Option<usize>,
    patience: Duration,
    edit: impl Fn(&[&str]) -> Result<Edit<T>, Error>,
) -> Result<T, Error> {
    let mut locked: Vec<usize> = Vec::new();
    let mut locks = Vec::new();
    // The first pass only finds out which files to lock. Editors do not take the lock, so a file may
    // change between reading and replacing it.
    for _ in 0..=RETRIES {
        let opened = open_all(paths)?;
        let (changes, outcome) = changes(&opened, &edit)?;
        if changes.is_empty() {
            return Ok(outcome);
        }
        if changes.iter().any(|(file, _)| !locked.contains(file)) {
            // All at once and sorted, as in client-go, so that no two processes wait for each other.
            locks.clear();
            locked = changes.iter().map(|(file, _)| *file).collect();
            locked.sort_by_key(|file| &paths[*file]);
            for file in &locked {
                locks.push(lock(&opened[*file], creates == Some(*file), patience)?);
            }
            // The files may have changed before they were locked, so they are read again.
            continue;
        }
        if write_all(&opened, &changes)? {
            return Ok(outcome);
        }
    }
    let path = paths.first().map_or(Path::new(""), PathBuf::as_path);
    let source = io::Error::other("other programs keep writing it");
    Err(failed(path)(source))
}

/// Tries an edit of the files at `paths` without writing, so that its error is known before anything is
/// done that cannot be undone: also that a file cannot be written.
pub(super) fn try_edit_files<T>(
    paths: &[PathBuf],
    edit: impl FnMut(&[&str]) -> Result<Edit<T>, Error>,
) -> Result<T, Error> {
    let opened = open_all(paths)?;
    let (changes, outcome) = changes(&opened, edit)?;
    for (file, _) in changes {
        let file = &opened[file];
        file.check_regular()?;
        may_write(&file.target, file.bytes.is_some()).map_err(|source| Error::NotWritable {
            path: file.path.to_owned(),
            source,
        })?;
    }
    Ok(outcome)
}

fn open_all(paths: &[PathBuf]) -> Result<Vec<OpenedFile<'_>>, Error> {
    let is_one_of_many = paths.len() > 1;
    let files = paths.iter();
    files
        .map(|path| OpenedFile::open(path, is_one_of_many))
        .collect()
}

/// The new content of each file that changes.
type Changes = Vec<(usize, Zeroizing<String>)>;

fn changes<T>(
    opened: &[OpenedFile<'_>],
    mut edit: impl FnMut(&[&str]) -> Result<Edit<T>, Error>,
) -> Result<(Changes, T), Error> {
    let documents: Vec<&str> = opened.iter().map(OpenedFile::document).collect();
    let edited = edit(&documents).map_err(|error| match error {
        Error::NotEditable { path, .. } if has_bare_returns(opened, &path) => Error::NotEditable {
            path,
            by_hand:
                "some of its lines end with a carriage return (CR) alone: save it with line feeds \
                      (LF), and try again"
                    .to_owned(),
        },
        error => error,
    })?;
    let mut changes = Vec::new();
    for (at, text) in edited.texts.into_iter().enumerate() {
        let Some(text) = text else { continue };
        let file = &opened[at];
        if *text != file.document() {
            changes.push((at, file.with_document(&text)?));
        }
    }
    Ok((changes, edited.outcome))
}

/// Whether lines of a file end with a carriage return alone. That is a line break in YAML, but not for
/// the edits of the text.
fn has_bare_returns(opened: &[OpenedFile<'_>], path: &Path) -> bool {
    let mut files = opened.iter().filter(|file| file.path == path);
    files.any(|file| {
        let mut lines = file.document().split("\r\n");
        lines.any(|part| part.contains('\r'))
    })
}

fn lock(file: &OpenedFile<'_>, creates: bool, patience: Duration) -> Result<WriteLock, Error> {
    file.check_regular()?;
    if file.bytes.is_none() {
        if !creates {
            return Err(failed(file.path)(io::ErrorKind::NotFound.into()));
        }
        if let Some(folder) = file.path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(failed(folder))?;
        }
    }
    WriteLock::acquire(file.path, &file.target, patience)
}

/// Writes all changed files. Returns `false` if another program changed one of them meanwhile. Then, and
/// after an error, those that were written are put back.
fn write_all(opened: &[OpenedFile<'_>], changes: &Changes) -> Result<bool, Error> {
    for (done, (at, text)) in changes.iter().enumerate() {
        let file = &opened[*at];
        let written = write_file(&file.target, file.before(), text.as_bytes());
        if matches!(written, Ok(true)) {
            continue;
        }
        for (at, text) in changes.iter().take(done).rev() {
            put_back(&opened[*at], text.as_bytes());
        }
        return written;
    }
    Ok(true)
}

/// Restores a file that was written. An error is only logged: the caller reports the one before it.
fn put_back(file: &OpenedFile<'_>, written: &[u8]) {
    let restored = match file.before() {
        Some(before) => write_file(&file.target, Some(written), before).map(drop),
        None => fs::remove_file(&file.target).map_err(failed(&file.target)),
    };
    if let Err(error) = restored {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot put a kubeconfig back as it was");
    }
}

/// The error that the file of a path is not found, which names the target of a link.
fn target_error(path: &Path, error: io::Error) -> Error {
    match fs::read_link(path) {
        Ok(target) if error.kind() == io::ErrorKind::NotFound => Error::DanglingLink {
            target: path.parent().unwrap_or(Path::new("")).join(target),
            path: path.to_owned(),
        },
        _ => failed(path)(error),
    }
}

/// A file as it was read.
struct OpenedFile<'a> {
    path: &'a Path,
    /// The file that a symbolic link leads to.
    target: PathBuf,
    /// `None` if there is no such file.
    bytes: Option<Zeroizing<Vec<u8>>>,
    text: Zeroizing<String>,
    /// Where the first YAML document of the text ends, the only one that counts.
    end: usize,
}

impl<'a> OpenedFile<'a> {
    /// Reads the file. With `is_one_of_many`, a pipe or device counts as empty: it was read before, and
    /// other files can be changed.
    fn open(path: &'a Path, is_one_of_many: bool) -> Result<Self, Error> {
        let is_missing =
            fs::symlink_metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
        let is_dangling = || fs::metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
        let is_special = || fs::metadata(path).is_ok_and(|found| !found.is_file());
        if is_missing || is_one_of_many && (is_special() || is_dangling()) {
            return Ok(Self {
                path,
                target: path.to_owned(),
                bytes: None,
                text: Zeroizing::default(),
                end: 0,
            });
        }
        let target = fs::canonicalize(path).map_err(|error| target_error(path, error))?;
        let bytes = read_bounded("kubeconfig", &target, LIMIT)?;
        let text = text::decode(&bytes).map_err(|problem| Error::Syntax {
            path: path.to_owned(),
            position: None,
            problem,
        })?;
        Ok(Self {
            path,
            target,
            end: survey(&text).end,
            bytes: Some(bytes),
            text,
        })
    }

    /// Refuses to replace a pipe or device, such as `/dev/null`, or a link that leads nowhere.
    fn check_regular(&self) -> Result<(), Error> {
        match fs::metadata(&self.target) {
            Err(error) if self.target.is_symlink() => Err(target_error(self.path, error)),
            Ok(found) if !found.is_file() => Err(Error::NotReadable {
                what: "kubeconfig".to_owned(),
                path: self.path.to_owned(),
                problem:
                    "it is not a regular file, so nothing can be written to it; name a file by \
                          --kubeconfig"
                        .to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn before(&self) -> Option<&[u8]> {
        self.bytes.as_deref().map(Vec::as_slice)
    }

    fn document(&self) -> &str {
        &self.text[..self.end]
    }

    /// The whole text with another first document. Everything behind that document stays as it is.
    /// UTF-16 becomes UTF-8.
    fn with_document(&self, document: &str) -> Result<Zeroizing<String>, Error> {
        let rest = &self.text[self.end..];
        let all = Zeroizing::new([document, rest].concat());
        // The document may have gained only blank lines and comments from the text behind it.
        let gained = all.get(document.len()..survey(&all).end);
        let mut gained = gained.map(str::lines).into_iter().flatten().map(str::trim);
        let is_separate = survey(&all).end >= document.len()
            && gained.all(|line| line.is_empty() || line.starts_with('#'));
        if !rest.is_empty() && !is_separate {
            return Err(Error::NotEditable {
                path: self.path.to_owned(),
                by_hand: "leave only its first YAML document in it, and try again".to_owned(),
            });
        }
        let mark = text::utf8_mark(self.before().unwrap_or_default());
        Ok(Zeroizing::new([mark, all.as_str()].concat()))
    }
}
