//! Binding a unix socket, and its file.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    io::Errno,
};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::{listen_error::Error, listening_process::ListeningProcess, socket_folder};

/// The longest path of a socket in bytes: `sun_path` ends in a NUL (unix(7)).
const MAX_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// How long the lock of another kubegate is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The file of a bound socket, which is removed on drop.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode, which tell the file from a later one at the same path.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: identity(path),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _lock = lock_folder(&self.path);
        if self.identity.is_none() || identity(&self.path) != self.identity {
            // Another process has replaced it.
            return;
        }
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the socket");
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Binds a socket at `path` that its owner alone can open. Replaces a socket that no process listens at,
/// and nothing else. With `is_shared`, its folder may be open to other users.
pub(super) async fn bind(
    path: &Path,
    backlog: u32,
    is_shared: bool,
) -> Result<(SocketFile, UnixListener), Error> {
    let length = path.as_os_str().len();
    if length > MAX_PATH {
        return Err(Error::TooLong {
            path: path.to_owned(),
            length,
            limit: MAX_PATH,
        });
    }
    socket_folder::check(path, is_shared)?;
    let _lock = lock_folder(path);
    remove_stale(path).await?;
    // The socket has its mode from the beginning.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = UnixSocket::new_stream().and_then(|socket| {
        socket.bind(path)?;
        socket.listen(backlog)
    });
    rustix::process::umask(before);
    let listener = bound.map_err(|error| cannot_bind(path, error))?;
    Ok((SocketFile::new(path), listener))
}

fn cannot_bind(path: &Path, source: io::Error) -> Error {
    Error::Bind {
        address: path.display().to_string(),
        hint: String::new(),
        source,
    }
}

/// Removes the socket at `path` if no process listens there.
async fn remove_stale(path: &Path) -> Result<(), Error> {
    let path_owned = || path.to_owned();
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(Error::NotASocket { path: path_owned() }),
        // Binding meets the same error, if it is one.
        Err(_) => return Ok(()),
    }
    let in_use = |process| Error::InUse {
        path: path_owned(),
        process,
    };
    let error = match UnixStream::connect(path).await {
        Ok(stream) => {
            // The process that began to listen.
            let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
            let pid = pid.and_then(|pid| u32::try_from(pid).ok());
            return Err(in_use(pid.map(ListeningProcess::of_pid)));
        }
        Err(error) => error,
    };
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| cannot_bind(path, error))
        }
        io::ErrorKind::NotFound => Ok(()),
        // A process listens, and its backlog is full.
        io::ErrorKind::WouldBlock => Err(in_use(None)),
        _ => Err(Error::Unclear {
            path: path_owned(),
            source: error,
        }),
    }
}

/// Locks the folder of `path` while its socket is examined and replaced or removed. Of two processes
/// that start at once, the second could otherwise take the new socket of the first for a stale one.
/// Returns `None` if the folder cannot be locked in time: other programs may lock it too.
fn lock_folder(path: &Path) -> Option<OwnedFd> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty()).ok()?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(folder),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(_) => return None,
        }
    }
}
