//! The address to listen on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};

use anyhow::bail;
use http::Uri;

use crate::{
    cli::usage::bail_usage,
    kubeconfig,
    serve::Address,
    settings::{DEFAULT_PORT, ProxyFlags},
};

/// Returns the address that the flags name.
pub(super) fn address(flags: &ProxyFlags) -> anyhow::Result<Address> {
    if let Some(path) = flags.unix_socket() {
        if flags.port != DEFAULT_PORT {
            bail_usage!("--unix-socket and --port exclude each other; give one of them");
        }
        return Ok(Address::Unix(path.to_owned()));
    }
    if !flags.address.is_loopback() && flags.accept_hosts.is_none() {
        bail_usage!(
            "--address {} would let everyone who can reach this machine act in the cluster with your \
             credential; if that is meant, name the hosts that clients may use by --accept-hosts, \
             such as --accept-hosts '^kubegate\\.example$'",
            flags.address
        );
    }
    Ok(Address::Tcp(flags.tcp_address()))
}

/// Refuses a server that is the proxy's own listener, which would proxy to itself without end.
pub(super) fn refuse_own_listener(own: SocketAddr, server: &Uri) -> anyhow::Result<()> {
    if kubeconfig::port(server) != own.port() {
        return Ok(());
    }
    let host = kubeconfig::host(server);
    // A name that does not resolve is reported by the first request.
    let Ok(addresses) = (host, own.port()).to_socket_addrs() else {
        return Ok(());
    };
    for address in addresses {
        let ip = reached(address.ip().to_canonical());
        if ip == own.ip().to_canonical() || (own.ip().is_unspecified() && is_local(ip)) {
            bail!(
                "the server {server} is this proxy's own listener {own}; point --server or the \
                 kubeconfig's cluster at the API server itself, or choose another --port"
            );
        }
    }
    Ok(())
}

/// Returns the address that a connection to `ip` reaches: loopback for the unspecified address.
fn reached(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// Whether an address belongs to this machine, since only such an address can be bound.
fn is_local(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}
