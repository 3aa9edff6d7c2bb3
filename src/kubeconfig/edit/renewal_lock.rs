//! [`RenewalLock`]: the lock that kubegates hold among themselves while they renew what a file holds.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

use super::write_lock::{RETRY, failed, sibling};
use crate::kubeconfig::Error;

/// How long to wait for another kubegate, which holds its lock during calls to the issuer.
const PATIENCE: Duration = Duration::from_secs(90);

/// An exclusive lock for renewing what a file holds. It is released when it is dropped, or when the
/// process ends.
#[derive(Debug)]
pub struct RenewalLock(#[expect(dead_code, reason = "held for its lock")] File);

impl RenewalLock {
    /// Waits for the lock of the file at `path`, which may be a symlink. Blocks for at most 90 s.
    ///
    /// # Errors
    /// A lock file that cannot be created, or that other processes hold all that time.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let target = fs::canonicalize(path).map_err(failed(path))?;
        Self::acquire(&sibling(&target, ".kubegate.lock"))
    }

    /// Waits for the lock on the lock file `lock`, which is created where it is missing. Blocks for
    /// at most 90 s.
    ///
    /// # Errors
    /// A lock file that cannot be created, or that other processes hold all that time.
    pub fn acquire(lock: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(lock)
            .map_err(failed(lock))?;
        let started = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::WOULDBLOCK) if started.elapsed() < PATIENCE => sleep(RETRY),
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::Locked {
                        lock: lock.to_owned(),
                        holder: "another kubegate",
                    });
                }
                Err(errno) => return Err(failed(lock)(errno.into())),
            }
        }
    }
}
