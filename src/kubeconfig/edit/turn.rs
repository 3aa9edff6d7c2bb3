//! The lock that kubegates hold among themselves while they renew what a file holds.

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

use super::{LOCK_RETRY, beside, failed};
use crate::kubeconfig::Error;

/// How long another kubegate is waited for; it holds its lock over calls to the issuer.
const PATIENCE: Duration = Duration::from_secs(90);

/// This process's turn to renew what a file holds. Ends when dropped, or with the process.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "held for its lock")] File);

/// Waits for the turn among kubegates on the file at `path`. Blocks, for 90 s at most.
///
/// # Errors
/// Where the lock file cannot be made, or others hold it all that time.
pub fn turn(path: &Path) -> Result<Turn, Error> {
    let target = fs::canonicalize(path).map_err(failed(path))?;
    Turn::take(&beside(&target, ".kubegate.lock"))
}

impl Turn {
    /// Waits for the turn on the lock file `lock`, which is made where it is missing. Blocks,
    /// for 90 s at most.
    ///
    /// # Errors
    /// Where the lock file cannot be made, or others hold it all that time.
    pub fn take(lock: &Path) -> Result<Self, Error> {
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
                Err(Errno::WOULDBLOCK) if started.elapsed() < PATIENCE => sleep(LOCK_RETRY),
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
