//! [`FileLock`]: a lock (`flock`) that kubegates hold among themselves, on a lock file or on a file
//! itself.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

use crate::kubeconfig::Error;

/// How long to wait between two tries for a lock.
const RETRY: Duration = Duration::from_millis(20);

/// Device and inode of a file.
type FileId = (u64, u64);

/// The files that this process holds a lock on, for a renewal of what they hold.
static RENEWED: Mutex<Vec<FileId>> = Mutex::new(Vec::new());
/// The files that threads of this process write under the file's own lock.
static WRITTEN: Mutex<Vec<FileId>> = Mutex::new(Vec::new());

/// Whether no lock is waited for.
static GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// While this exists, no thread of this process waits for a lock on a file: one that is held is an error.
pub struct GivenUpWaiting(());

/// Ends all waiting for locks on files, after a signal that ends this process.
#[must_use]
pub fn give_up_waiting() -> GivenUpWaiting {
    GIVEN_UP.store(true, Ordering::Relaxed);
    GivenUpWaiting(())
}

impl Drop for GivenUpWaiting {
    fn drop(&mut self) {
        GIVEN_UP.store(false, Ordering::Relaxed);
    }
}

/// Waits before another try for `lock`, the first of which was at `started`. `holder` names who may hold
/// it.
pub(super) fn wait_for(
    lock: &Path,
    holder: &'static str,
    started: Instant,
    patience: Duration,
) -> Result<(), Error> {
    let lock = || lock.to_owned();
    if GIVEN_UP.load(Ordering::Relaxed) {
        return Err(Error::Interrupted { lock: lock() });
    }
    if started.elapsed() >= patience {
        return Err(Error::Locked {
            lock: lock(),
            holder,
        });
    }
    sleep(RETRY);
    Ok(())
}

/// An exclusive lock. It is released when it is dropped, or when the process ends.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
    /// The file, if the lock is for a renewal of what it holds.
    renewed: Option<FileId>,
}

impl FileLock {
    /// Waits for the lock on the lock file `lock`, which is created where it is missing.
    pub(super) fn acquire(lock: &Path, patience: Duration) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(lock)
            .map_err(failed(lock))?;
        wait(&file, lock, patience)?;
        Ok(Self {
            _file: file,
            renewed: None,
        })
    }

    /// Waits for the lock on a file itself, for a renewal of what it holds.
    pub(super) fn acquire_for_renewal(target: &Path, patience: Duration) -> Result<Self, Error> {
        let (file, id) = open(target)?;
        wait(&file, target, patience)?;
        ids(&RENEWED).push(id);
        Ok(Self {
            _file: file,
            renewed: Some(id),
        })
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if let Some(id) = self.renewed {
            remove(&RENEWED, id);
        }
    }
}

/// The lock on a file itself while it is written, against other threads and other kubegates. One thread
/// may hold those of several files.
pub(super) struct WriteTurn {
    /// `None` where this process has the lock for a renewal.
    _file: Option<File>,
    _written: Written,
}

/// A file that a thread writes.
struct Written(FileId);

impl WriteTurn {
    /// Waits for the lock.
    pub(super) fn acquire(target: &Path, patience: Duration) -> Result<Self, Error> {
        let (file, id) = open(target)?;
        wait_by(target, patience, || {
            let mut written = ids(&WRITTEN);
            if written.contains(&id) {
                return Err(Errno::WOULDBLOCK);
            }
            written.push(id);
            Ok(())
        })?;
        let written = Written(id);
        let is_ours = ids(&RENEWED).contains(&id);
        if !is_ours {
            wait(&file, target, patience)?;
        }
        Ok(Self {
            _file: (!is_ours).then_some(file),
            _written: written,
        })
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        remove(&WRITTEN, self.0);
    }
}

fn ids(files: &'static Mutex<Vec<FileId>>) -> MutexGuard<'static, Vec<FileId>> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove(files: &'static Mutex<Vec<FileId>>, id: FileId) {
    let mut files = ids(files);
    if let Some(at) = files.iter().position(|one| *one == id) {
        files.swap_remove(at);
    }
}

fn open(target: &Path) -> Result<(File, FileId), Error> {
    // NFS grants an exclusive lock only on a file that is open for writing.
    let file = OpenOptions::new().read(true).write(true).open(target);
    let file = file.map_err(failed(target))?;
    let found = file.metadata().map_err(failed(target))?;
    Ok((file, (found.dev(), found.ino())))
}

fn wait(file: &File, lock: &Path, patience: Duration) -> Result<(), Error> {
    wait_by(lock, patience, || {
        flock(file, FlockOperation::NonBlockingLockExclusive)
    })
}

fn wait_by(
    lock: &Path,
    patience: Duration,
    try_lock: impl Fn() -> Result<(), Errno>,
) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        match try_lock() {
            Ok(()) => return Ok(()),
            Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {
                warn_without_locks(lock);
                return Ok(());
            }
            Err(Errno::WOULDBLOCK) => wait_for(lock, "another kubegate", started, patience)?,
            Err(errno) => return Err(failed(lock)(errno.into())),
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

/// Whether an error says that nothing can be created in a folder.
pub(super) fn is_of_folder(error: &Error) -> bool {
    let Error::Write { source, .. } = error else {
        return false;
    };
    matches!(
        source.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_system_without_locks_is_no_failure() {
        let lock = Path::new("a.lock");
        for errno in [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS] {
            let held = wait_by(lock, Duration::ZERO, || Err(errno));
            assert!(held.is_ok(), "{errno:?}");
        }
        let failed = wait_by(lock, Duration::ZERO, || Err(Errno::IO)).unwrap_err();
        assert!(failed.to_string().contains("a.lock"), "{failed}");
    }

    #[test]
    fn one_thread_holds_the_locks_of_two_files() {
        let files = [(), ()].map(|()| tempfile::NamedTempFile::new().unwrap());
        let turn = |file: usize| WriteTurn::acquire(files[file].path(), Duration::ZERO);
        let first = turn(0).unwrap();
        let second = turn(1).unwrap();
        assert!(turn(0).is_err(), "held by this thread");
        drop((first, second));
        assert!(turn(0).is_ok());
    }

    #[test]
    fn a_file_that_this_process_renews_is_written_by_it_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = || WriteTurn::acquire(file.path(), Duration::ZERO);
        let renewal = FileLock::acquire_for_renewal(file.path(), Duration::ZERO).unwrap();
        drop(write().unwrap());
        let other = File::open(file.path()).unwrap();
        let try_lock = || flock(&other, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(try_lock(), Err(Errno::WOULDBLOCK));
        drop(renewal);
        try_lock().unwrap();
        let refused = write().map(drop).unwrap_err().to_string();
        assert!(refused.contains("another kubegate"), "{refused}");
    }
}
