//! [`Source`]: the text of a settings file, for places and paths in it.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use toml::Spanned;

use super::{error::FileError, setting::Place};

/// The text of a file.
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
        Place {
            file: self.file.to_owned(),
            line: before.split(|byte| *byte == b'\n').count(),
        }
    }

    pub(super) fn error(&self, span: Range<usize>, problem: String) -> FileError {
        FileError::Line {
            place: self.place(span),
            problem,
        }
    }

    /// Returns a path that the file names: relative ones are relative to the folder of the file, and `~/`
    /// is the home folder. An empty path and `-` have meanings of their own.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        if matches!(path, "" | "-") {
            return path.into();
        }
        if let Some(below) = path.strip_prefix("~/")
            && let Some(home) = std::env::var_os("HOME")
        {
            return Path::new(&home).join(below);
        }
        self.file.parent().unwrap_or(Path::new("/")).join(path)
    }
}

/// Returns the text of a key.
pub(super) fn name_of(name: &Spanned<impl AsRef<str>>) -> String {
    name.get_ref().as_ref().to_owned()
}
