//! Where the proxy's target comes from, at the start and at a reload.

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use crate::{
    cli::{plugin_file, usage::bail_usage},
    credential::{self, Cache, CommandContext},
    error::BoxError,
    kubeconfig::{self, Overrides, Pin, Target},
    login,
    serve::{ResolvedTarget, TargetFuture, TargetSource},
    settings::{ConnectionFlags, Login, ProxyFlags, ServiceAccountFlags},
};

/// Returns the source of the target that these flags choose.
pub(super) fn of_flags(
    connection: &ConnectionFlags,
    flags: &ProxyFlags,
) -> anyhow::Result<Box<dyn TargetSource>> {
    let overrides = Overrides::from(connection);
    if flags.follow_current_context && overrides.context.is_some() {
        bail_usage!("--context and --follow-current-context exclude each other; give one of them");
    }
    if flags.follow_current_context {
        tracing::warn!(
            "the context changes when current-context does (--follow-current-context), but kubectl keeps \
             what it discovers of a server by its address: after a change it may use the resources of \
             the cluster before, for up to six hours or until ~/.kube/cache is deleted; --all-contexts \
             gives each context an address of its own"
        );
    }
    let resolver = Resolver {
        explicit: connection.kubeconfig().map(ToOwned::to_owned),
        overrides,
        follow: flags.follow_current_context,
        exec_timeout: connection.exec_timeout,
        first: OnceLock::new(),
        used: OnceLock::new(),
        is_late: false,
    };
    Ok(Box::new(Kubeconfig {
        resolver: Arc::new(resolver),
        is_watched_elsewhere: false,
    }))
}

/// Replaces the user of `base` by a login of kubegate, if the flags choose one.
pub(super) fn as_login(base: Box<dyn TargetSource>, login: Option<Login>) -> Box<dyn TargetSource> {
    match login {
        Some(login) => Box::new(OwnLogin { base, login }),
        None => base,
    }
}

/// Replaces the user of `base` by a service account, if the flags choose one.
pub(super) fn as_service_account(
    base: Box<dyn TargetSource>,
    flags: &ServiceAccountFlags,
) -> Box<dyn TargetSource> {
    if flags.service_account.is_none() && flags.service_account_secret.is_none() {
        return base;
    }
    let flags = flags.clone();
    Box::new(ServiceAccount { base, flags })
}

/// The API server and user of the kubeconfig, the pod or the flags.
struct Kubeconfig {
    resolver: Arc<Resolver>,
    /// Whether the caller follows the changes of the files.
    is_watched_elsewhere: bool,
}

struct Resolver {
    explicit: Option<PathBuf>,
    overrides: Overrides,
    follow: bool,
    exec_timeout: Option<Duration>,
    /// What was found at the start.
    first: OnceLock<kubeconfig::Resolved>,
    /// Set once the target is in use.
    used: OnceLock<()>,
    /// Whether nothing was found at the start.
    is_late: bool,
}

/// One of several contexts of the kubeconfig, which the caller watches.
pub(super) struct OneContext(Arc<Resolver>);

impl OneContext {
    /// Creates the source of the context that `overrides` name, which is `first` at the start. Without
    /// that, the context has come later.
    pub(super) fn new(
        explicit: Option<PathBuf>,
        overrides: Overrides,
        exec_timeout: Option<Duration>,
        first: Option<kubeconfig::Resolved>,
    ) -> Self {
        Self(Arc::new(Resolver {
            explicit,
            overrides,
            follow: false,
            exec_timeout,
            is_late: first.is_none(),
            first: first.map(OnceLock::from).unwrap_or_default(),
            used: OnceLock::new(),
        }))
    }

    /// The source of its target.
    pub(super) fn target_source(&self) -> Box<dyn TargetSource> {
        Box::new(Kubeconfig {
            resolver: Arc::clone(&self.0),
            is_watched_elsewhere: true,
        })
    }
}

impl TargetSource for Kubeconfig {
    fn resolve(&self) -> TargetFuture<'_> {
        let resolver = Arc::clone(&self.resolver);
        let is_watched_elsewhere = self.is_watched_elsewhere;
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || resolver.resolve()).await??;
            Ok(ResolvedTarget {
                target: found.target,
                files: if is_watched_elsewhere {
                    Vec::new()
                } else {
                    found.files
                },
            })
        })
    }

    fn is_pod(&self) -> bool {
        let first = self.resolver.first.get();
        first.is_some_and(|first| first.pin == Pin::Pod)
    }

    fn credentials(&self, target: &Target) -> Result<Arc<Cache>, BoxError> {
        Ok(credential::from_user(target, self.resolver.exec_timeout)?)
    }

    fn cloud_credentials(&self, target: &Target) -> Result<Option<Arc<Cache>>, BoxError> {
        Ok(credential::of_ibm_cloud(target)?)
    }

    fn keeps_credentials(&self, before: &Target, now: &Target) -> bool {
        credential::is_same_source(before, now)
    }
}

