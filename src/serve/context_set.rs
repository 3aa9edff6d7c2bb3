//! [`ContextSet`]: serves several contexts, and follows the changes of their source.
//!
//! A context costs little until its first request, which resolves it and makes its credentials and
//! connections. One that no request has asked for in a long time is released again. A change of one
//! context leaves the others as they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    connector::Connector,
    context_source::{ContextSource, FoundContext, FoundContexts},
    file_watcher::FileWatcher,
    lazy_target::LazyTarget,
    reload::{CHECK_INTERVAL, LastFailure},
    signals::ReloadSignals,
};
use crate::{
    error::BoxError,
    kubeconfig::Target,
    proxy::{ContextEntry, ContextSummary, ContextTable, Contexts, Drain, Root, impersonate},
    settings::ClientCredentials,
    telemetry,
};

/// How long no request has come for a context whose connections and credentials are released. A watch
/// that is still open goes on.
const RELEASED_AFTER: Duration = Duration::from_mins(30);

/// See the module.
pub struct ContextSet {
    source: Arc<dyn ContextSource>,
    connector: Connector,
    client_credentials: ClientCredentials,
    drain: Drain,
    root: Root,
    served: BTreeMap<String, Served>,
    files: Vec<std::path::PathBuf>,
    contexts: Contexts,
}

/// One context that is served.
struct Served {
    entry: Arc<ContextEntry>,
    lazy: Arc<LazyTarget>,
    target: Option<Target>,
    last_used: Instant,
}

impl ContextSet {
    /// Serves the contexts that were found in `source`, and `root` outside of them. Nothing is connected
    /// to yet.
    ///
    /// # Errors
    /// Two contexts have the same slug.
    pub fn new(
        source: Box<dyn ContextSource>,
        found: FoundContexts,
        root: Root,
        connector: Connector,
        client_credentials: ClientCredentials,
        drain: Drain,
    ) -> Result<Self, BoxError> {
        let mut set = Self {
            source: source.into(),
            connector,
            client_credentials,
            drain,
            contexts: Contexts::new(ContextTable::new(Vec::new(), root.clone())),
            root,
            served: BTreeMap::new(),
            files: found.files,
        };
        for context in found.contexts {
            set.refuse_equal_slug(&context.summary)?;
            set.add(context, Instant::now())?;
        }
        set.publish();
        Ok(set)
    }

