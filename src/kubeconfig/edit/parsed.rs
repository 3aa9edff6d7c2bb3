//! [`Parsed`]: the content of a kubeconfig as JSON values.

use std::path::Path;

use serde_json::Value;

use crate::kubeconfig::{
    Error,
    fields::wipe,
    syntax::{parse_yaml, survey},
};

/// A parsed file, whose text is wiped on drop.
pub(super) struct Parsed(pub(super) Value);

impl Parsed {
    /// Parses the first document of `text`.
    pub(super) fn read(path: &Path, text: &str) -> Result<Self, Error> {
        Ok(Self(parse_yaml(path, text)?))
    }

    /// Whether `text` is one document with this content.
    pub(super) fn is_content_of(&self, path: &Path, text: &str) -> bool {
        Self::read(path, text).is_ok_and(|parsed| parsed.0 == self.0) && survey(text).rest.is_none()
    }
}

impl Drop for Parsed {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}
