//! [`FileError`]: why the settings files cannot be used.

use std::path::PathBuf;

use super::setting::Place;
use crate::kubeconfig;

/// Why the settings files cannot be used. No variant holds a value of a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] kubeconfig::Error),
    /// The folder of further files cannot be listed.
    #[error("settings folder {}", folder.display())]
    List {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no text, or others have access to it.
    #[error("settings file {} {problem}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A line is wrong.
    #[error("settings file {place}: {problem}")]
    Line {
        /// Where.
        place: Place,
        /// What is wrong, and what to write instead.
        problem: String,
    },
}
