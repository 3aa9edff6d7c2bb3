//! Reads a settings file, if no other user can have written it.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use rustix::process::geteuid;
use zeroize::Zeroizing;

use super::{error::FileError, setting::Place};
use crate::kubeconfig::{foreign_writers, read_bounded, text};

/// The most bytes that a settings file may have.
const LIMIT: u64 = 1 << 20;

/// Returns the text of a file.
pub(super) fn read(file: &Path) -> Result<Zeroizing<String>, FileError> {
    let bytes = read_bounded("settings file", file, LIMIT)?;
    if let Some(writers) = foreign_writers(file) {
        let problem = format!(
            "{writers}, who could choose which programs run and who may use your credential; take away \
             their access (chown, chmod go-w)"
        );
        return Err(refused(file, problem));
    }
    text::decode(&bytes).map_err(|problem| refused(file, problem.to_owned()))
}

/// Refuses a file with secrets that other users may read. `secret` is where the first one stands. Where
/// root owns the file, as in a volume of a pod, its group may read it.
pub(super) fn require_private(file: &Path, secret: &Place) -> Result<(), FileError> {
    let Ok(metadata) = file.metadata() else {
        return Ok(());
    };
    let is_of_root = metadata.uid() == 0 && !geteuid().is_root();
    let others = if is_of_root { 0o007 } else { 0o077 };
    if !metadata.is_file() || metadata.mode() & others == 0 {
        return Ok(());
    }
    let line = secret.line;
    let problem = format!(
        "has a secret in line {line}, and other users may read it; run chmod 600 on it, or put the secret \
         into a file of its own"
    );
    Err(refused(file, problem))
}

fn refused(file: &Path, problem: String) -> FileError {
    FileError::Refused {
        file: file.to_owned(),
        problem,
    }
}
