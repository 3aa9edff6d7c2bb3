//! A fetch under way, shared by all who wait for it, and the pause after one that failed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::Instant};

use super::{backoff, entry::Entry};
use crate::credential::{Backoff, Credential, Error, RefreshPolicy, Source};

/// What a flight is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    Fetch,
    Recheck,
}

pub(super) type Outcome = Result<Arc<Credential>, Error>;

/// A fetch or recheck under way, to be shared.
#[derive(Clone)]
pub(super) struct Flight {
    pub(super) errand: Errand,
    pub(super) started: Instant,
    /// [`State::changes`] at its start.
    pub(super) changes: u64,
    pub(super) landing: watch::Receiver<Option<Outcome>>,
}

impl Flight {
    pub(super) async fn landed(mut self, source: &dyn Source) -> Outcome {
        let landed = self.landing.wait_for(Option::is_some).await;
        let outcome = landed.ok().and_then(|outcome| outcome.clone());
        // Nothing, only where the runtime is shutting down under the flight.
        outcome.unwrap_or_else(|| {
            Err(Error::SourceFailed {
                subject: source.subject(),
            })
        })
    }
}

/// Does the errand.
pub(super) async fn run(
    source: Arc<dyn Source>,
    last: Option<Arc<Credential>>,
    errand: Errand,
) -> Result<Credential, Error> {
    match (errand, last) {
        (Errand::Recheck, Some(last)) => source.recheck(&last).await,
        _ => source.fetch().await,
    }
}

/// After a failed flight.
pub(super) struct Pause {
    pub(super) since: SystemTime,
    pub(super) length: Duration,
    pub(super) cause: Arc<Error>,
}

impl Pause {
    /// The failure, while the pause lasts.
    pub(super) fn error(&self, now: SystemTime) -> Option<Error> {
        let age = now.duration_since(self.since).ok()?;
        let left = self.length.checked_sub(age)?;
        (!left.is_zero()).then(|| self.failing(left))
    }

    pub(super) fn failing(&self, retry_after: Duration) -> Error {
        Error::Backoff(Backoff {
            cause: Arc::clone(&self.cause),
            retry_after,
        })
    }
}

/// What only those touch who found no fresh credential; never locked across an await.
#[derive(Default)]
pub(super) struct State {
    pub(super) flight: Option<Flight>,
    pub(super) pause: Option<Pause>,
    /// Fetches in a row that brought nothing to work with.
    pub(super) failures: u32,
    pub(super) refused_at: Option<SystemTime>,
    /// The failure that was last warned of.
    pub(super) warned_of: Option<String>,
    /// How often past failures were declared void.
    pub(super) changes: u64,
}

impl State {
    /// Declares void what failed until now.
    pub(super) fn clear_failures(&mut self) {
        *self = Self {
            flight: self.flight.take(),
            changes: self.changes.wrapping_add(1),
            ..Self::default()
        };
    }

    /// Counts a fetch that brought nothing to work with, and tells how long to let the issuer
    /// rest.
    pub(super) fn back_off(
        &mut self,
        held: Option<&Entry>,
        now: SystemTime,
        policy: RefreshPolicy,
    ) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let longest = held.map_or(policy.max_backoff, |held| held.longest_pause(now, policy));
        match held {
            Some(held) if held.holds(now) => {
                held.bounded(backoff::full_jitter(self.failures, longest), now)
            }
            _ => backoff::pause(self.failures, longest),
        }
    }

    /// Whether a failure differs from the one before it: each deserves one warning, not one for
    /// each try.
    pub(super) fn is_news(&mut self, error: &Error) -> bool {
        let failure = format!("{error:?}");
        let is_news = self.warned_of.as_ref() != Some(&failure);
        self.warned_of = Some(failure);
        is_news
    }
}
