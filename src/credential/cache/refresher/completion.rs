//! Applies the outcome of a call to the source.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{REFUSAL_INTERVAL, Refresher};
use crate::credential::{
    Credential, Error, ExpiryWarning,
    cache::{
        entry::{Entry, Freshness, is_expired_on_arrival, within},
        expiry_log,
        in_flight::{Outcome, RefreshKind},
        state::{Pause, State},
    },
};

/// The longest pause that an error can ask for, such as by an issuer's `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The longest pause after a failed recheck.
const MAX_RECHECK_PAUSE: Duration = Duration::from_secs(1);

impl Refresher {
    /// Applies the outcome of a call that began after `changes` changes of the inputs.
    pub(super) fn complete(
        &self,
        kind: RefreshKind,
        changes: u64,
        outcome: Result<Credential, Error>,
    ) -> Outcome {
        let now = self.now();
        let mut state = self.lock();
        state.in_flight = None;
        if outcome.is_err() && self.source.has_other_user() {
            self.entry.store(None);
        }
        match outcome {
            Ok(credential) => Ok(self.keep(&mut state, kind, credential, now)),
            Err(error) if changes != state.changes => Err(error),
            Err(error) => Err(self.fail(&mut state, kind, error, now)),
        }
    }

    /// Caches a credential that a command fetched.
    pub(in crate::credential::cache) fn keep_fetched(
        &self,
        credential: Credential,
    ) -> Arc<Credential> {
        let now = self.now();
        self.keep(&mut self.lock(), RefreshKind::Fetch, credential, now)
    }

    /// Starts the pause after a failure.
    fn fail(&self, state: &mut State, kind: RefreshKind, error: Error, now: SystemTime) -> Error {
        let requested = error
            .retry_after()
            .unwrap_or_default()
            .min(LONGEST_RETRY_AFTER);
        let cause = match error {
            // From a source that calls another cache.
            Error::Backoff(backoff) => backoff.cause,
            error => Arc::new(error),
        };
        if state.is_new_failure(&cause) {
            self.warn(&cause, now);
        }
        let held = self.entry.load();
        let length = match kind {
            RefreshKind::Fetch => {
                let own = state.back_off(held.as_deref(), now, self.policy);
                own.max(requested)
            }
            RefreshKind::Recheck => self.policy.max_backoff.min(MAX_RECHECK_PAUSE),
        };
        let pause = Pause::new(now, length, requested, cause);
        let error = pause.failure();
        state.pause = Some(pause);
        error
    }

    fn warn(&self, error: &Error, now: SystemTime) {
        let entry = self.entry.load();
        let is_usable = |held: &Arc<Entry>| held.freshness(now, self.policy) != Freshness::Expired;
        let error = error as &dyn std::error::Error;
        if entry.as_ref().is_some_and(is_usable) {
            tracing::warn!(
                error,
                "the credential was not renewed; the last good one stays in use"
            );
        } else {
            tracing::warn!(error, "there is no credential");
        }
    }

    fn keep(
        &self,
        state: &mut State,
        kind: RefreshKind,
        credential: Credential,
        now: SystemTime,
    ) -> Arc<Credential> {
        let held = self.entry();
        let credential = match &held {
            Some(held) if held.credential.is_identical_to(&credential) => {
                Arc::clone(&held.credential)
            }
            held => self.with_expiry_warning(credential, held.as_deref(), now),
        };
        let entry = match held.as_deref() {
            Some(held) if kind == RefreshKind::Recheck => held.rechecked(&credential, now),
            held => self.refreshed(state, held, &credential, now),
        };
        state.pause = None;
        state.warned_of = None;
        let kept = Arc::clone(&entry.credential);
        self.entry.store(Some(Arc::new(entry)));
        kept
    }

    /// Adds a warning to a credential that is not renewed automatically.
    fn with_expiry_warning(
        &self,
        mut credential: Credential,
        held: Option<&Entry>,
        now: SystemTime,
    ) -> Arc<Credential> {
        let subject = self.source.subject();
        let command = credential.renewed_by.as_deref();
        credential.expiry_warning =
            command
                .zip(credential.expires_at)
                .and_then(|(command, end)| {
                    ExpiryWarning::new(&subject, command, credential.issued_at, end, now)
                        .map(Arc::new)
                });
        let credential = Arc::new(credential);
        let was_logged = held.is_some_and(|held| {
            let before = held.credential.expiry_warning.as_ref();
            held.credential.proves_the_same(&credential)
                && before.is_some_and(|before| before.header(now).is_some())
        });
        if credential.expiry_warning.is_some() && !was_logged {
            let clock = Arc::clone(&self.clock);
            tokio::spawn(expiry_log::log_when_due(Arc::downgrade(&credential), clock));
        }
        credential
    }

    /// The entry after a fetch.
    fn refreshed(
        &self,
        state: &mut State,
        held: Option<&Entry>,
        credential: &Arc<Credential>,
        now: SystemTime,
    ) -> Entry {
        let is_expired = is_expired_on_arrival(credential, now);
        let was_refused = (state.refused_at).is_some_and(|at| within(now, at, REFUSAL_INTERVAL));
        let outlasts = |held: &&Entry| held.outlasts(credential, now);
        match held.filter(outlasts) {
            // An issuer whose clock is wrong does not displace a credential that is still valid.
            Some(held) if !(is_expired && was_refused) => {
                let stays = if is_expired {
                    &held.credential
                } else {
                    credential
                };
                let pause =
                    (held.is_due(now)).then(|| state.back_off(Some(held), now, self.policy));
                held.not_extended(stays, now, pause)
            }
            // The issuer's clock or this machine's is wrong. The API server decides whether the
            // credential is valid; fetching again for every request would not help.
            _ if is_expired => {
                let lifetime = state.back_off(None, now, self.policy);
                if state.failures == 1 {
                    tracing::warn!(
                        subject = self.source.subject(),
                        "the credential had expired when it arrived; is the clock of its issuer \
                         or of this machine wrong?"
                    );
                }
                Entry::already_expired(credential, now, lifetime)
            }
            _ => {
                state.failures = 0;
                Entry::new(credential, now)
            }
        }
    }
}