/// A login that the flags describe, at the cluster of another source.
struct OwnLogin {
    base: Box<dyn TargetSource>,
    login: Login,
}

impl TargetSource for OwnLogin {
    fn resolve(&self) -> TargetFuture<'_> {
        self.base.resolve()
    }

    fn placeholder(&self) -> Option<&Target> {
        self.base.placeholder()
    }

    fn is_pod(&self) -> bool {
        self.base.is_pod()
    }

    fn credentials(&self, target: &Target) -> Result<Arc<Cache>, BoxError> {
        let source = credential::saved_login::source(
            &self.login,
            &target.cluster,
            &CommandContext::Unknown,
        )?;
        Ok(Cache::new(source))
    }

    fn keeps_credentials(&self, before: &Target, now: &Target) -> bool {
        before.cluster == now.cluster
    }
}

/// A service account, whose tokens the user of another source requests.
struct ServiceAccount {
    base: Box<dyn TargetSource>,
    flags: ServiceAccountFlags,
}

impl TargetSource for ServiceAccount {
    fn resolve(&self) -> TargetFuture<'_> {
        self.base.resolve()
    }

    fn placeholder(&self) -> Option<&Target> {
        self.base.placeholder()
    }

    fn is_pod(&self) -> bool {
        self.base.is_pod()
    }

    fn credentials(&self, target: &Target) -> Result<Arc<Cache>, BoxError> {
        let base = self.base.credentials(target)?;
        let cluster = &target.cluster;
        Ok(credential::as_service_account(cluster, &self.flags, base)?)
    }

    /// The same base is not enough, since the API server issues the tokens.
    fn keeps_credentials(&self, before: &Target, now: &Target) -> bool {
        before.cluster == now.cluster && self.base.keeps_credentials(before, now)
    }
}

impl Resolver {
    fn resolve(&self) -> Result<kubeconfig::Resolved, BoxError> {
        let again = match self.first.get() {
            None => None,
            Some(first) if first.from_pipe => {
                self.note_use(first);
                return Ok(first.clone());
            }
            Some(first) if self.follow && first.pin != Pin::Pod => Some(&Pin::CurrentContext),
            Some(first) => Some(&first.pin),
        };
        let env = |name: &str| -> Option<OsString> { std::env::var_os(name) };
        let explicit = self.explicit.as_deref();
        let found = kubeconfig::resolve_pinned(explicit, &self.overrides, again, &env)
            .map_err(with_hint)?;
        match self.first.get() {
            None if self.is_late => accept_plugin(None, &found)?,
            None => {}
            Some(first) => accept_plugin(Some(first), &found)?,
        }
        self.note_use(&found);
        self.first.get_or_init(|| found.clone());
        Ok(found)
    }

    /// Notes the first use of the target.
    fn note_use(&self, found: &kubeconfig::Resolved) {
        if self.used.set(()).is_ok() {
            plugin_file::warn(found);
            login::note_use(found, &|name: &str| std::env::var_os(name));
        }
    }
}

/// Refuses an exec plugin that another user may have put into the kubeconfig after the start. A plugin
/// that was warned of at the start is accepted as long as it stays the same.
fn accept_plugin(
    first: Option<&kubeconfig::Resolved>,
    now: &kubeconfig::Resolved,
) -> Result<(), BoxError> {
    let is_as_at_start = || {
        first.is_some_and(|first| {
            plugin_file::problem(first).is_some()
                && first.target.user.login == now.target.user.login
        })
    };
    match plugin_file::problem(now) {
        Some(problem) if !is_as_at_start() => Err(format!(
            "{problem}, which was not so at the start; take away their access (chown, chmod go-w), or \
             restart kubegate"
        )
        .into()),
        _ => Ok(()),
    }
}

/// Adds the demo as a way to try kubegate without a cluster.
pub(super) fn with_hint(error: kubeconfig::Error) -> BoxError {
    if cfg!(feature = "demo") && matches!(error, kubeconfig::Error::NothingFound { .. }) {
        return format!("{error}; to try it without a cluster, run `kubegate demo`").into();
    }
    error.into()
}
