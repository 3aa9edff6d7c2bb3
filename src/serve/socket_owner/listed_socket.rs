//! A socket as the kernel lists it, and the addresses that it is found by.

use std::net::{IpAddr, SocketAddr};

/// The two addresses of a connection, as one of its two sockets has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

/// A socket as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) struct ListedSocket {
    pub(in crate::serve) uid: u32,
    /// 0 for a socket that no process holds any more: it is closed, or in TIME-WAIT. Its uid is then
    /// 0, whoever owned it.
    pub(in crate::serve) inode: u64,
    /// The state of the connection, as `include/net/tcp_states.h` numbers it.
    pub(in crate::serve) state: u8,
}

/// `TCP_ESTABLISHED`
const ESTABLISHED: u8 = 1;
/// `TCP_FIN_WAIT1` and `TCP_FIN_WAIT2`: the client sends no more, but reads.
const FIN_WAIT: [u8; 2] = [4, 5];

impl ListedSocket {
    /// Returns the owner, if a process holds the socket and it has been connected. A socket that only
    /// listens or begins to connect may have the addresses of a connection that has ended.
    pub(super) fn owner(&self) -> Option<u32> {
        let is_connected = self.state == ESTABLISHED || FIN_WAIT.contains(&self.state);
        (is_connected && self.inode != 0).then_some(self.uid)
    }
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
