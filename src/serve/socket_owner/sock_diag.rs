//! [`SockDiag`]: finds one TCP socket by the kernel's netlink interface (`sock_diag(7)`), in a few
//! microseconds however many sockets there are.

use std::{io, os::fd::OwnedFd};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send,
        socket_with,
    },
};

use super::listed_socket::{Connection, ListedSocket, words};

/// Length of a message's header, `struct nlmsghdr`.
const HEADER: usize = 16;
/// Length of a request, `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// Where the fields `idiag_uid` and `idiag_inode` of `struct inet_diag_msg` are in a response.
const UID: usize = HEADER + 64;
const INODE: usize = HEADER + 68;

/// `SOCK_DIAG_BY_FAMILY`
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR`
const ERROR: u16 = 2;
/// `NLM_F_REQUEST`
const IS_REQUEST: u16 = 1;
/// `IPPROTO_TCP`
const TCP: u8 = 6;
/// `INET_DIAG_NOCOOKIE`: the socket is described by its addresses alone.
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// A netlink socket that asks for sockets.
#[derive(Debug)]
pub(super) struct SockDiag(OwnedFd);

impl SockDiag {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (family, protocol) = (AddressFamily::NETLINK, Some(netlink::SOCK_DIAG));
        Ok(Self(socket_with(
            family,
            SocketType::DGRAM,
            flags,
            protocol,
        )?))
    }

    /// Returns the socket with these addresses. The kernel answers within the call that asks, so this
    /// does not wait.
    pub(super) fn find(&self, end: Connection) -> io::Result<Option<ListedSocket>> {
        send(&self.0, &request(end), SendFlags::empty())?;
        let mut response = [0; 512];
        let (_, length) = recv(&self.0, &mut response, RecvFlags::empty())?;
        parse(response.get(..length).unwrap_or(&response))
    }
}

/// A `struct nlmsghdr` and a `struct inet_diag_req_v2`. Numbers are in the byte order of the machine,
/// addresses and ports in that of the network.
fn request(end: Connection) -> [u8; HEADER + REQUEST] {
    let family = if end.local.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let [family, _] = family.as_raw().to_ne_bytes();
    let mut message = [0; HEADER + REQUEST];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        message[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&u32::try_from(HEADER + REQUEST)
        .unwrap_or_default()
        .to_ne_bytes());
    put(&BY_FAMILY.to_ne_bytes());
    put(&IS_REQUEST.to_ne_bytes());
    // The sequence number and the sender's port, which need not tell requests apart here.
    put(&[0; 8]);
    // No extensions, padding, and sockets in every state.
    put(&[family, TCP, 0, 0]);
    put(&u32::MAX.to_ne_bytes());
    put(&end.local.port().to_be_bytes());
    put(&end.remote.port().to_be_bytes());
    put(&words(end.local.ip()));
    put(&words(end.remote.ip()));
    // Any interface.
    put(&[0; 4]);
    put(&NO_COOKIE);
    message
}

fn parse(response: &[u8]) -> io::Result<Option<ListedSocket>> {
    let number = |at: usize| {
        let bytes = response
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes).ok_or_else(malformed)
    };
    let kind = response.get(4..6).and_then(|bytes| bytes.try_into().ok());
    match kind.map(u16::from_ne_bytes) {
        Some(BY_FAMILY) => Ok(Some(ListedSocket {
            uid: number(UID)?,
            inode: number(INODE)?.into(),
        })),
        // A negative error number follows the header.
        Some(ERROR) => match number(HEADER)?.cast_signed().wrapping_neg() {
            error if error == Errno::NOENT.raw_os_error() => Ok(None),
            error => Err(io::Error::from_raw_os_error(error)),
        },
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a response of sock_diag is not understood",
    )
}
