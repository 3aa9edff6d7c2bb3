//! `kubegate [proxy]`

mod exposure;
#[cfg(feature = "demo")]
mod fixed_target;
mod https;
mod ibm_cluster;
pub(super) mod listen;
pub(super) mod local_users;
mod only_context;
mod rules;
mod target_source;
mod upstreams;
mod warnings;

#[cfg(feature = "demo")]
pub(super) use fixed_target::Fixed;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use anyhow::Context as _;
use tokio::signal::unix::SignalKind;

use self::upstreams::UpstreamBuilder;
use super::interrupt::guarded_from;
use crate::{
    console, descriptors,
    kubeconfig::Target,
    proxy::{
        self, Drain, Prefix, ReloadHandle,
        guard::{Guard, LocalAccess},
    },
    serve::{
        self, DeferredTarget, Listener, PeerCheck, ReloadSignals, Reloader, ShutdownSignals,
        TargetSource, TokenFile,
    },
    settings::{ConnectionFlags, ProxyFlags},
    tls,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  # The current context of your kubeconfig at http://127.0.0.1:8001
  kubegate
  curl http://127.0.0.1:8001/api/v1/namespaces/default/pods

  # Another context, any free port, nothing but reading
  kubegate --context staging --port 0 --read-only

  # On a unix socket, impersonating another user
  kubegate proxy --unix-socket /run/user/1000/kube.sock --as jane --as-group dev

  # A cluster of IBM Cloud by its name; an API key is enough
  IBMCLOUD_API_KEY=... kubegate --ibm-cluster production

Exit codes: 0 after a drain, 1 if it could not start, 2 for bad flags, 131 after SIGQUIT.";

/// Proxies to the API server that the kubeconfig, the pod or the flags name.
pub(super) async fn run(connection: &ConnectionFlags, flags: &ProxyFlags) -> anyhow::Result<()> {
    let source = match &flags.ibm.ibm_cluster {
        Some(cluster) => ibm_cluster::source(connection, &flags.ibm, cluster)?,
        None => target_source::of_flags(connection, flags)?,
    };
    serve(source, flags, |_| String::new()).await
}

/// Listens, proxies to the target of `source`, and serves until a signal ends the process. `greet`
/// returns more text to print once the listener is bound.
pub(super) async fn serve(
    source: Box<dyn TargetSource>,
    flags: &ProxyFlags,
    greet: impl FnOnce(&Listener) -> String,
) -> anyhow::Result<()> {
    descriptors::raise();
    let place = listen::place(flags)?;
    tls::warm_up();
    let source = target_source::as_login(source, flags.login());
    let source = target_source::as_service_account(source, &flags.service_account);
    let token_file = flags.require_token_file().map(TokenFile::read);
    let token_file = token_file.transpose()?;
    let guard = Arc::new(Guard::new(&rules::of_flags(flags))?);
    let https = https::of_flags(flags, &guard)?;
    let own = Arc::new(OnceLock::new());
    let drain = Drain::default();
    let (target, reload_handle) = resolve(source, flags, own.clone(), drain.clone()).await?;
    let contexts = only_context::contexts(target.resolved(), &reload_handle);
    let users = local_users::of_flags(flags, target.is_pod())?;
    let files = flags.www();
    let parts = proxy::Parts {
        guard: guard.clone(),
        access: Arc::new(
            LocalAccess::new(token_file.as_ref().map(TokenFile::tokens))
                .with_certificates(flags.tls.client_ca().is_some()),
        ),
        api: Prefix::new(&flags.api_prefix),
        files: files
            .map(|folder| rules::static_files(flags, folder))
            .transpose()?,
        contexts: contexts.clone(),
        reload_handle: reload_handle.clone(),
    };
    let workers = 0..serve::worker_count();
    let proxies = workers.map(|worker| proxy::stack(parts.clone(), worker));
    warnings::of_listener(&guard, &place, flags);
    let shutdown = ShutdownSignals::install().context("cannot handle signals")?;
    let reload = ReloadSignals::install().context("cannot handle signals")?;
    let listener = place.listen(&users).await?;
    for address in listener.tcp_addresses() {
        if let ProxyTarget::Resolved(reloader) = &target {
            listen::refuse_own_listener(address, &reloader.target().cluster.server)?;
        }
        own.get_or_init(|| address);
    }
    let greeting = greet(&listener);
    let (scheme, authority) = https::greeting(https.as_ref());
    match &target {
        ProxyTarget::Resolved(reloader) => warnings::log_listening(&listener, reloader),
        ProxyTarget::Deferred(_) => tracing::info!(
            "listening on {listener}; the first request has the cluster looked up at IBM Cloud"
        ),
    }
    console::print(&format!(
        "Starting to serve on {scheme}{listener}\n{authority}{greeting}"
    ))
    .context("cannot write to standard output")?;
    let https = https.map(|https| https.listener);
    if let Some(https) = https.clone() {
        tokio::spawn(https.watch());
    }
    if let Some(token_file) = token_file {
        tokio::spawn(token_file.watch());
    }
    tokio::spawn(async move {
        let reloader = match target {
            ProxyTarget::Resolved(reloader) => *reloader,
            ProxyTarget::Deferred(target) => target.resolve_into(&reload_handle).await,
        };
        let observe = only_context::observer(contexts, reload_handle.clone());
        reloader.run(reload_handle, reload, observe).await;
    });
    let limit = flags.drain_timeout;
    let serving = async {
        serve::run(
            listener,
            https,
            PeerCheck::new(users),
            proxies.collect(),
            drain,
            shutdown,
            limit,
        )
        .await
        .context("cannot start the threads that serve requests")
    };
    // SIGQUIT ends the process without a drain.
    guarded_from(&[SignalKind::quit()], serving).await
}

/// The target that requests are proxied to.
enum ProxyTarget {
    Resolved(Box<Reloader>),
    /// Looked up over the network at the first request: the network may not be up at the start.
    Deferred(Arc<DeferredTarget>),
}

impl ProxyTarget {
    /// The target, if it is known yet.
    fn resolved(&self) -> Option<&Target> {
        match self {
            Self::Resolved(reloader) => Some(reloader.target()),
            Self::Deferred(_) => None,
        }
    }

    /// Whether requests are made as the service account of the pod that this process runs in.
    fn is_pod(&self) -> bool {
        match self {
            Self::Resolved(reloader) => reloader.is_pod(),
            Self::Deferred(_) => false,
        }
    }
}

/// Resolves the target of `source`, unless that takes the network. The flags are checked against the
/// target in both cases.
async fn resolve(
    source: Box<dyn TargetSource>,
    flags: &ProxyFlags,
    own: Arc<OnceLock<SocketAddr>>,
    drain: Drain,
) -> anyhow::Result<(ProxyTarget, ReloadHandle)> {
    let client = flags.client_credentials;
    let Some(placeholder) = source.placeholder().cloned() else {
        let reloader = Reloader::resolve(source, upstreams::connector(flags, own)).await;
        let reloader = reloader.map_err(anyhow::Error::from_boxed)?;
        let reload_handle = ReloadHandle::new(reloader.destination(), client, drain)?;
        return Ok((ProxyTarget::Resolved(Box::new(reloader)), reload_handle));
    };
    UpstreamBuilder::new(flags)
        .build(&placeholder.cluster)
        .map_err(anyhow::Error::from_boxed)?;
    let target = DeferredTarget::new(source, upstreams::connector(flags, own));
    let impersonation = &placeholder.user.impersonation;
    let reload_handle = ReloadHandle::with_resolver(target.clone(), impersonation, client, drain)?;
    Ok((ProxyTarget::Deferred(target), reload_handle))
}
