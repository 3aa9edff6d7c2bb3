//! `kubegate [proxy]`

#[cfg(feature = "demo")]
mod fixed;
mod plan;

#[cfg(feature = "demo")]
pub(super) use fixed::Fixed;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket},
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context as _, bail};
use http::{Uri, uri::Scheme};

use super::{contexts::verified_by, usage::bail_usage};
use crate::{
    console, descriptors,
    dial::{Dialer, Environment, Tcp},
    error::BoxError,
    kubeconfig::{self, Cluster},
    proxy::{
        self, Drain, Prefix, ReloadHandle, StaticFileOptions, StaticFiles,
        guard::{Guard, Rules},
    },
    serve::{
        self, Address, DeferredTarget, Listener, MakeUpstream, ReloadSignals, Reloader,
        ShutdownSignals, TargetSource,
    },
    settings::{ConnectionFlags, DEFAULT_PORT, Patterns, ProxyFlags, UpstreamFlags},
    tls::{self, Trust},
    upstream::{Timeouts, Upstream},
};

/// Proxies to the API server that kubeconfig, pod or flags name.
pub(super) async fn run(connection: &ConnectionFlags, flags: &ProxyFlags) -> anyhow::Result<()> {
    let plan = match &flags.ibm.ibm_cluster {
        Some(cluster) => super::ibm::plan(connection, &flags.ibm, cluster)?,
        None => plan::of_flags(connection, flags)?,
    };
    serve(plan, flags, |_| String::new()).await
}

/// Opens the door to where `plan` leads, says so, and serves until a signal ends it. `greet`
/// may have more to say once the door is open.
pub(super) async fn serve(
    plan: Box<dyn TargetSource>,
    flags: &ProxyFlags,
    greet: impl FnOnce(&Listener) -> String,
) -> anyhow::Result<()> {
    descriptors::raise();
    let address = listen_address(flags)?;
    tls::warm_up();
    let plan = plan::as_login(plan, flags.login());
    let plan = plan::as_service_account(plan, &flags.service_account);
    let guard = Arc::new(Guard::new(&rules(flags))?);
    let own = Arc::new(OnceLock::new());
    let drain = Drain::default();
    let (lead, reload_handle) = lead(plan, flags, own.clone(), drain.clone()).await?;
    let parts = proxy::Parts {
        guard: guard.clone(),
        api: Prefix::new(&flags.api_prefix),
        files: flags.www().map(|folder| files(flags, folder)).transpose()?,
        reload_handle: reload_handle.clone(),
    };
    let workers = 0..serve::worker_count();
    let proxies = workers.map(|worker| proxy::stack(parts.clone(), worker));
    warn(&guard, flags);
    let signals = ShutdownSignals::install().context("cannot handle signals")?;
    let hangups = ReloadSignals::install().context("cannot handle signals")?;
    let listener = Listener::bind(&address).await?;
    if let Some(address) = listener.tcp_address() {
        if let Lead::Known(standing) = &lead {
            refuse_own_listener(address, &standing.target().cluster.server)?;
        }
        own.get_or_init(|| address);
    }
    let greeting = greet(&listener);
    match &lead {
        Lead::Known(standing) => say_listening(&listener, standing),
        Lead::Sought(_) => tracing::info!(
            "listening on {listener}; the first request has the cluster looked up at IBM Cloud"
        ),
    }
    console::print(&format!("Starting to serve on {listener}\n{greeting}"))
        .context("cannot write to standard output")?;
    tokio::spawn(async move {
        let standing = match lead {
            Lead::Known(standing) => *standing,
            Lead::Sought(seeker) => seeker.resolve_into(&reload_handle).await,
        };
        standing.run(reload_handle, hangups).await;
    });
    let limit = flags.drain_timeout;
    serve::run(listener, proxies.collect(), drain, signals, limit)
        .await
        .context("cannot start the threads that serve requests")
}

/// Says in the log where requests go, which standard output does not.
fn say_listening(listener: &Listener, standing: &Reloader) {
    let target = standing.target();
    let cluster = &target.cluster;
    let context = target.context.as_ref();
    let context = context.map_or(String::new(), |context| format!(" of context {context:?}"));
    tracing::info!(
        "listening on {listener} for {}{context}, verified by {}; credential: {}",
        cluster.url(),
        verified_by(cluster),
        standing.destination().credentials.subject()
    );
}

/// What is proxied to.
enum Lead {
    Known(Box<Reloader>),
    /// It is asked for over the network, which may not be there yet.
    Sought(Arc<DeferredTarget>),
}

