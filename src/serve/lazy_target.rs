//! [`LazyTarget`]: the target of one of several contexts, which its first request starts.

use std::{
    error::Error,
    sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::{Mutex, Notify},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;

use super::{
    active_target::TargetBuilder, connector::Connector, reload::Reloader, signals::ReloadSignals,
    target_source::TargetSource,
};
use crate::{
    error::{self, BoxError},
    kubeconfig::Impersonation,
    proxy::{self, Drain, ReloadHandle, ResolveFuture, Resolver, WeakReloadHandle, impersonate},
    settings::ClientCredentials,
};

/// How long requests fail with the error of the last attempt, before the next one is made.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct LazyTarget {
    context: Arc<str>,
    builder: Arc<TargetBuilder>,
    handle: OnceLock<WeakReloadHandle>,
    /// Where reloads run.
    runtime: Handle,
    /// Held during an attempt, so that the requests that come meanwhile wait for it.
    attempt: Mutex<()>,
    failure: StdMutex<Option<Failure>>,
    changed: Arc<Notify>,
    ended: CancellationToken,
}

#[derive(Clone)]
struct Failure {
    error: Arc<dyn Error + Send + Sync>,
    at: Instant,
}

impl LazyTarget {
    /// Creates the target of `source`, which is not asked yet, and the handle that leads to it. Reloads
    /// run on the runtime of the caller.
    pub(super) fn create(
        context: &str,
        source: Box<dyn TargetSource>,
        connector: Connector,
        client_credentials: ClientCredentials,
        drain: Drain,
    ) -> Result<(Arc<Self>, ReloadHandle), impersonate::Error> {
        let lazy = Arc::new(Self {
            context: context.into(),
            builder: Arc::new(TargetBuilder::new(source, connector)),
            handle: OnceLock::new(),
            runtime: Handle::current(),
            attempt: Mutex::default(),
            failure: StdMutex::default(),
            changed: Arc::default(),
            ended: CancellationToken::new(),
        });
        let handle = ReloadHandle::with_resolver(
            lazy.clone(),
            &Impersonation::default(),
            client_credentials,
            drain,
        )?;
        lazy.handle.get_or_init(|| handle.downgrade());
        Ok((lazy, handle))
    }

    /// Has the target resolved again, if it is in use.
    pub(super) fn reload(&self) {
        self.changed.notify_one();
    }

    /// Ends its reloads. Requests in flight are not touched.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    fn last_failure(&self) -> Option<Failure> {
        let failure = self.failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_failure(&self, failure: Option<Failure>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// Starts the target, unless it has been started or has just failed.
    async fn start(&self) -> Result<(), proxy::Error> {
        let _attempt = self.attempt.lock().await;
        let Some(handle) = self.handle.get().and_then(WeakReloadHandle::upgrade) else {
            return Err(proxy::Error::NoDestination);
        };
        if handle.has_destination() {
            return Ok(());
        }
        let recent = |failure: &Failure| failure.at.elapsed() < PAUSE;
        if let Some(failure) = self.last_failure().filter(recent) {
            return Err(self.unusable(failure));
        }
        match self.resolve_into(&handle).await {
            Ok(reloader) => {
                self.set_failure(None);
                self.run(reloader, handle).map_err(|error| {
                    let error: BoxError = error.into();
                    self.unusable(Failure {
                        error: error.into(),
                        at: Instant::now(),
                    })
                })
            }
            Err(error) => {
                let failure = Failure {
                    error: error.into(),
                    at: Instant::now(),
                };
                self.set_failure(Some(failure.clone()));
                Err(self.unusable(failure))
            }
        }
    }

    async fn resolve_into(&self, handle: &ReloadHandle) -> Result<Reloader, BoxError> {
        let resolved = self.builder.resolve().await?;
        let builder = Arc::clone(&self.builder);
        let active = spawn_blocking(move || builder.build(resolved, None)).await??;
        handle.reload(&active.destination)?;
        let server = &active.target.cluster.server;
        let credential = active.destination.credentials.subject();
        tracing::info!(context = &*self.context, %server, "in use; credential: {credential}");
        Ok(Reloader::new(Arc::clone(&self.builder), active))
    }

    fn run(&self, reloader: Reloader, handle: ReloadHandle) -> std::io::Result<()> {
        let (ended, changed) = (self.ended.clone(), Arc::clone(&self.changed));
        // Signals can be received on a runtime alone.
        let _runtime = self.runtime.enter();
        let signals = ReloadSignals::install()?;
        self.runtime.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = reloader.run(handle, signals, changed, |_| ()) => {}
            }
        });
        Ok(())
    }

    fn unusable(&self, failure: Failure) -> proxy::Error {
        proxy::Error::UnusableContext {
            context: Arc::clone(&self.context),
            source: failure.error,
        }
    }
}

impl Resolver for LazyTarget {
    fn resolve(self: Arc<Self>) -> ResolveFuture {
        Box::pin(async move { self.start().await })
    }

    fn failure(&self) -> Option<String> {
        let failure = self.last_failure()?;
        Some(error::with_causes(&*failure.error))
    }
}
