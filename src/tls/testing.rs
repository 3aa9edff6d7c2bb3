//! The files in `certs/`, for the tests of this module.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

/// Returns the bytes of one file.
pub(super) fn file(name: &str) -> Vec<u8> {
    let certs = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs");
    fs::read(certs.join(name)).unwrap()
}