/// Finds where `plan` leads, unless that must be asked for over the network; what flags say of it
/// is checked in either case.
async fn lead(
    plan: Box<dyn TargetSource>,
    flags: &ProxyFlags,
    own: Arc<OnceLock<SocketAddr>>,
    drain: Drain,
) -> anyhow::Result<(Lead, ReloadHandle)> {
    let client = flags.client_credentials;
    let Some(sample) = plan.placeholder().cloned() else {
        let standing = Reloader::resolve(plan, connect(flags, own)).await;
        let standing = standing.map_err(anyhow::Error::from_boxed)?;
        let reload_handle = ReloadHandle::new(standing.destination(), client, drain)?;
        return Ok((Lead::Known(Box::new(standing)), reload_handle));
    };
    Ways::new(flags)
        .to(&sample.cluster)
        .map_err(anyhow::Error::from_boxed)?;
    let seeker = DeferredTarget::new(plan, connect(flags, own));
    let impersonation = &sample.user.impersonation;
    let reload_handle = ReloadHandle::with_resolver(seeker.clone(), impersonation, client, drain)?;
    Ok((Lead::Sought(seeker), reload_handle))
}

fn listen_address(flags: &ProxyFlags) -> anyhow::Result<Address> {
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
        allow_proxy: flags.allow_proxy,
        trust_proxied_pages: flags.trust_proxied_pages,
    }
}

/// How to reach a target; `own` is our own listener, once there is one.
fn connect(flags: &ProxyFlags, own: Arc<OnceLock<SocketAddr>>) -> MakeUpstream {
    let ways = Ways::new(flags);
    Box::new(move |target| {
        let cluster = &target.cluster;
        if let Some(own) = own.get() {
            refuse_own_listener(*own, &cluster.server)?;
        }
        let upstream = ways.to(cluster)?;
        warn_of_cluster(cluster);
        Ok(upstream)
    })
}

/// What flags and environment say of the ways to clusters.
struct Ways {
    environment: Environment,
    times: Timeouts,
    tcp: Tcp,
    append_path: bool,
}

impl Ways {
    fn new(flags: &ProxyFlags) -> Self {
        let times = times(&flags.upstream);
        Self {
            environment: Environment::read(|name| std::env::var(name).ok()),
            times,
            tcp: tcp(flags, times),
            append_path: flags.append_server_path,
        }
    }

    /// The way to `cluster`; no connection is made yet.
    fn to(&self, cluster: &Cluster) -> Result<Upstream, BoxError> {
        let trust = Trust::of_cluster(cluster)?;
        let dialer = Dialer::new(cluster, &self.environment, self.tcp)?;
        Ok(Upstream::new(
            cluster,
            trust,
            dialer,
            self.append_path,
            self.times,
        )?)
    }
}

fn times(flags: &UpstreamFlags) -> Timeouts {
    Timeouts {
        connect: flags.upstream_connect_timeout,
        ping_after: flags.upstream_ping_after,
        ping_timeout: flags.upstream_ping_timeout,
        silence: flags.upstream_silence_timeout,
        idle: flags.upstream_idle_timeout,
        max_age: flags.upstream_max_age,
    }
}

/// Where nothing above TCP can ask for a sign of life, as in a tunnel, the system does.
fn tcp(flags: &ProxyFlags, times: Timeouts) -> Tcp {
    let keepalive = flags.keepalive.unwrap_or(times.silence / 2);
    Tcp {
        connect_timeout: times.connect,
        keepalive: (keepalive > Duration::ZERO).then_some(keepalive),
    }
}

fn files(flags: &ProxyFlags, folder: &Path) -> anyhow::Result<StaticFiles> {
    if !folder.is_dir() {
        let is = if folder.exists() {
            "not a folder"
        } else {
            "no such folder"
        };
        bail!("--www {}: {is}", folder.display());
    }
    if Prefix::new(&flags.www_prefix) == Prefix::new(&flags.api_prefix) {
        bail_usage!(
            "--www-prefix and --api-prefix are both {}; the files of --www would hide the API, so \
             give one of them another path",
            flags.api_prefix
        );
    }
    let extras = StaticFileOptions {
        follow_symlinks: flags.www_follow_symlinks,
        dotfiles: flags.www_dotfiles,
    };
    Ok(StaticFiles::new(&flags.www_prefix, folder, extras))
}

/// Says what is less safe than it could be on the way to the cluster.
fn warn_of_cluster(cluster: &Cluster) {
    let server = &cluster.server;
    if cluster.insecure_skip_tls_verify {
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
}

/// Says once, at start, what is less safe than it could be about our own door.
fn warn(guard: &Guard, flags: &ProxyFlags) {
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
    if guard.accepts_beyond_loopback() {
        tracing::info!(
            "browsers may use this proxy at loopback names, such as localhost, or over https \
             before it; their requests over plain http to other names are refused"
        );
    }
    if flags.trust_proxied_pages {
        tracing::warn!(
            "pages behind */proxy and in logs are trusted (--trust-proxied-pages): each of them \
             can use your credential for everything in the cluster"
        );
    } else {
        tracing::info!(
            "pages behind */proxy are sandboxed in browsers: web UIs there do not load their \
             parts; --trust-proxied-pages lets them, and gives them your credential"
        );
    }
}

/// A server that is our own listener would have us ask ourselves for ever.
fn refuse_own_listener(own: SocketAddr, server: &Uri) -> anyhow::Result<()> {
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
