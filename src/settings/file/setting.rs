//! [`Setting`]: what a settings file says about one flag, and where.

use std::{ffi::OsString, fmt, path::PathBuf};

/// A key of a settings file that is a flag too.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The long name of the flag.
    pub key: String,
    /// The arguments that mean the same on a command line. They may be secrets.
    pub args: Vec<OsString>,
    /// Where it stands.
    pub place: Place,
}

/// Without the arguments, which may be secrets.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({} at {})", self.key, self.place)
    }
}

/// A place in a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}
