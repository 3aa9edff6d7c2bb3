//! [`Listener`]: TCP or a unix socket.

use std::{
    fmt, io,
    net::{self, SocketAddr},
    os::unix::{self, fs::FileTypeExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::Mode;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

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
}

/// An open door. A unix socket's file is removed when it closes.
#[derive(Debug)]
pub enum Listener {
    /// TCP
    Tcp(TcpListener),
    /// A unix socket.
    Unix(UnixListener, SocketFile),
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
    pub fn bind(address: &Address) -> Result<Self, Error> {
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
            Address::Unix(path) => bind_unix(path),
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
            Self::Unix(listener, _) => {
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
            Self::Unix(_, file) => file.0.display().fmt(f),
        }
    }
}

/// The socket's place in the file system.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.0.display(), "cannot remove the socket");
        }
    }
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

/// As kubectl: made under umask 0077; a socket already there is replaced, another file is not.
fn bind_unix(path: &Path) -> Result<Listener, Error> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            std::fs::remove_file(path).map_err(|source| unix_error(path, source))?;
        }
        Ok(_) => {
            return Err(Error::NotASocket {
                path: path.to_owned(),
            });
        }
        Err(_) => {}
    }
    let before = rustix::process::umask(Mode::from_raw_mode(0o077));
    let bound = UnixSocket::new_stream().and_then(|socket| {
        socket.bind(path)?;
        socket.listen(BACKLOG)
    });
    rustix::process::umask(before);
    bound
        .map(|listener| Listener::Unix(listener, SocketFile(path.to_owned())))
        .map_err(|source| unix_error(path, source))
}

fn unix_error(path: &Path, source: io::Error) -> Error {
    Error::Bind {
        address: path.display().to_string(),
        hint: "",
        source,
    }
}
