//! A call to the source that is in flight, shared by all callers that wait for it.

use std::sync::Arc;

use tokio::{sync::watch, time::Instant};

use crate::credential::{Credential, Error, Source};

/// What the source is called for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RefreshKind {
    /// A new credential: [`Source::fetch`].
    Fetch,
    /// Whether the last one is still current: [`Source::recheck`].
    Recheck,
}

pub(super) type Outcome = Result<Arc<Credential>, Error>;

/// A fetch or recheck in flight.
#[derive(Clone)]
pub(super) struct InFlight {
    pub(super) kind: RefreshKind,
    pub(super) started: Instant,
    /// How often failures had been cleared when it started.
    pub(super) changes: u64,
    pub(super) outcome: watch::Receiver<Option<Outcome>>,
}

impl InFlight {
    /// Waits for the outcome.
    pub(super) async fn outcome(mut self, source: &dyn Source) -> Outcome {
        let received = self.outcome.wait_for(Option::is_some).await;
        let outcome = received.ok().and_then(|outcome| outcome.clone());
        // There is none only if the runtime shuts down during the call.
        outcome.unwrap_or_else(|| {
            Err(Error::SourceFailed {
                subject: source.subject(),
            })
        })
    }
}

/// Calls the source.
pub(super) async fn run(
    source: Arc<dyn Source>,
    last: Option<Arc<Credential>>,
    kind: RefreshKind,
) -> Result<Credential, Error> {
    match (kind, last) {
        (RefreshKind::Recheck, Some(last)) => source.recheck(&last).await,
        _ => source.fetch().await,
    }
}
