//! Sockets that systemd hands over.

use std::{
    io,
    net::TcpListener,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixListener,
    },
};

use rustix::net::{SocketType, sockopt::socket_type};

use super::listen_error::Error;
use crate::activation::Descriptor;

/// A socket that was handed over.
pub(super) enum Inherited {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// Returns the socket of a descriptor, which must be listening already.
pub(super) fn socket(descriptor: Descriptor) -> Result<Inherited, Error> {
    let name = descriptor.name.unwrap_or_default();
    listening(descriptor.fd).map_err(|_| Error::NotListening { name })
}

fn listening(fd: OwnedFd) -> io::Result<Inherited> {
    let is_stream = socket_type(fd.as_fd())? == SocketType::STREAM;
    if !is_stream || !is_listening(&fd)? {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let tcp = TcpListener::from(fd);
    if tcp.local_addr().is_ok() {
        tcp.set_nonblocking(true)?;
        return tokio::net::TcpListener::from_std(tcp).map(Inherited::Tcp);
    }
    // It has no IP address.
    let unix = UnixListener::from(OwnedFd::from(tcp));
    unix.local_addr()?;
    unix.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(unix).map(Inherited::Unix)
}

#[cfg(not(target_os = "macos"))]
fn is_listening(fd: &OwnedFd) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_acceptconn(fd)?)
}

/// macOS does not tell. Accepting from a socket that does not listen fails.
#[cfg(target_os = "macos")]
fn is_listening(_: &OwnedFd) -> io::Result<bool> {
    Ok(true)
}
