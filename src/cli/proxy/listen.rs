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
            "--address {} would open the cluster, with your credential, to whoever can reach \
             this machine; if that is meant, say by --accept-hosts which host names they may \
             use, such as --accept-hosts '^kubegate\\.example$'",
            flags.address
        );
    }
    Ok(Address::Tcp(flags.tcp_address()))
}

/// A server that is our own listener would have us ask ourselves for ever.
pub(super) fn refuse_own_listener(own: SocketAddr, server: &Uri) -> anyhow::Result<()> {
    if kubeconfig::port(server) != own.port() {
        return Ok(());
    }
    let host = kubeconfig::host(server);
    // A name that does not resolve now is not ours; the first request will say so.
    let Ok(addresses) = (host, own.port()).to_socket_addrs() else {
        return Ok(());
    };
    for address in addresses {
        let ip = reached(address.ip().to_canonical());
        if ip == own.ip().to_canonical() || (own.ip().is_unspecified() && is_ours(ip)) {
            bail!(
                "the server {server} is this proxy's own listener {own}; point --server or the \
                 kubeconfig's cluster at the API server itself, or choose another --port"
            );
        }
    }
    Ok(())
}

/// Connecting to the unspecified address reaches the loopback.
fn reached(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// Whether an address is one of this machine's: only those can be bound.
fn is_ours(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}
