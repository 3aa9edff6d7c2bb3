//! [`Reloader`]: applies changes of files, or a SIGHUP, while the proxy runs.
//!
//! What did not change is kept: the credentials with their tokens, and the connections to the API
//! server. A configuration that cannot be used changes nothing and causes one warning.

use std::{error::Error, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::{
    active_target::{ActiveTarget, TargetBuilder},
    connector::Connector,
    file_watcher::FileWatcher,
    signals::ReloadSignals,
    target_source::TargetSource,
};
use crate::{
    error::{self, BoxError},
    kubeconfig::Target,
    proxy::{Destination, ReloadHandle},
    telemetry,
};

/// How often files are checked. Change notifications of the system are not used: network file
/// systems send none, so polling would be needed all the same, and a check takes microseconds.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The active target, and the source that it came from.
pub struct Reloader {
    builder: Arc<TargetBuilder>,
    active: ActiveTarget,
}

impl Reloader {
    /// Resolves the target of `source` for the first time.
    ///
    /// # Errors
    /// The source has no target, or the target cannot be used.
    pub async fn resolve(
        source: Box<dyn TargetSource>,
        connector: Connector,
    ) -> Result<Self, BoxError> {
        let builder = Arc::new(TargetBuilder::new(source, connector));
        let resolved = builder.resolve().await?;
        let active = builder.build(resolved, None)?;
        Ok(Self { builder, active })
    }

    pub(super) fn new(builder: Arc<TargetBuilder>, active: ActiveTarget) -> Self {
        Self { builder, active }
    }

    /// Returns the API server and the user.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.active.target
    }

    /// Returns whether the user is the service account of the pod that this process runs in.
    #[must_use]
    pub fn is_pod(&self) -> bool {
        self.builder.is_pod()
    }

    /// Returns where requests are sent.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.active.destination
    }

    /// Watches for changes until the runtime ends, and has `handle` send requests to the new destination.
    /// `source_changed` says that the source has changed otherwise than by its files. `observe` is called with
    /// the target of each reload.
    pub async fn run(
        mut self,
        handle: ReloadHandle,
        mut signals: ReloadSignals,
        source_changed: Arc<Notify>,
        observe: impl Fn(&Target) + Send,
    ) {
        let mut watcher = FileWatcher::default();
        let mut failure = LastFailure::default();
        let mut is_first = true;
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (by_signal, by_source) = tokio::select! {
                _ = checks.tick() => {
                    telemetry::tick();
                    (false, false)
                }
                () = signals.received() => (true, false),
                () = source_changed.notified() => (false, true),
            };
            watcher.watch(self.active.files.iter().cloned());
            let checking = spawn_blocking(move || {
                let changes = watcher.check();
                (watcher, changes)
            });
            // Fails only while the runtime shuts down.
            let Ok((checked, changes)) = checking.await else {
                return;
            };
            watcher = checked;
            let was_first = std::mem::take(&mut is_first);
            if !(by_signal || by_source || changes.any || failure.is_some()) {
                continue;
            }
            match self.active.rebuilt(&self.builder, &handle).await {
                Ok((active, differences)) => {
                    failure.clear();
                    active.log_reload(&differences, by_signal);
                    self.active = active;
                    observe(&self.active.target);
                }
                Err(error) => failure.log(&*error, by_signal),
            }
            // Every file counts as changed at the first check. Credentials are fresh then, and a
            // plugin that is already running for a request need not run again.
            if by_signal || changes.by_others && !was_first {
                self.active.destination.credentials.recheck_in_background();
            }
        }
    }
}

impl ActiveTarget {
    /// Resolves the target again, and reloads `handle` if it differs. Returns the names of what
    /// differs.
    async fn rebuilt(
        &self,
        builder: &Arc<TargetBuilder>,
        handle: &ReloadHandle,
    ) -> Result<(Self, Vec<&'static str>), BoxError> {
        let resolved = builder.resolve().await?;
        let (builder, before) = (Arc::clone(builder), self.clone());
        let active = spawn_blocking(move || builder.build(resolved, Some(&before))).await??;
        let differences = active.differences(self);
        if !differences.is_empty() {
            handle.reload(&active.destination)?;
        }
        Ok((active, differences))
    }

    fn differences(&self, before: &Self) -> Vec<&'static str> {
        let (ours, theirs) = (&self.destination, &before.destination);
        let differs = [
            ("context", self.target.context != before.target.context),
            ("cluster", !Arc::ptr_eq(&ours.upstreams, &theirs.upstreams)),
            ("user", !Arc::ptr_eq(&ours.credentials, &theirs.credentials)),
            ("user to act as", ours.impersonation != theirs.impersonation),
        ];
        let differences = differs.into_iter().filter(|(_, differs)| *differs);
        differences.map(|(what, _)| what).collect()
    }

    fn log_reload(&self, differences: &[&str], by_signal: bool) {
        let server = &self.target.cluster.server;
        let context = self.target.context.as_deref().unwrap_or_default();
        if !differences.is_empty() {
            let changed = differences.join(", ");
            tracing::info!(%server, context, "reloaded; changed: {changed}");
        } else if by_signal {
            tracing::info!(%server, context, "reloaded; nothing changed");
        } else {
            tracing::debug!("files changed without an effect");
        }
    }
}

/// Why the last reload failed, if it did.
#[derive(Default)]
pub(super) struct LastFailure(Option<String>);

impl LastFailure {
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Warns once for each series of failures. While a file is being edited, the reason may change
    /// from one attempt to the next.
    pub(super) fn log(&mut self, error: &dyn Error, by_signal: bool) {
        let why = error::with_causes(error);
        if self.0.is_none() || by_signal {
            tracing::warn!("not reloaded, the last good configuration stays in use: {why}");
        } else if self.0.as_ref() != Some(&why) {
            tracing::info!("still not reloaded: {why}");
        }
        self.0 = Some(why);
    }

    pub(super) fn clear(&mut self) {
        if self.0.take().is_some() {
            tracing::info!("the configuration can be used again");
        }
    }
}
