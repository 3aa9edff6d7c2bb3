//! Where a proxy sends requests: to one target, or to several contexts.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use tokio::sync::Notify;

use super::{
    listen::refuse_own_listener,
    only_context, routes,
    several_contexts::SeveralContexts,
    target_source,
    upstreams::{self, UpstreamBuilder},
    warnings,
};
use crate::{
    proxy::{CLUSTERS, Contexts, Drain, ExtraRoute, ReloadHandle, Root},
    serve::{
        Connector, ContextSet, ContextSource as _, DeferredTarget, Listener, ReloadSignals,
        Reloader, TargetSource,
    },
    settings::ProxyFlags,
};

/// Where the destinations come from.
pub(in crate::cli) enum Sources {
    /// One target, at `/`.
    One(Box<dyn TargetSource>),
    /// Several contexts of the kubeconfig, each below `/clusters/`.
    Several(Box<SeveralContexts>),
}

/// The destinations, ready for requests.
pub(super) struct Destinations {
    targets: Targets,
    handle: ReloadHandle,
    contexts: Contexts,
    routes: Vec<Arc<ExtraRoute>>,
}

enum Targets {
    Resolved(Box<Reloader>),
    /// Looked up over the network at the first request: the network may not be up at the start.
    Deferred(Arc<DeferredTarget>),
    Several(Box<ContextSet>),
}

impl Destinations {
    /// Resolves the target of `sources`, unless that takes the network. The flags are checked against the
    /// target in both cases. `own` is the proxy's listener, set once it is bound.
    pub(super) async fn resolve(
        sources: Sources,
        flags: &ProxyFlags,
        own: Arc<OnceLock<SocketAddr>>,
        drain: Drain,
    ) -> anyhow::Result<Self> {
        let client = flags.client_credentials;
        let source = match sources {
            Sources::One(source) => source,
            Sources::Several(contexts) => return several(*contexts, flags, own, drain),
        };
        let source = target_source::as_login(source, flags.login());
        let source = target_source::as_service_account(source, &flags.service_account);
        let connector = upstreams::connector(flags, own, routes::of_flags(flags, false)?)?;
        let routes = routes_of(&connector);
        if let Some(placeholder) = source.placeholder().cloned() {
            let builder = UpstreamBuilder::new(flags);
            let checked = builder.build(&placeholder.cluster);
            checked.map_err(anyhow::Error::from_boxed)?;
            let target = DeferredTarget::new(source, connector);
            let impersonation = &placeholder.user.impersonation;
            let handle = ReloadHandle::with_resolver(target.clone(), impersonation, client, drain)?;
            return Ok(Self {
                targets: Targets::Deferred(target),
                contexts: only_context::contexts(None, &handle),
                routes,
                handle,
            });
        }
        let reloader = Reloader::resolve(source, connector).await;
        let reloader = reloader.map_err(anyhow::Error::from_boxed)?;
        let handle = ReloadHandle::new(reloader.destination(), client, drain)?;
        let context = reloader.target().context.as_deref();
        for route in &routes {
            refuse_other_context(route, |name| Some(name) == context)?;
        }
        Ok(Self {
            routes,
            contexts: only_context::contexts(Some(reloader.target()), &handle),
            targets: Targets::Resolved(Box::new(reloader)),
            handle,
        })
    }

    /// Where requests that choose no context go.
    pub(super) fn handle(&self) -> &ReloadHandle {
        &self.handle
    }

    /// The contexts below `/clusters/`.
    pub(super) fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// The paths that lead to other servers.
    pub(super) fn routes(&self) -> &[Arc<ExtraRoute>] {
        &self.routes
    }

    /// Whether requests are made as the service account of the pod that this process runs in.
    pub(super) fn is_pod(&self) -> bool {
        match &self.targets {
            Targets::Resolved(reloader) => reloader.is_pod(),
            Targets::Deferred(_) | Targets::Several(_) => false,
        }
    }

