//! [`RenewalLock`]: the lock that kubegates hold among themselves while they renew what a file holds.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Once,
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
    /// at most 90 s. On a file system without locks, such as NFS without a lock daemon, it is not
    /// waited for, with a warning.
    ///
    /// # Errors
    /// A lock file that cannot be created, or that other processes hold all that time.
    pub fn acquire(lock: &Path) -> Result<Self, Error> {
        Self::acquire_by(lock, |file| {
            flock(file, FlockOperation::NonBlockingLockExclusive)
        })
    }

    fn acquire_by(
        lock: &Path,
        try_lock: impl Fn(&File) -> Result<(), Errno>,
    ) -> Result<Self, Error> {
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
            match try_lock(&file) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    warn_without_locks(lock);
                    return Ok(Self(file));
                }
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

/// Warns once in this process.
fn warn_without_locks(lock: &Path) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            file = %lock.display(),
            "its file system has no locks, so two kubegates may use one refresh token at the same \
             time, which ends some sessions; keep it on another file system (XDG_STATE_HOME for \
             logins)"
        );
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_system_without_locks_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("a.lock");
        for errno in [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS] {
            let held = RenewalLock::acquire_by(&lock, |_| Err(errno));
            assert!(held.is_ok(), "{errno:?}");
        }
        let failed = RenewalLock::acquire_by(&lock, |_| Err(Errno::IO)).unwrap_err();
        assert!(failed.to_string().contains("a.lock"), "{failed}");
        assert!(RenewalLock::acquire(&lock).is_ok());
    }
}
