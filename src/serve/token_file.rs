//! [`TokenFile`]: reads the file of `--require-token-file`, and reads it again when it changes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::file_watcher::FileWatcher;
use crate::{
    credential,
    error::with_causes,
    kubeconfig::{foreign_readers, foreign_writers, warn_once},
    proxy::guard::{BadLine, LocalTokens},
};

/// How often the file is checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("--require-token-file")]
    Read(#[source] credential::Error),
    /// Another user could add tokens to it.
    #[error(
        "--require-token-file {}: {writers}, who could let anybody in; take away their access (chown, chmod go-w)",
        path.display()
    )]
    Writers {
        /// The file.
        path: PathBuf,
        /// Who may write it.
        writers: String,
    },
    /// A line is malformed.
    #[error("--require-token-file {}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, without its text.
        source: BadLine,
    },
    /// No line has a token.
    #[error("--require-token-file {}: has no token, so no client could get in", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The file, and the tokens that were last read from it.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    tokens: Arc<ArcSwap<LocalTokens>>,
}

impl TokenFile {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, may be written by another user, has a malformed line, or no token.
    pub fn read(path: &Path) -> Result<Self, TokenFileError> {
        let tokens = read(path)?;
        let path = path.to_owned();
        if tokens.is_empty() {
            return Err(TokenFileError::Empty { path });
        }
        let tokens = Arc::new(ArcSwap::from_pointee(tokens));
        Ok(Self { path, tokens })
    }

    /// Returns the tokens, which [`TokenFile::watch`] keeps up to date.
    #[must_use]
    pub fn tokens(&self) -> Arc<ArcSwap<LocalTokens>> {
        Arc::clone(&self.tokens)
    }

    /// Reads the file again whenever it has changed, until the runtime ends. A file that cannot be used
    /// changes nothing; one that has become empty lets nobody in.
    pub async fn watch(self) {
        let mut watcher = FileWatcher::default();
        watcher.watch([self.path.clone()]);
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Why the file was last refused. It may become good without a change of its content (chmod).
        let mut refused: Option<String> = None;
        loop {
            checks.tick().await;
            let path = self.path.clone();
            let tries_again = refused.is_some();
            let checking = spawn_blocking(move || {
                let changed = watcher.check().any || tries_again;
                let tokens = changed.then(|| read(&path));
                (watcher, tokens)
            });
            // Fails only while the runtime shuts down.
            let Ok((checked, tokens)) = checking.await else {
                return;
            };
            watcher = checked;
            let before = tokens.as_ref().and_then(|_| refused.take());
            match tokens {
                Some(Ok(tokens)) if tokens != **self.tokens.load() => {
                    tracing::info!("reloaded --require-token-file; tokens: {}", tokens.len());
                    self.tokens.store(Arc::new(tokens));
                }
                Some(Err(error)) => {
                    let why = with_causes(&error);
                    if before.as_ref() != Some(&why) {
                        tracing::warn!("not reloaded, the last good tokens stay in use: {why}");
                    }
                    refused = Some(why);
                }
                Some(Ok(_)) | None => {}
            }
        }
    }
}

fn read(path: &Path) -> Result<LocalTokens, TokenFileError> {
    let text = credential::secret_file::read_lines("token", path).map_err(TokenFileError::Read)?;
    if let Some(writers) = foreign_writers(path) {
        let path = path.to_owned();
        return Err(TokenFileError::Writers { path, writers });
    }
    let tokens = LocalTokens::parse(&text).map_err(|source| TokenFileError::Line {
        path: path.to_owned(),
        source,
    })?;
    if tokens.are_in_words()
        && let Some(readers) = foreign_readers(path)
    {
        warn_once(&format!(
            "--require-token-file {}: has tokens, and {readers}; run chmod 600 on it, or write their hashes",
            path.display()
        ));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_file_that_every_user_may_write_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "alice 0123456789abcdef\n").unwrap();
        for (mode, is_accepted) in [(0o600, true), (0o644, true), (0o666, false)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            match TokenFile::read(file.path()) {
                Ok(_) => assert!(is_accepted, "{mode:o}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(!is_accepted && error.contains("every user"), "{error}");
                }
            }
        }
    }
}
