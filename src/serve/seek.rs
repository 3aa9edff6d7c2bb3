//! [`Seeker`]: what is proxied to, found while requests are taken already.
//!
//! A plan that asks somebody over the network would keep the proxy from starting where there is no
//! network yet. It is asked beside that, at once and then whenever a request comes, which waits for
//! the answer or is told why there is none.

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
    BoxError, Connect, Plan, Standing,
    plan::{Place, Ways},
};
use crate::proxy::{self, ReloadHandle, ResolveFuture, Resolver};

/// The pause after a search that failed; it doubles with each in a row.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// See the module.
pub struct Seeker {
    ways: Arc<Ways>,
    status: watch::Sender<Status>,
    /// A request came while nothing was sought.
    wanted: Notify,
}

enum Status {
    Seeking,
    Failed {
        error: Arc<dyn Error + Send + Sync>,
        until: Instant,
    },
    Found,
}

impl Seeker {
    /// For what `plan` leads to; nobody is asked yet.
    #[must_use]
    pub fn new(plan: Box<dyn Plan>, connect: Connect) -> Arc<Self> {
        Arc::new(Self {
            ways: Arc::new(Ways::new(plan, connect)),
            status: watch::Sender::new(Status::Seeking),
            wanted: Notify::new(),
        })
    }

    /// Seeks until it is found, and turns `reload_handle` there.
    pub async fn find(&self, reload_handle: &ReloadHandle) -> Standing {
        let mut pause = PAUSE;
        let mut warned_of = String::new();
        loop {
            match self.look(reload_handle).await {
                Ok(place) => {
                    let server = &place.target.cluster.server;
                    tracing::info!(%server, "found the cluster");
                    self.status.send_replace(Status::Found);
                    return Standing {
                        ways: Arc::clone(&self.ways),
                        place,
                    };
                }
                Err(error) => {
                    let why = proxy::chain(&*error);
                    if why != warned_of {
                        tracing::warn!("{why}; sought again when a request comes");
                        warned_of = why;
                    }
                    self.status.send_replace(Status::Failed {
                        error: error.into(),
                        until: Instant::now() + pause,
                    });
                }
            }
            sleep(pause).await;
            self.wanted.notified().await;
            self.status.send_replace(Status::Seeking);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn look(&self, reload_handle: &ReloadHandle) -> Result<Place, BoxError> {
        let found = self.ways.plan.find().await?;
        let ways = Arc::clone(&self.ways);
        let place = spawn_blocking(move || ways.make(found, None)).await??;
        reload_handle.reload(&place.destination)?;
        Ok(place)
    }
}

impl Resolver for Seeker {
    fn resolve(self: Arc<Self>) -> ResolveFuture {
        Box::pin(async move {
            let mut status = self.status.subscribe();
            loop {
                match &*status.borrow_and_update() {
                    Status::Found => return Ok(()),
                    Status::Failed { error, until } if Instant::now() < *until => {
                        return Err(proxy::Error::Unresolved(Arc::clone(error)));
                    }
                    Status::Failed { .. } => self.wanted.notify_one(),
                    Status::Seeking => {}
                }
                // Not so, only where the process ends.
                if status.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        })
    }
}
