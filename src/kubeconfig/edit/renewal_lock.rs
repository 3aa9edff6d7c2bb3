//! [`RenewalLock`]: the lock that kubegates hold among themselves while they renew what a file holds.

use std::{fs, path::Path, time::Duration};

use super::file_lock::{FileLock, failed, is_of_folder, sibling};
use crate::kubeconfig::Error;

/// How long to wait for another kubegate, which holds its lock during calls to the issuer.
const PATIENCE: Duration = Duration::from_secs(90);

/// An exclusive lock for renewing what a file holds. It is released when it is dropped, or when the
/// process ends.
#[derive(Debug)]
pub struct RenewalLock(#[expect(dead_code, reason = "held for its lock")] FileLock);

impl RenewalLock {
    /// Waits for the lock of the file at `path`, which may be a symlink: a lock file beside it or, in a
    /// folder that takes none, the file itself. Blocks for at most 90 s.
    ///
    /// # Errors
    /// A lock file that cannot be created and a file that cannot be written, or a lock that other
    /// processes hold all that time.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let target = fs::canonicalize(path).map_err(failed(path))?;
        match Self::acquire(&sibling(&target, ".kubegate.lock")) {
            Err(error) if is_of_folder(&error) => {
                FileLock::acquire_for_renewal(&target, PATIENCE).map(Self)
            }
            other => other,
        }
    }

    /// Waits for the lock on the lock file `lock`, which is created where it is missing. Blocks for
    /// at most 90 s.
    ///
    /// # Errors
    /// A lock file that cannot be created, or that other processes hold all that time.
    pub fn acquire(lock: &Path) -> Result<Self, Error> {
        FileLock::acquire(lock, PATIENCE).map(Self)
    }
}
