//! [`Listener`]: accepts connections over TCP and unix sockets.

use std::{
    fmt,
    future::poll_fn,
    io,
    net::{self, SocketAddr},
    os::unix,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::{
    inherited::{self, Inherited},
    listen_error::Error,
    listening_process::ListeningProcess,
    unix_socket::{self, SocketFile},
};
use crate::{
    activation::Descriptor,
    proxy::{Peer, guard::LocalUsers},
};

/// How many connections may wait to be accepted; the system may allow fewer (`somaxconn`). A client
/// that exceeds it retries after a second.
const BACKLOG: u32 = 4096;

/// How long a TCP connection is idle before the system probes it, and how long it waits for the answer
/// to each probe. API servers have the same times (those of Go's listeners).
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Probes without an answer that end a connection.
const KEEPALIVE_PROBES: u32 = 9;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `--address` and `--port`; port 0 takes a free one.
    Tcp(SocketAddr),
    /// `--unix-socket`
    Unix(PathBuf),
}

/// Sockets that accept connections: one that it has bound, or those that systemd has handed over.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Socket>,
    /// The socket that is asked first for the next connection, so that none is starved.
    first: AtomicUsize,
}

/// A socket that accepts connections. Dropping it removes the file of a unix socket that it made.
#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    /// The file is removed before the socket is closed, so that no other process has replaced it by then.
    Unix(Option<SocketFile>, UnixListener),
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
    /// Listens on `address`, for clients of `users`.
    ///
    /// # Errors
    /// The address is in use, not one of this machine, or not permitted.
    pub async fn bind(address: &Address, users: &LocalUsers) -> Result<Self, Error> {
        let socket = match address {
            Address::Tcp(address) => bind_tcp(*address)
                .map(Socket::Tcp)
                .map_err(|source| of_tcp(*address, source))?,
            Address::Unix(path) => {
                let is_shared = *users == LocalUsers::Any;
                let bound = unix_socket::bind(path, BACKLOG, is_shared).await;
                bound.map(|(file, listener)| Socket::Unix(Some(file), listener))?
            }
        };
        Ok(Self::of(vec![socket]))
    }

    /// Listens on sockets that were handed over.
    ///
    /// # Errors
    /// A descriptor that is no listening stream socket, by its name.
    pub fn inherit(descriptors: Vec<Descriptor>) -> Result<Self, Error> {
        let sockets = descriptors.into_iter().map(|descriptor| {
            Ok(match inherited::socket(descriptor)? {
                Inherited::Tcp(listener) => Socket::Tcp(listener),
                Inherited::Unix(listener) => Socket::Unix(None, listener),
            })
        });
        Ok(Self::of(sockets.collect::<Result<_, _>>()?))
    }

    fn of(sockets: Vec<Socket>) -> Self {
        for socket in &sockets {
            if let Socket::Tcp(listener) = socket {
                // Without it, the watches of clients that are gone stay until something is sent.
                let _ = probe_idle_connections(listener);
            }
        }
        let first = AtomicUsize::new(0);
        Self { sockets, first }
    }

    /// Returns the first TCP address with its real port.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp_addresses().next()
    }

    /// Returns the TCP addresses with their real ports.
    pub fn tcp_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.iter().filter_map(|socket| match socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(..) => None,
        })
    }

    /// Accepts the next connection. Returns it and its client.
    ///
    /// # Errors
    /// The error of the system.
    pub async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        let first = self.first.fetch_add(1, Ordering::Relaxed);
        poll_fn(|cx| {
            let count = self.sockets.len();
            let in_turn = (0..count).map(|at| &self.sockets[(first + at) % count]);
            for socket in in_turn {
                if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl Socket {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Accepted, Peer)>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                // Small events must not wait for each other (RFC 896). This fails only on a
                // connection that is already closed, which is noticed when it is served.
                let _ = stream.set_nodelay(true);
                let accepted = Accepted::Tcp(stream.into_std()?);
                Poll::Ready(Ok((accepted, Peer::new(Some(peer.ip())))))
            }
            Self::Unix(_, listener) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                let uid = stream.peer_cred().ok().map(|user| user.uid());
                let stream = stream.into_std()?;
                Poll::Ready(Ok((Accepted::Unix { stream, uid }, Peer::new(None))))
            }
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, socket) in self.sockets.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{socket}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("an unknown address"),
            },
            Self::Unix(Some(file), _) => file.path().display().fmt(f),
            Self::Unix(None, listener) => {
                let address = listener.local_addr().ok();
                match address.as_ref().and_then(|address| address.as_pathname()) {
                    Some(path) => path.display().fmt(f),
                    None => f.write_str("a unix socket"),
                }
            }
        }
    }
}

/// Has the system probe idle connections. Those that are accepted inherit it, so that it costs nothing for
/// each.
fn probe_idle_connections(listener: &TcpListener) -> io::Result<()> {
    sockopt::set_socket_keepalive(listener, true)?;
    sockopt::set_tcp_keepidle(listener, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepintvl(listener, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(listener, KEEPALIVE_PROBES)?;
    Ok(())
}

fn of_tcp(address: SocketAddr, source: io::Error) -> Error {
    let hint = match source.kind() {
        io::ErrorKind::AddrInUse => match ListeningProcess::at(address) {
            Some(process) => format!(" ({process}, listens there; end it, or try another --port)"),
            None => " (is another proxy running? try --port)".to_owned(),
        },
        io::ErrorKind::PermissionDenied => " (try a --port above 1023)".to_owned(),
        _ => String::new(),
    };
    Error::Bind {
        address: address.to_string(),
        hint,
        source,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn idle_connections_are_probed_by_the_system() {
        let address = Address::Tcp("127.0.0.1:0".parse().unwrap());
        let listener = Listener::bind(&address, &LocalUsers::Any).await.unwrap();
        let _client = net::TcpStream::connect(listener.tcp_address().unwrap()).unwrap();
        let (Accepted::Tcp(accepted), _) = listener.accept().await.unwrap() else {
            panic!("no TCP connection");
        };
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        let times = [
            sockopt::tcp_keepidle(&accepted),
            sockopt::tcp_keepintvl(&accepted),
        ];
        for time in times {
            assert_eq!(time.unwrap(), KEEPALIVE_INTERVAL);
        }
        assert_eq!(sockopt::tcp_keepcnt(&accepted).unwrap(), KEEPALIVE_PROBES);
    }
}
