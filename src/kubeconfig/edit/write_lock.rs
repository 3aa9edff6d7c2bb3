//! [`WriteLock`]: the lock that kubectl holds while it writes a kubeconfig.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::kubeconfig::Error;

/// How long to wait for kubectl's lock, which it holds only during a write.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait between two tries for a lock.
pub(super) const RETRY: Duration = Duration::from_millis(20);

/// kubectl's lock file `FILE.lock`. It is removed when this is dropped.
pub(super) struct WriteLock(PathBuf);

impl WriteLock {
    /// Creates the lock file, and waits for at most `patience` if it exists.
    pub(super) fn acquire(path: &Path, patience: Duration) -> Result<Self, Error> {
        let lock = sibling(path, ".lock");
        let started = Instant::now();
        loop {
            let created = OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(0o600)
                .open(&lock);
            match created {
                Ok(_) => return Ok(Self(lock)),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(&lock)(error));
                }
                Err(_) if started.elapsed() < patience => sleep(RETRY),
                Err(_) => {
                    return Err(Error::Locked {
                        lock,
                        holder: "kubectl or another program; if none is running, remove the lock file",
                    });
                }
            }
        }
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, lock = %self.0.display(), "cannot remove the lock file");
        }
    }
}

/// The path with `suffix` appended to its file name.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Maps an I/O error to one that names the file at `path`.
pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write {
        path: path.clone(),
        source,
    }
}