    /// Refuses a listener at `own` that the one target is. With several contexts, one that is the
    /// listener gets an error of its own.
    pub(super) fn refuse_own_listener(&self, own: SocketAddr) -> anyhow::Result<()> {
        match &self.targets {
            Targets::Resolved(reloader) => {
                refuse_own_listener(own, &reloader.target().cluster.server)
            }
            Targets::Deferred(_) | Targets::Several(_) => Ok(()),
        }
    }

    /// Logs where requests go.
    pub(super) fn log_listening(&self, listener: &Listener) {
        match &self.targets {
            Targets::Resolved(reloader) => warnings::log_listening(listener, reloader),
            Targets::Deferred(_) => tracing::info!(
                "listening on {listener}; the first request has the cluster looked up at IBM Cloud"
            ),
            Targets::Several(_) => tracing::info!(
                "listening on {listener} for {} contexts, each below {CLUSTERS}/; {CLUSTERS} lists them",
                self.contexts.load().entries().len()
            ),
        }
    }

    /// Follows the changes of files until the runtime ends.
    pub(super) async fn run(self, signals: ReloadSignals) {
        let reloader = match self.targets {
            Targets::Resolved(reloader) => *reloader,
            Targets::Deferred(target) => target.resolve_into(&self.handle).await,
            Targets::Several(set) => return set.run(signals).await,
        };
        let observe = only_context::observer(self.contexts, self.handle.clone());
        let unchanged = Arc::new(Notify::new());
        reloader.run(self.handle, signals, unchanged, observe).await;
    }
}

fn routes_of(connector: &Connector) -> Vec<Arc<ExtraRoute>> {
    let routes = connector.routes().iter();
    routes.map(|extra| Arc::clone(extra.route())).collect()
}

/// Refuses a route of a context that is not served.
fn refuse_other_context(
    route: &ExtraRoute,
    is_served: impl Fn(&str) -> bool,
) -> anyhow::Result<()> {
    match route.context() {
        Some(name) if !is_served(name) => anyhow::bail!(
            "route {}: its context {name:?} is not served; name one that is, or serve it too (--context)",
            route.prefix()
        ),
        _ => Ok(()),
    }
}

fn several(
    source: SeveralContexts,
    flags: &ProxyFlags,
    own: Arc<OnceLock<SocketAddr>>,
    drain: Drain,
) -> anyhow::Result<Destinations> {
    let found = source.read_first().map_err(anyhow::Error::from_boxed)?;
    if source.must_be_usable() {
        let builder = UpstreamBuilder::new(flags);
        for context in &found.contexts {
            if let Some(target) = &context.target {
                let name = &context.summary.name;
                let checked = builder.build(&target.cluster);
                checked.map_err(|error| {
                    anyhow::Error::from_boxed(error).context(format!("--context {name}"))
                })?;
            }
        }
    }
    let root = source.root().clone();
    if let Root::Default(name) = &root {
        tracing::warn!(
            "/ serves the context {name:?} too (--default-context): `kubectl --raw` before 1.37 drops \
             {CLUSTERS}/SLUG/ from the server's address, so that a write meant for another context \
             reaches {name:?}"
        );
    }
    let client = flags.client_credentials;
    let handle = ReloadHandle::nowhere(client, drain.clone());
    let connector = upstreams::connector(flags, own, routes::of_flags(flags, true)?)?;
    for extra in connector.routes() {
        let route = extra.route();
        let of_route = |name: &str| route.context() == Some(name);
        let mut contexts = found.contexts.iter();
        let context = contexts.find(|context| of_route(&context.summary.name));
        refuse_other_context(route, |_| context.is_some())?;
        if let Some(target) = context.and_then(|context| context.target.as_ref()) {
            let source = source.target_source(route.context().unwrap_or_default());
            let checked = extra.check(&*source, target);
            checked.map_err(anyhow::Error::from_boxed)?;
        }
    }
    let routes = routes_of(&connector);
    let set = ContextSet::new(Box::new(source), found, root, connector, client, drain);
    let set = set.map_err(anyhow::Error::from_boxed)?;
    Ok(Destinations {
        contexts: set.contexts().clone(),
        targets: Targets::Several(Box::new(set)),
        handle,
        routes,
    })
}
