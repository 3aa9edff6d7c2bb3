//! [`RunningProxyFlags`]: where a kubegate serves that a command talks to.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use clap::{Args, ValueHint};

use super::{
    proxy::{DEFAULT_PORT, UnixSocket},
    values::{address, any_path},
};

/// The TCP address that a kubegate serves at. The flags are those that it was started with.
#[derive(Args, Clone, Debug)]
pub struct RunningProxyAddress {
    /// Port that the proxy listens on
    #[arg(short, long, value_name = "PORT", default_value_t = DEFAULT_PORT)]
    pub port: u16,
    /// IP address that the proxy listens on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = address)]
    pub address: IpAddr,
}

impl RunningProxyAddress {
    /// Returns the address to connect to: loopback for a proxy that listens on every address.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        SocketAddr::new(reachable_ip(self.address), self.port)
    }
}

/// Returns the address that a connection to `ip` reaches: loopback for the unspecified address.
#[must_use]
pub fn reachable_ip(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Where a kubegate serves. The flags are those that it was started with.
#[derive(Args, Clone, Debug)]
pub struct RunningProxyFlags {
    /// Its TCP address.
    #[command(flatten)]
    pub tcp: RunningProxyAddress,
    /// Unix socket that the proxy listens on; the browser still uses the address and the port
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath, value_parser = any_path(),
          num_args = 0..=1)]
    pub unix_socket: Option<Option<PathBuf>>,
    /// The proxy serves https by its local CA (--tls-self-signed)
    #[arg(long)]
    pub tls_self_signed: bool,
    /// The proxy serves https, and the CA in this file has signed its certificate
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "tls_self_signed")]
    pub tls_ca: Option<PathBuf>,
    /// User that runs the proxy, if that is neither you nor root: a name or uid, several separated by
    /// commas
    #[arg(long, value_name = "USERS", value_delimiter = ',')]
    pub allow_uid: Vec<String>,
}

impl RunningProxyFlags {
    /// `--unix-socket`
    #[must_use]
    pub fn unix_socket(&self) -> Option<UnixSocket<'_>> {
        UnixSocket::of_flag(self.unix_socket.as_ref())
    }

    /// Returns the TCP address to connect to, see [`RunningProxyAddress::server`].
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.tcp.server()
    }

    /// Returns the host and port of the proxy's own origin, as a browser writes them. It is the address and
    /// not `localhost`, which may lead to a server of another user at the other loopback address.
    #[must_use]
    pub fn host(&self) -> String {
        let server = self.server();
        match server.ip() {
            IpAddr::V6(ip) if !self.names_port() => format!("[{ip}]"),
            ip if !self.names_port() => ip.to_string(),
            _ => server.to_string(),
        }
    }

    /// Whether a browser writes the port, which is not the default one of the scheme.
    #[must_use]
    pub fn names_port(&self) -> bool {
        self.tcp.port != if self.is_https() { 443 } else { 80 }
    }

    /// Whether the proxy serves https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.tls_self_signed || self.tls_ca.is_some()
    }

    /// Returns `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.is_https() { "https" } else { "http" }
    }
}
