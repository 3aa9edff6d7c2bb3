//! Finds one TCP socket in `/proc/net/tcp` and `/proc/net/tcp6` (`proc_net_tcp.txt` in the kernel's
//! documentation). Reads the whole list, so it is only for systems without `sock_diag`.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
    net::{IpAddr, SocketAddr},
};

use super::listed_socket::{Connection, ListedSocket, words};

/// Returns the socket with these addresses.
pub(super) fn find(end: Connection) -> io::Result<Option<ListedSocket>> {
    let IpAddr::V4(local) = end.local.ip() else {
        return find_in("/proc/net/tcp6", end);
    };
    if let Some(found) = find_in("/proc/net/tcp", end)? {
        return Ok(Some(found));
    }
    let IpAddr::V4(remote) = end.remote.ip() else {
        return Ok(None);
    };
    let mapped = Connection {
        local: SocketAddr::new(local.to_ipv6_mapped().into(), end.local.port()),
        remote: SocketAddr::new(remote.to_ipv6_mapped().into(), end.remote.port()),
    };
    find_in("/proc/net/tcp6", mapped)
}

/// Returns the socket that listens at `address`, or at every address with its port.
pub(super) fn find_listener(address: SocketAddr) -> Option<ListedSocket> {
    let is_wide = address.ip().is_unspecified();
    let port = format!(":{:04X} ", address.port());
    let mapped = match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    let in_the_way = [address, mapped].map(listed);
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|file| {
        let lines = BufReader::new(File::open(file).ok()?).lines();
        lines.map_while(Result::ok).find_map(|line| {
            let (_, line) = line.split_once(": ")?;
            let (local, rest) = line.split_once(' ')?;
            let is_at_port = line.get(local.len() - 5..)?.starts_with(&port);
            let is_every = local.split(':').next()?.bytes().all(|digit| digit == b'0');
            let matches =
                is_at_port && (is_wide || is_every || in_the_way.iter().any(|a| a == local));
            let (_, rest) = rest.split_once(' ').filter(|_| matches)?;
            parse(rest).filter(|socket| socket.state == LISTEN)
        })
    })
}

/// `TCP_LISTEN`
const LISTEN: u8 = 10;

fn find_in(file: &str, end: Connection) -> io::Result<Option<ListedSocket>> {
    let addresses = format!(" {} {} ", listed(end.local), listed(end.remote));
    let mut lines = BufReader::new(File::open(file)?);
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if let Some((_, rest)) = line.split_once(addresses.as_str()) {
            return parse(rest).map(Some).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "a line is not understood")
            });
        }
    }
}

/// Parses what follows the addresses of a line: state, queues, timer, retransmits, uid, timeout, inode.
fn parse(rest: &str) -> Option<ListedSocket> {
    let mut fields = rest.split_ascii_whitespace();
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some(ListedSocket { uid, inode, state })
}

/// An address as the list has it: its 32-bit words in the byte order of the machine, then the port.
fn listed(address: SocketAddr) -> String {
    use std::fmt::Write as _;

    let bytes = words(address.ip());
    let length = if address.is_ipv4() { 4 } else { 16 };
    let mut text = String::new();
    for word in bytes[..length].chunks_exact(4) {
        let word = word.try_into().map(u32::from_ne_bytes).unwrap_or_default();
        let _ = write!(text, "{word:08X}");
    }
    let _ = write!(text, ":{:04X}", address.port());
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_written_as_the_kernel_lists_them() {
        assert_eq!(listed("127.0.0.1:8001".parse().unwrap()), "0100007F:1F41");
        assert_eq!(
            listed("[::1]:443".parse().unwrap()),
            "00000000000000000000000001000000:01BB"
        );
    }

    #[test]
    fn a_line_gives_uid_and_inode() {
        let rest =
            "01 00000000:00000000 00:00000000 00000000  1000        0 123456 1 0 20 4 30 10 -1";
        let (uid, inode) = (1000, 123_456);
        let listed = ListedSocket {
            uid,
            inode,
            state: 1,
        };
        assert_eq!(parse(rest), Some(listed));
        assert_eq!(parse("06 00000000:00000000"), None);
    }
}
