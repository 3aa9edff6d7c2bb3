//! [`Listener`]: TCP or a unix socket.

use std::{
    fmt, fs, io,
    net::{self, SocketAddr},
    os::{
        fd::OwnedFd,
        unix::{
            self,
            fs::{FileTypeExt as _, MetadataExt as _},
        },
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    io::Errno,
};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream};

use crate::proxy::Peer;

/// Connections that may wait to be accepted; the system may allow fewer (`somaxconn`). A client
/// that finds no place waits a second before it tries again.
const BACKLOG: u32 = 4096;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `--address` and `--port`; port 0 is any free one.
    Tcp(SocketAddr),
    /// `--unix-socket`
    Unix(PathBuf),
}

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be bound.
    #[error("cannot listen on {address}{hint}")]
    Bind {
        /// The address or path.
        address: String,
        /// What to do about it, where we know.
        hint: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Something that is not a socket stands at the path.
    #[error("--unix-socket {}: a file that is not a socket is there; choose another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Somebody else listens at the path.
    #[error("--unix-socket {}: another process serves there; end it, or choose another path", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// A socket stands at the path, and whether somebody listens there cannot be found out.
    #[error(
        "--unix-socket {}: a socket is there that cannot be asked whether a process serves it; \
         remove it, or choose another path",
        path.display()
    )]
    Unclear {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// An open door. A unix socket's file is removed when it closes.
#[derive(Debug)]
pub enum Listener {
    /// TCP
    Tcp(TcpListener),
    /// A unix socket. Its file goes first: as long as the socket is open, no other can be taken
    /// for it.
    Unix(SocketFile, UnixListener),
}

/// An accepted connection, on its way to the runtime that will serve it.
#[derive(Debug)]
pub enum Accepted {
    /// TCP
    Tcp(net::TcpStream),
    /// A unix socket.
    Unix(unix::net::UnixStream),
}

impl Listener {
    /// Opens the door.
    ///
    /// # Errors
    /// The address is taken, not ours, or not permitted.
    pub async fn bind(address: &Address) -> Result<Self, Error> {
        match address {
            Address::Tcp(address) => {
                bind_tcp(*address)
                    .map(Self::Tcp)
                    .map_err(|source| Error::Bind {
                        address: address.to_string(),
                        hint: match source.kind() {
                            io::ErrorKind::AddrInUse => " (is another proxy running? try --port)",
                            io::ErrorKind::PermissionDenied => " (try a --port above 1023)",
                            _ => "",
                        },
                        source,
                    })
            }
            Address::Unix(path) => bind_unix(path).await,
        }
    }

    /// The TCP address that was bound, with its real port.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// The next connection and who is at its other end.
    ///
    /// # Errors
    /// What the system says.
    pub async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Events are small and must not wait for one another (RFC 896). This fails only
                // on a connection that is already gone, which serving it will find out.
                let _ = stream.set_nodelay(true);
                Ok((
                    Accepted::Tcp(stream.into_std()?),
                    Peer::new(Some(peer.ip())),
                ))
            }
            Self::Unix(_, listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Accepted::Unix(stream.into_std()?), Peer::new(None)))
            }
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("an unknown address"),
            },
            Self::Unix(file, _) => file.path.display().fmt(f),
        }
    }
}

/// The socket's place in the file system.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// What tells it from a file that took its place.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: identity(path),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _turn = turn(&self.path);
        if self.identity.is_none() || identity(&self.path) != self.identity {
            // Not ours any more.
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

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of a kubegate before us that are still closing keep nobody out. A listener does.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Made under umask 0077, as kubectl does. A socket that a process left behind is replaced,
/// and nothing else.
async fn bind_unix(path: &Path) -> Result<Listener, Error> {
    let _turn = turn(path);
    clear(path).await?;
    let before = rustix::process::umask(Mode::from_raw_mode(0o077));
    let bound = UnixSocket::new_stream().and_then(|socket| {
        socket.bind(path)?;
        socket.listen(BACKLOG)
    });
    rustix::process::umask(before);
    bound
        .map(|listener| Listener::Unix(SocketFile::at(path), listener))
        .map_err(|source| unix_error(path, source))
}

/// Makes room for a socket, if nobody serves there.
async fn clear(path: &Path) -> Result<(), Error> {
    let owned = || path.to_owned();
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(Error::NotASocket { path: owned() }),
        // Whatever it is, binding will meet it too.
        Err(_) => return Ok(()),
    }
    let Err(source) = UnixStream::connect(path).await else {
        return Err(Error::InUse { path: owned() });
    };
    match source.kind() {
        // Nobody listens.
        io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| unix_error(path, source))
        }
        io::ErrorKind::NotFound => Ok(()),
        // Somebody does, and too many wait there already.
        io::ErrorKind::WouldBlock => Err(Error::InUse { path: owned() }),
        _ => Err(Error::Unclear {
            path: owned(),
            source,
        }),
    }
}

/// How long another kubegate's turn is waited for.
const TURN: Duration = Duration::from_secs(2);

/// A lock on the folder of `path`, held while its socket is looked at and replaced or removed: else
/// of two that begin at once, the second could take the first one's new socket for the old one.
/// `None` where the folder cannot be locked, or somebody holds it too long: it may be anybody's.
fn turn(path: &Path) -> Option<OwnedFd> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, how, Mode::empty()).ok()?;
    let until = Instant::now() + TURN;
    loop {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(folder),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < until => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(_) => return None,
        }
    }
}

fn unix_error(path: &Path, source: io::Error) -> Error {
    Error::Bind {
        address: path.display().to_string(),
        hint: "",
        source,
    }
}
