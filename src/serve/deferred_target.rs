//! [`DeferredTarget`]: resolves the target while requests are already accepted.
//!
//! A source that needs the network must not keep the proxy from starting before the network is up.
//! The source is asked once at the start and, after a failure, when a request comes. Requests wait
//! for the target, or fail with the reason.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::sleep,
};

use super::{
    active_target::{ActiveTarget, TargetBuilder},
    connector::Connector,
    reload::Reloader,
    target_source::TargetSource,
};
use crate::{
    error::{self, BoxError},
    proxy::{self, ReloadHandle, ResolveFuture, Resolver},
};

/// The pause after a failed attempt. It doubles with each failure in a row, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// See the module.
pub struct DeferredTarget {
    builder: Arc<TargetBuilder>,
    status: watch::Sender<Status>,
    /// Notified by a request that comes after a failed attempt and its pause.
    requested: Notify,
}

enum Status {
    Resolving,
    Failed {
        error: Arc<dyn Error + Send + Sync>,
        /// Until then requests fail with `error`.
        until: Instant,
    },
    Resolved,
}

impl DeferredTarget {
    /// Creates the target of `source`, which is not asked yet.
    #[must_use]
    pub fn new(source: Box<dyn TargetSource>, connector: Connector) -> Arc<Self> {
        Arc::new(Self {
            builder: Arc::new(TargetBuilder::new(source, connector)),
            status: watch::Sender::new(Status::Resolving),
            requested: Notify::new(),
        })
    }

    /// Tries until the target is resolved, and has `handle` send requests to it.
    pub async fn resolve_into(&self, handle: &ReloadHandle) -> Reloader {
        let mut pause = FIRST_PAUSE;
        let mut warned_of = String::new();
        loop {
            match self.attempt(handle).await {
                Ok(active) => {
                    let server = &active.target.cluster.server;
                    tracing::info!(%server, "found the cluster");
                    self.status.send_replace(Status::Resolved);
                    return Reloader::new(Arc::clone(&self.builder), active);
                }
                Err(error) => {
                    let why = error::with_causes(&*error);
                    if why != warned_of {
                        tracing::warn!("{why}; the next request tries again");
                        warned_of = why;
                    }
                    self.status.send_replace(Status::Failed {
                        error: error.into(),
                        until: Instant::now() + pause,
                    });
                }
            }
            sleep(pause).await;
            self.requested.notified().await;
            self.status.send_replace(Status::Resolving);
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn attempt(&self, handle: &ReloadHandle) -> Result<ActiveTarget, BoxError> {
        let resolved = self.builder.resolve().await?;
        let builder = Arc::clone(&self.builder);
        let active = spawn_blocking(move || builder.build(resolved, None)).await??;
        handle.reload(&active.destination)?;
        Ok(active)
    }
}

impl Resolver for DeferredTarget {
    fn resolve(self: Arc<Self>) -> ResolveFuture {
        Box::pin(async move {
            let mut status = self.status.subscribe();
            loop {
                match &*status.borrow_and_update() {
                    Status::Resolved => return Ok(()),
                    Status::Failed { error, until } if Instant::now() < *until => {
                        return Err(proxy::Error::Unresolved(Arc::clone(error)));
                    }
                    Status::Failed { .. } => self.requested.notify_one(),
                    Status::Resolving => {}
                }
                // The sender is gone only while the process ends.
                if status.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        })
    }
}
