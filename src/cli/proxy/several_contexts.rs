//! Several contexts of the kubeconfig: which ones the flags choose, and where they come from.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use super::{
    listen::refuse_own_listener,
    only_context,
    target_flags::target_flags,
    target_source::{self, OneContext},
};
use crate::{
    cli::usage::bail_usage,
    error::BoxError,
    kubeconfig::{self, AllContexts, Overrides, Resolved},
    proxy::{CLUSTERS, ContextSummary, Prefix, Root},
    serve::{ContextSource, FoundContext, FoundContexts, TargetSource},
    settings::{ConnectionFlags, ProxyFlags, ServiceAccountFlags},
};

/// Several contexts of the kubeconfig.
pub(in crate::cli) struct SeveralContexts {
    /// `--context`; `None` for `--all-contexts`.
    chosen: Option<Vec<String>>,
    explicit: Option<PathBuf>,
    settings: ContextSettings,
    root: Root,
    /// The sources of the contexts that were there at the start or have come since.
    sources: Mutex<BTreeMap<String, OneContext>>,
    /// The proxy's listener, once it is bound.
    own: Arc<OnceLock<SocketAddr>>,
}

/// What flags set for each of several contexts alike.
#[derive(Clone)]
struct ContextSettings {
    overrides: Overrides,
    exec_timeout: Option<Duration>,
    service_account: ServiceAccountFlags,
}

/// Returns the contexts that the flags choose, if these are several. `own` is the proxy's listener, set
/// once it is bound.
///
/// # Errors
/// Flags that exclude each other.
pub(super) fn of_flags(
    connection: &ConnectionFlags,
    flags: &ProxyFlags,
    own: Arc<OnceLock<SocketAddr>>,
) -> anyhow::Result<Option<SeveralContexts>> {
    let names = connection.contexts();
    if !flags.all_contexts && names.len() < 2 {
        if flags.default_context().is_some() {
            bail_usage!(
                "--default-context chooses one of several contexts: give --all-contexts, or --context \
                 more than once"
            );
        }
        return Ok(None);
    }
    if flags.all_contexts && !names.is_empty() {
        bail_usage!("--context and --all-contexts exclude each other; give one of them");
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(**name)) {
        bail_usage!("--context {twice:?} is given twice; leave one of them out");
    }
    let overrides = Overrides::from(connection);
    let several = if flags.all_contexts {
        "--all-contexts"
    } else {
        "several --context"
    };
    if let Some(flag) = of_one_context(&overrides, flags) {
        bail_usage!(
            "{flag} and {several} exclude each other: it would apply to every context alike, also to those \
             of other clusters; set it in the kubeconfig"
        );
    }
    if flags.follow_current_context {
        bail_usage!("--follow-current-context and {several} exclude each other; give one of them");
    }
    if flags.ibm.ibm_cluster.is_some() {
        bail_usage!("--ibm-cluster and {several} exclude each other; give one of them");
    }
    refuse_overlap(flags)?;
    let chosen = (!flags.all_contexts).then(|| names.iter().map(ToString::to_string).collect());
    Ok(Some(SeveralContexts {
        chosen,
        explicit: connection.kubeconfig().map(ToOwned::to_owned),
        settings: ContextSettings {
            overrides: Overrides {
                context: None,
                ..overrides
            },
            exec_timeout: connection.exec_timeout,
            service_account: flags.service_account.clone(),
        },
        root: match flags.default_context() {
            Some(name) => Root::Default(name.to_owned()),
            None => Root::Nothing,
        },
        sources: Mutex::default(),
        own,
    }))
}

/// Returns a flag that means one cluster or user.
fn of_one_context(overrides: &Overrides, flags: &ProxyFlags) -> Option<&'static str> {
    let more = [
        (
            "--certificate-authority",
            overrides.certificate_authority.is_some(),
        ),
        (
            "--insecure-skip-tls-verify",
            overrides.insecure_skip_tls_verify.is_some(),
        ),
        ("--tls-server-name", overrides.tls_server_name.is_some()),
        ("--upstream-header", !flags.upstream_header.is_empty()),
        ("--openshift-username", flags.login().is_some()),
    ];
    let mut all = target_flags(overrides).into_iter().chain(more);
    let given = all.find(|(_, given)| *given);
    given.map(|(flag, _)| flag)
}

/// Refuses prefixes that would hide contexts.
fn refuse_overlap(flags: &ProxyFlags) -> anyhow::Result<()> {
    let contexts = Prefix::new(CLUSTERS);
    let api = ("--api-prefix", &flags.api_prefix);
    let files = flags.www().map(|_| ("--www-prefix", &flags.www_prefix));
    for (flag, prefix) in [Some(api), files].into_iter().flatten() {
        if Prefix::new(prefix).is_below(&contexts) {
            bail_usage!(
                "{flag} {prefix} overlaps {CLUSTERS}/, below which the contexts are served; choose another"
            );
        }
    }
    Ok(())
}

