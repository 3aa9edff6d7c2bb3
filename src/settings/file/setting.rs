//! [`Setting`]: what a settings file says about one flag, and where.

use std::{ffi::OsString, fmt, path::PathBuf};

use http::HeaderName;

use crate::settings::upstream_header::{HeaderSource, UpstreamHeader};

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

/// What is set for one context.
#[derive(Clone, Debug, Default)]
pub struct ContextSettings {
    /// Headers for requests to its server.
    pub upstream_headers: Vec<UpstreamHeader>,
    /// Where the first secret in words stands.
    pub secret: Option<Place>,
}

impl ContextSettings {
    /// Returns the first header whose value is in words.
    pub(super) fn words(&self) -> Option<&HeaderName> {
        let mut headers = self.upstream_headers.iter();
        let found = headers.find(|header| matches!(header.value, HeaderSource::Words(_)));
        found.map(|header| &header.name)
    }

    /// Adds what a later file says, which replaces headers of the same names.
    pub(super) fn merge(&mut self, later: Self) {
        for header in later.upstream_headers {
            self.upstream_headers.retain(|one| one.name != header.name);
            self.upstream_headers.push(header);
        }
    }
}