    /// The contexts as they are served. The set keeps them up to date.
    #[must_use]
    pub fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// Follows the source until the runtime ends.
    pub async fn run(mut self, mut signals: ReloadSignals) {
        let mut watcher = FileWatcher::default();
        let mut failure = LastFailure::default();
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let by_signal = tokio::select! {
                _ = checks.tick() => {
                    telemetry::tick();
                    false
                }
                () = signals.received() => true,
            };
            self.release_idle(Instant::now());
            watcher.watch(self.files.iter().cloned());
            // A pipe cannot be read again.
            let must_read = (by_signal || failure.is_some()) && !self.files.is_empty();
            let source = Arc::clone(&self.source);
            let reading = spawn_blocking(move || {
                let is_changed = watcher.check().any || must_read;
                (watcher, is_changed.then(|| source.read()))
            });
            // Fails only while the runtime shuts down.
            let Ok((checked, found)) = reading.await else {
                return;
            };
            watcher = checked;
            match found {
                None => {}
                Some(Ok(found)) => {
                    failure.clear();
                    self.apply(found, Instant::now());
                }
                Some(Err(error)) => failure.log(&*error, by_signal),
            }
        }
    }

    /// Serves what was found now. Contexts that did not change are not touched.
    fn apply(&mut self, found: FoundContexts, now: Instant) {
        self.files = found.files;
        let names = found.contexts.iter();
        let names: BTreeSet<_> = names.map(|context| context.summary.name.clone()).collect();
        let mut is_changed = false;
        self.served.retain(|name, served| {
            let is_found = names.contains(name);
            if !is_found {
                tracing::info!(context = %name, "no longer served: it is gone from the kubeconfig");
                served.lazy.end();
                is_changed = true;
            }
            is_found
        });
        for context in found.contexts {
            is_changed |= match self.served.get_mut(&context.summary.name) {
                Some(served) if served.is_as(&context) => false,
                Some(served) if served.entry.handle().has_destination() => {
                    served.update(context);
                    true
                }
                Some(_) => self.add_or_warn(context, now),
                None => {
                    tracing::info!(context = %context.summary.name, "served from now on");
                    self.add_or_warn(context, now)
                }
            };
        }
        if is_changed {
            self.publish();
        }
    }

    /// Releases what contexts without a recent request hold.
    fn release_idle(&mut self, now: Instant) {
        let mut idle = Vec::new();
        for (name, served) in &mut self.served {
            if served.entry.take_used() {
                served.last_used = now;
            }
            let is_idle = now.duration_since(served.last_used) >= RELEASED_AFTER;
            if is_idle && served.entry.handle().has_destination() {
                idle.push(name.clone());
            }
        }
        for name in &idle {
            let Some(served) = self.served.remove(name) else {
                continue;
            };
            tracing::info!(context = %name, "released: no request came in a long time");
            served.lazy.end();
            let context = FoundContext {
                summary: served.entry.summary().clone(),
                target: served.target,
            };
            self.add_or_warn(context, now);
        }
        if !idle.is_empty() {
            self.publish();
        }
    }

    /// Serves a context, in place of one of the same name that has not been used.
    fn add(&mut self, context: FoundContext, now: Instant) -> Result<(), impersonate::Error> {
        let FoundContext { summary, target } = context;
        let name = summary.name.clone();
        let (lazy, handle) = LazyTarget::create(
            &name,
            self.source.target_source(&name),
            self.connector.clone(),
            self.client_credentials,
            self.drain.clone(),
        )?;
        let served = Served {
            entry: Arc::new(ContextEntry::new(summary, handle)),
            lazy,
            target,
            last_used: now,
        };
        if let Some(before) = self.served.insert(name, served) {
            before.lazy.end();
        }
        Ok(())
    }

    /// Returns whether the context is served.
    fn add_or_warn(&mut self, context: FoundContext, now: Instant) -> bool {
        let name = context.summary.name.clone();
        let slug = self.refuse_equal_slug(&context.summary);
        let added = slug.and_then(|()| Ok(self.add(context, now)?));
        if let Err(error) = &added {
            let error: &dyn std::error::Error = &**error;
            tracing::warn!(context = %name, error, "not served");
        }
        added.is_ok()
    }

    fn refuse_equal_slug(&self, summary: &ContextSummary) -> Result<(), BoxError> {
        let slug = crate::kubeconfig::Slug::of_context(&summary.name);
        let mut others = self.served.values().map(|served| &served.entry);
        let same = |other: &&Arc<ContextEntry>| {
            *other.slug() == slug && other.summary().name != summary.name
        };
        match others.find(same) {
            None => Ok(()),
            Some(other) => Err(format!(
                "the contexts {:?} and {:?} would both be served at /clusters/{slug}/; rename one of them \
                 (kubectl config rename-context), or choose others by --context",
                other.summary().name,
                summary.name
            )
            .into()),
        }
    }

    fn publish(&self) {
        let entries = self.served.values();
        let entries = entries.map(|served| Arc::clone(&served.entry)).collect();
        self.contexts
            .replace(ContextTable::new(entries, self.root.clone()));
    }
}

impl Served {
    /// Whether nothing has changed. What failed is tried anew.
    fn is_as(&self, context: &FoundContext) -> bool {
        *self.entry.summary() == context.summary
            && has_same_target(self.target.as_ref(), context.target.as_ref())
            && self.entry.handle().failure().is_none()
    }

    /// Has a context in use reloaded.
    fn update(&mut self, context: FoundContext) {
        if !has_same_target(self.target.as_ref(), context.target.as_ref()) {
            self.lazy.reload();
        }
        self.entry = Arc::new(self.entry.with_summary(context.summary));
        self.target = context.target;
    }
}

fn has_same_target(before: Option<&Target>, now: Option<&Target>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => before.cluster == now.cluster && before.user == now.user,
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
