//! The address to listen on.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _, UdpSocket},
    path::PathBuf,
};

use anyhow::bail;
use http::Uri;

use super::exposure::Exposure;
use crate::{
    activation,
    cli::usage::bail_usage,
    kubeconfig,
    proxy::guard::LocalUsers,
    serve::{self, Address, Listener},
    settings::{DEFAULT_PORT, ProxyFlags, UnixSocket, reachable_ip},
};

/// The name of the sockets of the proxy (`FileDescriptorName=`), and the one that systemd gives those of
/// kubegate.socket without it.
const PROXY_SOCKETS: [&str; 2] = ["proxy", "kubegate.socket"];

/// Where to listen.
pub(super) enum Place {
    /// An address to bind.
    Address(Address),
    /// Sockets that systemd has handed over.
    Inherited(Listener),
}

impl Place {
    /// Listens there, for clients of `users`.
    pub(super) async fn listen(self, users: &LocalUsers) -> anyhow::Result<Listener> {
        match self {
            Self::Address(address) => Ok(Listener::bind(&address, users).await?),
            Self::Inherited(listener) => Ok(listener),
        }
    }

    /// Returns the TCP addresses.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Address(Address::Tcp(address)) => vec![*address],
            Self::Address(Address::Unix(_)) => Vec::new(),
            Self::Inherited(listener) => listener.tcp_addresses().collect(),
        }
    }
}

/// Returns the sockets that systemd has handed over, or else the address that the flags name.
pub(super) fn place(flags: &ProxyFlags) -> anyhow::Result<Place> {
    let place = match inherited()? {
        Some(listener) if names_an_address(flags) => bail_usage!(
            "systemd hands over {listener}; leave out --port, --address and --unix-socket"
        ),
        Some(listener) => Place::Inherited(listener),
        None => Place::Address(address(flags)?),
    };
    for address in place.addresses() {
        exposure(flags, address.ip()).check(&address.to_string())?;
    }
    Ok(place)
}

fn names_an_address(flags: &ProxyFlags) -> bool {
    let default = Ipv4Addr::LOCALHOST;
    flags.unix_socket().is_some() || flags.port != DEFAULT_PORT || flags.address != default
}

/// Returns a listener on the sockets that were handed over; `None` without any.
fn inherited() -> anyhow::Result<Option<Listener>> {
    let descriptors = activation::take()?;
    let names = descriptors.iter().filter_map(|one| one.name.as_deref());
    for name in names {
        if !PROXY_SOCKETS.contains(&name) {
            bail!(
                "LISTEN_FDNAMES: no listener of kubegate is called {name:?}; name the sockets of the proxy \
                 by FileDescriptorName={}",
                PROXY_SOCKETS[0]
            );
        }
    }
    if descriptors.is_empty() {
        return Ok(None);
    }
    Ok(Some(Listener::inherit(descriptors)?))
}

/// Returns the address that the flags name.
fn address(flags: &ProxyFlags) -> anyhow::Result<Address> {
    let Some(socket) = flags.unix_socket() else {
        return Ok(Address::Tcp(flags.tcp_address()));
    };
    if flags.port != DEFAULT_PORT {
        bail_usage!("--unix-socket and --port exclude each other; give one of them");
    }
    let path = socket_path(socket)?;
    if socket == UnixSocket::Default
        && let Some(folder) = path.parent()
    {
        serve::make_private(folder)?;
    }
    Ok(Address::Unix(path))
}

/// Returns the path of a unix socket.
pub(in crate::cli) fn socket_path(socket: UnixSocket<'_>) -> anyhow::Result<PathBuf> {
    let UnixSocket::At(path) = socket else {
        let Some(path) = serve::default_socket(std::env::var_os("XDG_RUNTIME_DIR")) else {
            bail_usage!(
                "--unix-socket without a path needs XDG_RUNTIME_DIR, which a login sets; give a path"
            );
        };
        return Ok(path);
    };
    Ok(path.to_owned())
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
        let ip = reachable_ip(address.ip().to_canonical());
        if ip == own.ip().to_canonical() || (own.ip().is_unspecified() && is_local(ip)) {
            bail!(
                "the server {server} is this proxy's own listener {own}; point --server or the \
                 kubeconfig's cluster at the API server itself, or choose another --port"
            );
        }
    }
    Ok(())
}

/// Whether an address belongs to this machine, since only such an address can be bound.
fn is_local(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}
