//! What the cache knows about the calls to its source, and the pause after a failed one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::HeaderValue;

use super::{backoff, entry::Entry, in_flight::InFlight};
use crate::credential::{Backoff, Error, RefreshPolicy};

/// The pause after a failed call, for a request that has no credential: an outage may have ended,
/// and a person may be waiting.
const MAX_REQUEST_PAUSE: Duration = Duration::from_secs(5);

/// Who wants the source to be called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// A request that has no credential, or was refused with the one that it had.
    Request,
    /// A renewal that no request waits for.
    Background,
}

/// The pause after a failed call.
pub(super) struct Pause {
    since: SystemTime,
    length: Duration,
    /// The length for requests that have no credential.
    for_requests: Duration,
    cause: Arc<Error>,
}

impl Pause {
    /// A pause of `length` from `since`. The issuer may ask for `requested` of it.
    pub(super) fn new(
        since: SystemTime,
        length: Duration,
        requested: Duration,
        cause: Arc<Error>,
    ) -> Self {
        let for_requests = if cause.is_transient() {
            length.min(MAX_REQUEST_PAUSE.max(requested))
        } else {
            length
        };
        Self {
            since,
            length,
            for_requests,
            cause,
        }
    }

    /// The failure, while the pause is running for `caller`.
    pub(super) fn error(&self, now: SystemTime, caller: Caller) -> Option<Error> {
        let age = now.duration_since(self.since).ok()?;
        let left = self.length_for(caller).checked_sub(age)?;
        (!left.is_zero()).then(|| self.failure_after(left))
    }

    /// The `Warning` header about the failure, if a human must log in.
    pub(super) fn warning(&self) -> Option<HeaderValue> {
        self.cause.login_warning()
    }

    /// The failure at the beginning of the pause.
    pub(super) fn failure(&self) -> Error {
        self.failure_after(self.for_requests)
    }

    fn length_for(&self, caller: Caller) -> Duration {
        match caller {
            Caller::Request => self.for_requests,
            Caller::Background => self.length,
        }
    }

    fn failure_after(&self, retry_after: Duration) -> Error {
        Error::Backoff(Backoff {
            cause: Arc::clone(&self.cause),
            retry_after,
        })
    }
}

/// Used only by callers that found no fresh credential; never locked across an await.
#[derive(Default)]
pub(super) struct State {
    pub(super) in_flight: Option<InFlight>,
    pub(super) pause: Option<Pause>,
    /// Consecutive fetches that gave no usable credential.
    pub(super) failures: u32,
    pub(super) refused_at: Option<SystemTime>,
    /// The failure of the last warning.
    pub(super) warned_of: Option<String>,
    /// How often past failures were cleared.
    pub(super) changes: u64,
}

impl State {
    /// Forgets past failures.
    pub(super) fn clear_failures(&mut self) {
        *self = Self {
            in_flight: self.in_flight.take(),
            changes: self.changes.wrapping_add(1),
            ..Self::default()
        };
    }

    /// Counts a fetch that gave no usable credential, and returns how long to wait before the next
    /// one.
    pub(super) fn back_off(
        &mut self,
        held: Option<&Entry>,
        now: SystemTime,
        policy: RefreshPolicy,
    ) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let longest = held.map_or(policy.max_backoff, |held| held.max_backoff(now, policy));
        match held {
            Some(held) if held.is_valid(now) => {
                held.bounded(backoff::full_jitter(self.failures, longest), now)
            }
            _ => backoff::pause(self.failures, longest),
        }
    }

    /// Whether a failure differs from the one before it. Each distinct failure gets one warning,
    /// rather than one for each try.
    pub(super) fn is_new_failure(&mut self, error: &Error) -> bool {
        let failure = format!("{error:?}");
        let is_new = self.warned_of.as_ref() != Some(&failure);
        self.warned_of = Some(failure);
        is_new
    }
}
