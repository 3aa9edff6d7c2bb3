//! `kubegate [proxy]`

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use http::{Uri, uri::Scheme};

use crate::{
    credential::{self, Cache},
    dial::{Dialer, Environment},
    kubeconfig::{self, Overrides, Target},
    proxy::{
        self, Drain, Prefix, StaticFiles,
        guard::{Guard, Rules},
    },
    serve::{self, Address, Listener, Signals},
    settings::{ConnectionFlags, DEFAULT_PORT, Patterns, ProxyFlags},
    tls::Trust,
    upstream::Upstream,
};

/// Proxies to the API server that kubeconfig, pod or flags name.
pub(super) async fn run(connection: &ConnectionFlags, flags: &ProxyFlags) -> anyhow::Result<()> {
    let overrides = Overrides::from(connection);
    let explicit = connection.kubeconfig();
    let target = kubeconfig::resolve(explicit, &overrides, &|name| std::env::var_os(name))
        .map_err(with_hint)?;
    let credentials = credential::from_user(&target)?;
    serve(target, credentials, flags, |_| String::new()).await
}

/// Who has no cluster at all may still want to see what this is.
fn with_hint(error: kubeconfig::Error) -> anyhow::Error {
    if cfg!(feature = "demo") && matches!(error, kubeconfig::Error::NothingFound { .. }) {
        return anyhow!("{error}; to try it without a cluster, run `kubegate demo`");
    }
    error.into()
}

/// Opens the door to `target`, says so, and serves until a signal ends it. `greet` may have
/// more to say once the door is open.
pub(super) async fn serve(
    target: Target,
    credentials: Arc<Cache>,
    flags: &ProxyFlags,
    greet: impl FnOnce(&Listener) -> String,
) -> anyhow::Result<()> {
    let address = listen_address(flags)?;
    let credentials =
        credential::as_service_account(&target.cluster, &flags.service_account, credentials)?;
    let guard = Arc::new(Guard::new(&rules(flags))?);
    let upstream = Arc::new(upstream(&target, flags)?);
    let drain = Drain::default();
    let stack = proxy::stack(proxy::Parts {
        guard: guard.clone(),
        api: Prefix::new(&flags.api_prefix),
        files: flags.www().map(|folder| files(flags, folder)).transpose()?,
        impersonation: target.user.impersonation.clone(),
        client_credentials: flags.client_credentials,
        credentials,
        upstream,
        drain: drain.clone(),
    })?;
    warn(&target, &guard, flags);
    let signals = Signals::install().context("cannot handle signals")?;
    let listener = Listener::bind(&address).await?;
    if let Some(own) = listener.tcp_address() {
        refuse_own_listener(own, &target.cluster.server).await?;
    }
    let mut stdout = std::io::stdout();
    let greeting = greet(&listener);
    write!(stdout, "Starting to serve on {listener}\n{greeting}")
        .and_then(|()| stdout.flush())
        .context("cannot write to stdout")?;
    serve::run(listener, stack, drain, signals, flags.drain_timeout).await;
    Ok(())
}

fn listen_address(flags: &ProxyFlags) -> anyhow::Result<Address> {
    if let Some(path) = flags.unix_socket() {
        if flags.port != DEFAULT_PORT {
            bail!("--unix-socket and --port exclude each other; give one of them");
        }
        return Ok(Address::Unix(path.to_owned()));
    }
    if !flags.address.is_loopback() && flags.accept_hosts.is_none() {
        bail!(
            "--address {} would open the cluster, with your credential, to whoever can reach \
             this machine; if that is meant, say by --accept-hosts which host names they may \
             use, such as --accept-hosts '^kubegate\\.example$'",
            flags.address
        );
    }
    Ok(Address::Tcp(flags.tcp_address()))
}

fn rules(flags: &ProxyFlags) -> Rules {
    let defaults = Rules::default();
    let given = |patterns: &Option<Patterns>| patterns.clone().map(|p| p.0);
    Rules {
        accept_hosts: given(&flags.accept_hosts).unwrap_or(defaults.accept_hosts),
        accept_paths: given(&flags.accept_paths).unwrap_or(defaults.accept_paths),
        reject_paths: given(&flags.reject_paths),
        reject_methods: given(&flags.reject_methods).unwrap_or(defaults.reject_methods),
        disable_filter: flags.disable_filter,
        allow_origins: flags.allow_origin.clone(),
        allow_exec: flags.allow_exec,
        read_only: flags.read_only,
    }
}

fn upstream(target: &Target, flags: &ProxyFlags) -> anyhow::Result<Upstream> {
    let cluster = &target.cluster;
    let trust = Trust::of_cluster(cluster)?;
    let environment = Environment::read(|name| std::env::var(name).ok());
    let keepalive = (flags.keepalive > Duration::ZERO).then_some(flags.keepalive);
    let dialer = Dialer::new(cluster, &environment, keepalive)?;
    Ok(Upstream::new(
        cluster,
        trust,
        dialer,
        flags.append_server_path,
    )?)
}

fn files(flags: &ProxyFlags, folder: &Path) -> anyhow::Result<StaticFiles> {
    if !folder.is_dir() {
        bail!("--www {}: no such folder", folder.display());
    }
    Ok(StaticFiles::new(&flags.www_prefix, folder))
}

/// Says once, at start, what is less safe than it could be.
fn warn(target: &Target, guard: &Guard, flags: &ProxyFlags) {
    let server = &target.cluster.server;
    if target.cluster.insecure_skip_tls_verify {
        tracing::warn!(
            "the certificate of {server} is NOT verified (insecure-skip-tls-verify): anybody on \
             the way can read and change everything, your credential included"
        );
    }
    if server.scheme() == Some(&Scheme::HTTP) {
        tracing::warn!(
            "{server} is reached in plain text, so no credential of yours is sent to it"
        );
    }
    if flags.unix_socket().is_none() && !flags.address.is_loopback() {
        tracing::warn!(
            "listening beyond this machine on {}: whoever reaches it acts in the cluster with \
             your credential",
            flags.address
        );
    }
    if guard.accepts_any_host() {
        tracing::warn!(
            "requests may name any host: a web page whose name is made to resolve to this \
             machine (DNS rebinding) gets in; narrow --accept-hosts and leave out --disable-filter"
        );
    }
}

/// A server that is our own listener would have us ask ourselves for ever.
async fn refuse_own_listener(own: SocketAddr, server: &Uri) -> anyhow::Result<()> {
    if kubeconfig::port(server) != own.port() {
        return Ok(());
    }
    let host = kubeconfig::host(server);
    // A name that does not resolve now is not ours; the first request will say so.
    let Ok(addresses) = tokio::net::lookup_host((host, own.port())).await else {
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
