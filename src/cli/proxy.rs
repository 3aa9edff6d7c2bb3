//! `kubegate [proxy]`

mod destinations;
mod exposure;
#[cfg(feature = "demo")]
mod fixed_target;
mod https;
mod ibm_cluster;
pub(super) mod listen;
pub(super) mod local_users;
mod only_context;
mod routes;
mod rules;
mod several_contexts;
mod target_flags;
mod target_source;
mod upstream_headers;
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

use super::interrupt::guarded_from;
use crate::{
    console, descriptors,
    proxy::{
        self, Drain, Prefix,
        guard::{Guard, LocalAccess},
    },
    serve::{self, Listener, PeerCheck, ReloadSignals, ShutdownSignals, TokenFile},
    settings::{ConnectionFlags, ProxyFlags},
    tls,
};
use destinations::Destinations;
pub(super) use destinations::Sources;
use https::Https;

pub(super) const EXAMPLES: &str = "\
Examples:
  # The current context of your kubeconfig at http://127.0.0.1:8001
  kubegate
  curl http://127.0.0.1:8001/api/v1/namespaces/default/pods

  # Another context, any free port, nothing but reading
  kubegate --context staging --port 0 --read-only

  # Every context of your kubeconfig, each at http://127.0.0.1:8001/clusters/SLUG/
  kubegate --all-contexts
  curl http://127.0.0.1:8001/clusters

  # On a unix socket, impersonating another user
  kubegate proxy --unix-socket /run/user/1000/kube.sock --as jane --as-group dev

  # A cluster of IBM Cloud by its name; an API key is enough
  IBMCLOUD_API_KEY=... kubegate --ibm-cluster production

Exit codes: 0 after a drain, 1 if it could not start, 2 for bad flags, 131 after SIGQUIT.";

/// Proxies to the API server that the kubeconfig, the pod or the flags name.
pub(super) async fn run(connection: &ConnectionFlags, flags: &ProxyFlags) -> anyhow::Result<()> {
    let own = Arc::new(OnceLock::new());
    let sources = match (
        several_contexts::of_flags(connection, flags, own.clone())?,
        &flags.ibm.ibm_cluster,
    ) {
        (Some(contexts), _) => Sources::Several(Box::new(contexts)),
        (None, Some(cluster)) => {
            Sources::One(ibm_cluster::source(connection, &flags.ibm, cluster)?)
        }
        (None, None) => Sources::One(target_source::of_flags(connection, flags)?),
    };
    serve(sources, own, flags, |_| String::new()).await
}

/// Listens, proxies to the targets of `sources`, and serves until a signal ends the process. Sets `own`
/// to the listener's address. `greet` returns more text to print once the listener is bound.
pub(super) async fn serve(
    sources: Sources,
    own: Arc<OnceLock<SocketAddr>>,
    flags: &ProxyFlags,
    greet: impl FnOnce(&Listener) -> String,
) -> anyhow::Result<()> {
    descriptors::raise();
    let place = listen::place(flags)?;
    tls::warm_up();
    let token_file = flags.require_token_file().map(TokenFile::read);
    let token_file = token_file.transpose()?;
    let guard = Arc::new(Guard::new(&rules::of_flags(flags))?);
    let https = https::of_flags(flags, &guard)?;
    let drain = Drain::default();
    let destinations = Destinations::resolve(sources, flags, own.clone(), drain.clone()).await?;
    let users = local_users::of_flags(flags, destinations.is_pod())?;
    let parts = parts(flags, guard.clone(), token_file.as_ref(), &destinations)?;
    let workers = 0..serve::worker_count();
    let proxies = workers.map(|worker| proxy::stack(parts.clone(), worker));
    warnings::of_listener(&guard, &place, flags);
    let shutdown = ShutdownSignals::install().context("cannot handle signals")?;
    let reload = ReloadSignals::install().context("cannot handle signals")?;
    let listener = place.listen(&users).await?;
    for address in listener.tcp_addresses() {
        destinations.refuse_own_listener(address)?;
        routes::refuse_loops(flags, address)?;
        own.get_or_init(|| address);
    }
    destinations.log_listening(&listener);
    print_address(&listener, https.as_ref(), &greet(&listener))?;
    let https = https.map(|https| https.listener);
    if let Some(https) = https.clone() {
        tokio::spawn(https.watch());
    }
    if let Some(token_file) = token_file {
        tokio::spawn(token_file.watch());
    }
    tokio::spawn(destinations.run(reload));
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

/// Returns what the stack of layers is made of.
fn parts(
    flags: &ProxyFlags,
    guard: Arc<Guard>,
    token_file: Option<&TokenFile>,
    destinations: &Destinations,
) -> anyhow::Result<proxy::Parts> {
    let tokens = token_file.map(TokenFile::tokens);
    let requires_certificates = flags.tls.client_ca().is_some();
    let files = flags.www();
    let files = files.map(|folder| rules::static_files(flags, folder));
    Ok(proxy::Parts {
        guard,
        access: Arc::new(LocalAccess::new(tokens).with_certificates(requires_certificates)),
        api: Prefix::new(&flags.api_prefix),
        files: files.transpose()?,
        contexts: destinations.contexts().clone(),
        routes: destinations.routes().to_vec(),
        reload_handle: destinations.handle().clone(),
    })
}

/// Prints where the proxy listens, and `more` after it. Scripts wait for the first line.
fn print_address(listener: &Listener, https: Option<&Https>, more: &str) -> anyhow::Result<()> {
    let (scheme, authority) = https::greeting(https);
    let text = format!("Starting to serve on {scheme}{listener}\n{authority}{more}");
    console::print(&text).context("cannot write to standard output")
}
