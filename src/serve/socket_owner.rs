//! [`SocketOwners`]: finds the user that owns the client's end of a loopback connection.

mod listed_socket;
mod proc_net;
mod sock_diag;

use std::net::SocketAddr;

pub(super) use self::listed_socket::ListedSocket;
use self::{listed_socket::Connection, sock_diag::SockDiag};
use crate::proxy::guard::UnknownOwner;

/// Looks the owners of sockets up: at the kernel's `sock_diag` interface, or where there is none in
/// `/proc/net/tcp`.
#[derive(Debug)]
pub(super) struct SocketOwners {
    sock_diag: Option<SockDiag>,
}

impl SocketOwners {
    pub(super) fn new() -> Self {
        Self {
            sock_diag: SockDiag::open().ok(),
        }
    }

    /// Returns the uid of the client of a connection from `client` that was accepted at `server`.
    pub(super) fn of_client(
        &mut self,
        client: SocketAddr,
        server: SocketAddr,
    ) -> Result<u32, UnknownOwner> {
        let end = Connection {
            local: canonical(client),
            remote: canonical(server),
        };
        let found = self.find(end)?;
        let owner = found.and_then(|socket| socket.owner());
        owner.ok_or(UnknownOwner::NotListed)
    }

    fn find(&mut self, end: Connection) -> Result<Option<ListedSocket>, UnknownOwner> {
        if let Some(sock_diag) = &mut self.sock_diag {
            match sock_diag.find(end) {
                Ok(Some(found)) => {
                    // Without a connected socket, the kernel returns one that listens at the port.
                    let is_same = found.connection == end;
                    return Ok(is_same.then_some(found.socket));
                }
                // The kernel says the same where it cannot list TCP sockets. It can if it lists the
                // accepted end of this connection, or the listener at its port.
                Ok(None) if matches!(sock_diag.find(end.reversed()), Ok(Some(_))) => {
                    return Ok(None);
                }
                Ok(None) => self.sock_diag = None,
                Err(error) => tracing::debug!(%error, "sock_diag fails"),
            }
        }
        proc_net::find(end).map_err(|_| UnknownOwner::NoList)
    }
}

/// Returns the listening socket that keeps `address` from being bound, if there is one.
pub(super) fn listener_at(address: SocketAddr) -> Option<ListedSocket> {
    proc_net::find_listener(canonical(address))
}

/// Returns an IPv4 address as one, also where an IPv6 socket uses it.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn own_uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// Returns a client's and the accepted end of a connection that is accepted at `listen` and made to
    /// `host`.
    fn connect(listen: &str, host: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((listen, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((host, port)).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn both_ways(client: SocketAddr, server: SocketAddr) -> [Result<u32, UnknownOwner>; 2] {
        let mut by_netlink = SocketOwners::new();
        assert!(
            by_netlink.sock_diag.is_some(),
            "this system has no sock_diag"
        );
        let by_netlink_found = by_netlink.of_client(client, server);
        assert!(by_netlink.sock_diag.is_some(), "sock_diag was given up");
        let mut by_proc = SocketOwners { sock_diag: None };
        [by_netlink_found, by_proc.of_client(client, server)]
    }

    #[test]
    fn the_owner_is_the_user_of_the_client() {
        for (listen, host) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1", "localhost"),
            ("::1", "::1"),
            ("::", "::1"),
            // An IPv4 client of an IPv6 listener.
            ("::", "127.0.0.1"),
            // Both ends are IPv6 sockets with IPv4 addresses.
            ("::", "::ffff:127.0.0.1"),
            ("0.0.0.0", "127.0.0.2"),
            // An IPv6 client of an IPv4 listener.
            ("127.0.0.1", "::ffff:127.0.0.1"),
        ] {
            let (_client, accepted) = connect(listen, host);
            let (peer, own) = (
                accepted.peer_addr().unwrap(),
                accepted.local_addr().unwrap(),
            );
            assert_eq!(both_ways(peer, own), [Ok(own_uid()); 2], "{listen} {host}");
        }
    }

    #[test]
    fn a_closed_client_has_no_owner() {
        let (client, accepted) = connect("127.0.0.1", "127.0.0.1");
        let (peer, own) = (
            accepted.peer_addr().unwrap(),
            accepted.local_addr().unwrap(),
        );
        drop(client);
        assert_eq!(both_ways(peer, own), [Err(UnknownOwner::NotListed); 2]);
    }

    #[test]
    fn a_client_that_sends_no_more_still_has_its_owner() {
        let (client, accepted) = connect("127.0.0.1", "127.0.0.1");
        let (peer, own) = (
            accepted.peer_addr().unwrap(),
            accepted.local_addr().unwrap(),
        );
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(both_ways(peer, own), [Ok(own_uid()); 2]);
        // Nor one whose other end sends no more.
        accepted.shutdown(std::net::Shutdown::Write).unwrap();
        let found = both_ways(peer, own);
        assert!(found.iter().all(Result::is_err), "{found:?}");
    }

    /// What listens at the same port of another address is no client.
    #[test]
    fn an_unrelated_listener_at_the_port_changes_nothing() {
        let (_client, accepted) = connect("127.0.0.1", "127.0.0.1");
        let (peer, own) = (
            accepted.peer_addr().unwrap(),
            accepted.local_addr().unwrap(),
        );
        let _at_its_port = TcpListener::bind(("127.0.0.2", peer.port())).unwrap();
        let _at_ours = TcpListener::bind(("::1", own.port())).unwrap();
        assert_eq!(both_ways(peer, own), [Ok(own_uid()); 2]);
    }

    #[test]
    fn a_client_that_is_reset_has_no_owner() {
        let (client, accepted) = connect("127.0.0.1", "127.0.0.1");
        let (peer, own) = (
            accepted.peer_addr().unwrap(),
            accepted.local_addr().unwrap(),
        );
        rustix::net::sockopt::set_socket_linger(&client, Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        let mut by_proc = SocketOwners { sock_diag: None };
        let found = [
            SocketOwners::new().of_client(peer, own),
            by_proc.of_client(peer, own),
        ];
        assert_eq!(found, [Err(UnknownOwner::NotListed); 2]);
    }

    /// Linux lets another socket listen at a port that a client has bound with `SO_REUSEADDR`.
    #[test]
    fn a_listener_at_the_port_of_a_client_that_has_gone_is_not_taken_for_it() {
        use rustix::net::{
            AddressFamily, SocketType, bind, connect as connect_socket, listen, socket, sockopt,
        };

        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let open = |ip: [u8; 4], port: u16| {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            sockopt::set_socket_reuseaddr(&socket, true).unwrap();
            bind(&socket, &SocketAddr::from((ip, port))).unwrap();
            socket
        };
        let client = open([127, 0, 0, 1], 0);
        let client_address = SocketAddr::try_from(rustix::net::getsockname(&client).unwrap());
        let client_address = client_address.unwrap();
        let listener = open([0; 4], client_address.port());
        listen(&listener, 1).unwrap();
        connect_socket(&client, &address).unwrap();
        let (accepted, peer) = server.accept().unwrap();
        assert_eq!(peer, client_address);
        assert_eq!(both_ways(peer, address), [Ok(own_uid()); 2]);
        sockopt::set_socket_linger(&client, Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(both_ways(peer, address), [Err(UnknownOwner::NotListed); 2]);
        drop((accepted, listener));
    }
}
