//! [`SockDiag`]: finds one TCP socket by the kernel's netlink interface (`sock_diag(7)`), in a few
//! microseconds however many sockets there are.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
};

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
/// Where the type and the sequence number are in the header.
const KIND: usize = 4;
const SEQUENCE: usize = 8;
/// Length of a request, `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// Where fields of `struct inet_diag_msg` are in a response: `idiag_family`, `idiag_state`, the ports and
/// addresses of `id`, `idiag_uid` and `idiag_inode`.
const FAMILY: usize = HEADER;
const STATE: usize = HEADER + 1;
const LOCAL_PORT: usize = HEADER + 4;
const REMOTE_PORT: usize = HEADER + 6;
const LOCAL_ADDRESS: usize = HEADER + 8;
const REMOTE_ADDRESS: usize = HEADER + 24;
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
pub(super) struct SockDiag {
    socket: OwnedFd,
    /// The number of the last request, which its response repeats.
    sequence: u32,
}

/// A socket that was found, with its own addresses.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) connection: Connection,
    pub(super) socket: ListedSocket,
}

impl SockDiag {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (family, protocol) = (AddressFamily::NETLINK, Some(netlink::SOCK_DIAG));
        let socket = socket_with(family, SocketType::DGRAM, flags, protocol)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Returns the socket with these addresses; if there is none, one that listens at the local
    /// address, with other addresses in the result. The kernel answers within the call that asks, so
    /// this does not wait.
    pub(super) fn find(&mut self, end: Connection) -> io::Result<Option<Found>> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request(end, self.sequence);
        send(&self.socket, &request, SendFlags::empty())?;
        let mut buffer = [0; 512];
        loop {
            let (_, length) = recv(&self.socket, &mut buffer, RecvFlags::empty())?;
            let response = buffer.get(..length).unwrap_or(&buffer);
            // A response that an earlier call did not read is skipped.
            if number(response, SEQUENCE)? == self.sequence {
                return parse(response);
            }
        }
    }
}

/// A `struct nlmsghdr` and a `struct inet_diag_req_v2`. Numbers are in the byte order of the machine,
/// addresses and ports in that of the network.
fn request(end: Connection, sequence: u32) -> [u8; HEADER + REQUEST] {
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
    put(&sequence.to_ne_bytes());
    // The sender's port, which the kernel knows.
    put(&[0; 4]);
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

fn parse(response: &[u8]) -> io::Result<Option<Found>> {
    let [family, _] = AddressFamily::INET.as_raw().to_ne_bytes();
    match u16::from_ne_bytes(bytes(response, KIND)?) {
        BY_FAMILY => {
            let is_ipv4 = response.get(FAMILY) == Some(&family);
            let end = |address, port| socket_address(response, is_ipv4, address, port);
            Ok(Some(Found {
                connection: Connection {
                    local: end(LOCAL_ADDRESS, LOCAL_PORT)?,
                    remote: end(REMOTE_ADDRESS, REMOTE_PORT)?,
                },
                socket: ListedSocket {
                    uid: number(response, UID)?,
                    inode: number(response, INODE)?.into(),
                    state: *response.get(STATE).ok_or_else(malformed)?,
                },
            }))
        }
        // A negative error number follows the header.
        ERROR => match number(response, HEADER)?.cast_signed().wrapping_neg() {
            error if error == Errno::NOENT.raw_os_error() => Ok(None),
            error => Err(io::Error::from_raw_os_error(error)),
        },
        _ => Err(malformed()),
    }
}

/// Returns an IPv4 address as one, also where an IPv6 socket uses it.
fn socket_address(
    response: &[u8],
    is_ipv4: bool,
    address: usize,
    port: usize,
) -> io::Result<SocketAddr> {
    let ip = if is_ipv4 {
        IpAddr::from(bytes::<4>(response, address)?)
    } else {
        IpAddr::from(bytes::<16>(response, address)?).to_canonical()
    };
    let port = u16::from_be_bytes(bytes(response, port)?);
    Ok(SocketAddr::new(ip, port))
}

fn number(response: &[u8], at: usize) -> io::Result<u32> {
    bytes(response, at).map(u32::from_ne_bytes)
}

fn bytes<const N: usize>(response: &[u8], at: usize) -> io::Result<[u8; N]> {
    let bytes = response.get(at..at + N);
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(malformed)
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a response of sock_diag is not understood",
    )
}
