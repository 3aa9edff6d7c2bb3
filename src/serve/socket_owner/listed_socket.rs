//! A socket as the kernel lists it, and the addresses that it is found by.

use std::net::{IpAddr, SocketAddr};

/// The two addresses of a connection, as one of its two sockets has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

/// A socket as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListedSocket {
    pub(super) uid: u32,
    /// 0 for a socket that no process holds any more: it is closed, or in TIME-WAIT. Its uid is then
    /// 0, whoever owned it.
    pub(super) inode: u64,
}

impl Connection {
    pub(super) fn reversed(self) -> Self {
        Self {
            local: self.remote,
            remote: self.local,
        }
    }
}

/// The four 32-bit words of an address in network byte order; one word and zeros for IPv4.
pub(super) fn words(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut words = [0; 16];
            words[..4].copy_from_slice(&ip.octets());
            words
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}
