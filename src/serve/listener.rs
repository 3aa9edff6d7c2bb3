//! [`Listener`]: accepts connections over TCP or a unix socket.

use std::{
    fmt, io,
    net::{self, SocketAddr},
    os::unix,
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::unix_socket::{self, SocketFile};
use crate::proxy::Peer;

/// How many connections may wait to be accepted; the system may allow fewer (`somaxconn`). A client
/// that exceeds it retries after a second.
const BACKLOG: u32 = 4096;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `--address` and `--port`; port 0 takes a free one.
    Tcp(SocketAddr),
    /// `--unix-socket`
    Unix(PathBuf),
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be bound.
    #[error("cannot listen on {address}{hint}")]
    Bind {
        /// The address or path.
        address: String,
        /// What to do about it, where that is known.
        hint: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// Something other than a socket is at the path.
    #[error("--unix-socket {}: a file that is not a socket is there; choose another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Another process listens at the path.
    #[error("--unix-socket {}: another process serves there; end it, or choose another path", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// A socket is at the path, and whether a process listens there cannot be found out.
    #[error(
        "--unix-socket {}: cannot find out whether a process listens at the socket there; remove \
         the socket, or choose another path",
        path.display()
    )]
    Unclear {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// A socket that accepts connections. Dropping it removes the file of a unix socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP
    Tcp(TcpListener),
    /// A unix socket. Its file is removed before the socket is closed, so that no other process has
    /// replaced it by then.
    Unix(SocketFile, UnixListener),
}

/// An accepted connection, not yet bound to a runtime.
#[derive(Debug)]
pub enum Accepted {
    /// TCP
    Tcp(net::TcpStream),
    /// A unix socket.
    Unix {
        /// The connection.
        stream: unix::net::UnixStream,
        /// The user that connected (`SO_PEERCRED`); `None` if the system does not tell.
        uid: Option<u32>,
    },
}

impl Listener {
    /// Listens on `address`.
    ///
    /// # Errors
    /// The address is in use, not one of this machine, or not permitted.
    pub async fn bind(address: &Address) -> Result<Self, Error> {
        match address {
            Address::Tcp(address) => bind_tcp(*address)
                .map(Self::Tcp)
                .map_err(|source| Error::of_tcp(*address, source)),
            Address::Unix(path) => unix_socket::bind(path, BACKLOG)
                .await
                .map(|(file, listener)| Self::Unix(file, listener))
                .map_err(|error| Error::of_unix(path, error)),
        }
    }

    /// Returns the TCP address with its real port.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// Accepts the next connection. Returns it and its client.
    ///
    /// # Errors
    /// The error of the system.
    pub async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Small events must not wait for each other (RFC 896). This fails only on a
                // connection that is already closed, which is noticed when it is served.
                let _ = stream.set_nodelay(true);
                Ok((
                    Accepted::Tcp(stream.into_std()?),
                    Peer::new(Some(peer.ip())),
                ))
            }
            Self::Unix(_, listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred().ok().map(|user| user.uid());
                let stream = stream.into_std()?;
                Ok((Accepted::Unix { stream, uid }, Peer::new(None)))
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
            Self::Unix(file, _) => file.path().display().fmt(f),
        }
    }
}

impl Error {
    fn of_tcp(address: SocketAddr, source: io::Error) -> Self {
        Self::Bind {
            address: address.to_string(),
            hint: match source.kind() {
                io::ErrorKind::AddrInUse => " (is another proxy running? try --port)",
                io::ErrorKind::PermissionDenied => " (try a --port above 1023)",
                _ => "",
            },
            source,
        }
    }

    fn of_unix(path: &Path, error: unix_socket::Error) -> Self {
        let path = path.to_owned();
        match error {
            unix_socket::Error::Bind(source) => Self::Bind {
                address: path.display().to_string(),
                hint: "",
                source,
            },
            unix_socket::Error::NotASocket => Self::NotASocket { path },
            unix_socket::Error::InUse => Self::InUse { path },
            unix_socket::Error::Unclear(source) => Self::Unclear { path, source },
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of an earlier process that are still closing do not keep the address in use;
    // another listener does.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
