//! [`WriteLock`]: the lock that kubectl holds while it writes a kubeconfig.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::file_lock::{WriteTurn, failed, is_of_folder, sibling, wait_for};
use crate::kubeconfig::Error;

/// How long to wait for kubectl's lock, which it holds only during a write.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Who may hold it, and what to do.
const HOLDER: &str = "kubectl or another program; if none is running, remove the lock file";

/// kubectl's lock file `FILE.lock`, which is removed when this is dropped; or the lock of a file in a
/// folder that takes no lock file.
pub(super) enum WriteLock {
    /// The lock file.
    Beside(PathBuf),
    /// A lock on the file itself, which is released when this is dropped.
    Itself(#[expect(dead_code, reason = "held for its lock")] WriteTurn),
}

impl WriteLock {
    /// Creates the lock file of `path`, and waits for at most `patience` if it exists. `target` is the
    /// file itself.
    pub(super) fn acquire(path: &Path, target: &Path, patience: Duration) -> Result<Self, Error> {
        let lock = sibling(path, ".lock");
        let started = Instant::now();
        loop {
            let created = OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(&lock);
            let error = match created {
                Ok(_) => return Ok(Self::Beside(lock)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    wait_for(&lock, HOLDER, started, patience)?;
                    continue;
                }
                Err(error) => failed(&lock)(error),
            };
            if !(is_of_folder(&error) && target.exists()) {
                return Err(error);
            }
            let lock = WriteTurn::acquire(target, patience)?;
            return Ok(Self::Itself(lock));
        }
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        let Self::Beside(lock) = self else { return };
        if let Err(error) = fs::remove_file(&*lock) {
            tracing::warn!(%error, lock = %lock.display(), "cannot remove the lock file");
        }
    }
}
