//! [`PeerCheck`]: decides at accept whether the user behind a connection may use the proxy.

use std::net::TcpStream;
#[cfg(target_os = "linux")]
use std::net::{SocketAddr, UdpSocket};

use super::listener::Accepted;
#[cfg(target_os = "linux")]
use super::socket_owner::SocketOwners;
use crate::proxy::guard::{LocalUsers, Refusal, UnknownOwner};

/// Looks up the user behind each connection, once, and compares it with the users that may connect.
#[derive(Debug)]
pub struct PeerCheck {
    users: LocalUsers,
    #[cfg(target_os = "linux")]
    owners: SocketOwners,
}

impl PeerCheck {
    /// Accepts connections of `users`.
    #[must_use]
    pub fn new(users: LocalUsers) -> Self {
        Self {
            users,
            #[cfg(target_os = "linux")]
            owners: SocketOwners::new(),
        }
    }

    /// Checks an accepted connection. Those from other machines pass, since they have no user here, but not
    /// at a loopback address: this machine must have been made to pass them on.
    ///
    /// # Errors
    /// The refusal for every request of the connection.
    pub fn check(&mut self, accepted: &Accepted) -> Result<(), Refusal> {
        if self.users == LocalUsers::Any {
            return Ok(());
        }
        match accepted {
            Accepted::Unix { uid, .. } => self.users.check(uid.ok_or(UnknownOwner::NoList)),
            #[cfg(target_os = "linux")]
            Accepted::Tcp(stream) => self.check_tcp(stream),
            #[cfg(not(target_os = "linux"))]
            Accepted::Tcp(_) => Ok(()),
        }
    }

    #[cfg(target_os = "linux")]
    fn check_tcp(&mut self, stream: &TcpStream) -> Result<(), Refusal> {
        let (Ok(client), Ok(server)) = (stream.peer_addr(), stream.local_addr()) else {
            // It is closed already.
            return self.users.check(Err(UnknownOwner::NotListed));
        };
        if !is_of_this_machine(client) {
            return self.check_foreign(server);
        }
        let owner = self.owners.of_client(client, server);
        // As long as the accepted end is connected, no other connection has the same addresses. So the
        // socket that was found is the other end of this one.
        let owner = owner.and_then(|uid| match stream.peer_addr() {
            Ok(_) => Ok(uid),
            Err(_) => Err(UnknownOwner::NotListed),
        });
        self.users.check(owner)
    }

    /// Checks a connection of another machine to an address of this one. A loopback address is reached from
    /// outside only through rules of the firewall (`route_localnet`, CVE-2020-8558).
    #[cfg(target_os = "linux")]
    fn check_foreign(&self, server: SocketAddr) -> Result<(), Refusal> {
        if server.ip().to_canonical().is_loopback() {
            return self.users.check(Err(UnknownOwner::NotListed));
        }
        Ok(())
    }
}

/// Returns the uid of the process that serves a connection of this one, once it has answered. `None` for a
/// server on another machine, and where the system does not tell.
#[must_use]
pub fn uid_of_server(stream: &TcpStream) -> Option<u32> {
    let (server, client) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
    #[cfg(target_os = "linux")]
    if is_of_this_machine(server) {
        return SocketOwners::new().of_client(server, client).ok();
    }
    let _ = (server, client);
    None
}

/// Whether an address belongs to this machine: only such an address can be bound. A client of this machine
/// may connect from any of them.
#[cfg(target_os = "linux")]
fn is_of_this_machine(mut address: SocketAddr) -> bool {
    address.set_port(0);
    address.ip().to_canonical().is_loopback() || UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn other_machines_pass_but_not_at_a_loopback_address() {
        let own = Some(rustix::process::geteuid().as_raw());
        let allowed = Vec::new();
        let check = PeerCheck::new(LocalUsers::Only { own, allowed });
        for (server, passes) in [
            ("192.0.2.1:8001", true),
            ("[2001:db8::1]:8001", true),
            ("127.0.0.1:8001", false),
            ("[::1]:8001", false),
            ("[::ffff:127.0.0.1]:8001", false),
        ] {
            let server = server.parse().expect("an address");
            assert_eq!(check.check_foreign(server).is_ok(), passes, "{server}");
        }
    }
}
