//! The address to listen on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};

use anyhow::bail;
use http::Uri;

use super::exposure::Exposure;
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
    let address = flags.tcp_address();
    exposure(flags, address.ip()).check(&address.to_string())?;
    Ok(Address::Tcp(address))
}

/// Returns what decides whether a TCP listener at `ip` may be used.
pub(super) fn exposure(flags: &ProxyFlags, ip: IpAddr) -> Exposure {
    Exposure {
        is_loopback: ip.to_canonical().is_loopback(),
        has_tls: flags.tls.is_on(),
        needs_token: flags.require_token_file().is_some(),
        needs_client_certificate: flags.tls.client_ca().is_some(),
        unsafe_listen: flags.unsafe_listen,
    }
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