impl SeveralContexts {
    /// What is served outside of `/clusters/`.
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// Reads the contexts for the first time.
    ///
    /// # Errors
    /// A chosen context does not exist or is wrong, or that of `--default-context` does not exist.
    pub(super) fn read_first(&self) -> Result<FoundContexts, BoxError> {
        let all = self.load()?;
        for name in self.chosen.iter().flatten() {
            match all.contexts.get(name) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(format!("--context {name}: {error}").into()),
                None => return Err(missing("--context", name, &all).into()),
            }
        }
        let found = self.found(&all, true);
        let served = |name: &String| found.contexts.iter().any(|c| c.summary.name == *name);
        if let Root::Default(name) = &self.root
            && !served(name)
        {
            if self.chosen.is_some() && all.contexts.contains_key(name) {
                return Err(format!(
                    "--default-context {name:?} is not among the contexts of --context; add it there"
                )
                .into());
            }
            return Err(missing("--default-context", name, &all).into());
        }
        Ok(found)
    }

    /// Whether a broken context is an error at the start.
    pub(super) fn must_be_usable(&self) -> bool {
        self.chosen.is_some()
    }

    fn load(&self) -> Result<AllContexts, BoxError> {
        let explicit = self.explicit.as_deref();
        let env = |name: &str| std::env::var_os(name);
        let overrides = &self.settings.overrides;
        let all = kubeconfig::resolve_contexts(explicit, overrides, &env)
            .map_err(target_source::with_hint)?;
        if all.contexts.is_empty() {
            let files = all.files.iter().map(|file| file.display().to_string());
            let files = files.collect::<Vec<_>>().join(", ");
            return Err(
                format!("there is no context in {files}; `kubegate login` adds one").into(),
            );
        }
        Ok(all)
    }

    fn found(&self, all: &AllContexts, is_first: bool) -> FoundContexts {
        let is_chosen = |name: &&String| match &self.chosen {
            Some(chosen) => chosen.contains(name),
            None => true,
        };
        let names = all.contexts.keys().filter(is_chosen);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|name, _| all.contexts.contains_key(name));
        let contexts = names.map(|name| {
            let resolved = all.contexts.get(name).and_then(|one| one.as_ref().ok());
            if !sources.contains_key(name) {
                let first = resolved.filter(|_| is_first).cloned();
                sources.insert(name.clone(), self.source(name, first));
            }
            FoundContext {
                summary: self.summary(name, all.contexts.get(name)),
                target: resolved.map(|resolved| resolved.target.clone()),
            }
        });
        FoundContexts {
            contexts: contexts.collect(),
            // A pipe cannot be read again.
            files: if all.from_pipe {
                Vec::new()
            } else {
                all.files.clone()
            },
        }
    }

    fn source(&self, context: &str, first: Option<Resolved>) -> OneContext {
        let ContextSettings {
            overrides,
            exec_timeout,
            ..
        } = self.settings.clone();
        let overrides = Overrides {
            context: Some(context.to_owned()),
            ..overrides
        };
        OneContext::new(self.explicit.clone(), overrides, exec_timeout, first)
    }

    fn summary(
        &self,
        name: &str,
        resolved: Option<&Result<Resolved, kubeconfig::Error>>,
    ) -> ContextSummary {
        let broken = |error: Option<String>| ContextSummary {
            name: name.to_owned(),
            server: None,
            verified_by: None,
            error,
        };
        let target = match resolved {
            Some(Ok(resolved)) => &resolved.target,
            Some(Err(error)) => return broken(Some(error.to_string())),
            None => return broken(None),
        };
        let mut summary = only_context::summary(target).unwrap_or_else(|| broken(None));
        if let Some(own) = self.own.get() {
            let looped = refuse_own_listener(*own, &target.cluster.server).err();
            summary.error = looped.map(|error| error.to_string());
        }
        summary
    }
}

fn missing(flag: &str, name: &str, all: &AllContexts) -> kubeconfig::Error {
    kubeconfig::Error::Missing {
        kind: "context",
        name: name.to_owned(),
        named_by: flag.to_owned(),
        files: all.files.clone(),
        existing: all.contexts.keys().cloned().collect(),
    }
}

impl ContextSource for SeveralContexts {
    fn read(&self) -> Result<FoundContexts, BoxError> {
        Ok(self.found(&self.load()?, false))
    }

    fn target_source(&self, context: &str) -> Box<dyn TargetSource> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let source = sources
            .entry(context.to_owned())
            .or_insert_with(|| self.source(context, None));
        let flags = &self.settings.service_account;
        target_source::as_service_account(source.target_source(), flags)
    }
}
