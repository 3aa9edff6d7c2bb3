//! What becomes of that which a flight brings.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    Cache, RECHECK_PATIENCE, REFUSAL_INTERVAL,
    entry::{Entry, Standing, comes_ended, within},
    flight::{Errand, Outcome, Pause, State},
};
use crate::credential::{Credential, Error, ExpiryWarning, expiry_warning};

/// The longest pause that an error can ask for, such as by an issuer's `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

impl Cache {
    /// Takes up what a flight brought that began after so many `changes`.
    pub(super) fn land(
        &self,
        errand: Errand,
        changes: u64,
        outcome: Result<Credential, Error>,
    ) -> Outcome {
        let now = (self.clock)();
        let mut state = self.lock();
        state.flight = None;
        match outcome {
            Ok(credential) => Ok(self.keep(&mut state, errand, credential, now)),
            Err(error) if changes != state.changes => Err(error),
            Err(error) => Err(self.fail(&mut state, errand, error, now)),
        }
    }

    /// Begins the pause after a failure.
    fn fail(&self, state: &mut State, errand: Errand, error: Error, now: SystemTime) -> Error {
        let asked = error.retry_after().unwrap_or_default();
        let cause = match error {
            // Of a source that stands on another cache.
            Error::Backoff(failing) => failing.cause,
            error => Arc::new(error),
        };
        if state.is_news(&cause) {
            self.warn(&cause, now);
        }
        let held = self.entry.load();
        let length = match errand {
            Errand::Fetch => {
                let ours = state.back_off(held.as_deref(), now, self.policy);
                ours.max(asked.min(LONGEST_RETRY_AFTER))
            }
            Errand::Recheck => self.policy.max_backoff.min(RECHECK_PATIENCE),
        };
        let pause = Pause {
            since: now,
            length,
            cause,
        };
        let error = pause.failing(length);
        state.pause = Some(pause);
        error
    }

    fn warn(&self, error: &Error, now: SystemTime) {
        let entry = self.entry.load();
        let holds = |held: &Arc<Entry>| held.standing(now, self.policy) != Standing::Ended;
        let error = error as &dyn std::error::Error;
        if entry.as_ref().is_some_and(holds) {
            tracing::warn!(
                error,
                "the credential was not renewed; the last good one stays"
            );
        } else {
            tracing::warn!(error, "there is no credential");
        }
    }

    pub(super) fn keep(
        &self,
        state: &mut State,
        errand: Errand,
        credential: Credential,
        now: SystemTime,
    ) -> Arc<Credential> {
        let held = self.entry.load_full();
        let credential = match &held {
            Some(held) if held.credential.is(&credential) => Arc::clone(&held.credential),
            held => self.announced(credential, held.as_deref(), now),
        };
        let entry = match held.as_deref() {
            Some(held) if errand == Errand::Recheck => held.rechecked(&credential, now),
            held => self.renew(state, held, &credential, now),
        };
        state.pause = None;
        state.warned_of = None;
        let kept = Arc::clone(&entry.credential);
        self.entry.store(Some(Arc::new(entry)));
        kept
    }

    /// Has the end of a credential announced that does not renew itself.
    fn announced(
        &self,
        mut credential: Credential,
        held: Option<&Entry>,
        now: SystemTime,
    ) -> Arc<Credential> {
        let subject = self.source.subject();
        credential.expiry_warning = ExpiryWarning::of(&credential, &subject, now);
        let credential = Arc::new(credential);
        let was_said = held.is_some_and(|held| {
            let before = held.credential.expiry_warning.as_ref();
            held.credential.proves_the_same(&credential)
                && before.is_some_and(|before| before.header(now).is_some())
        });
        if credential.expiry_warning.is_some() && !was_said {
            let log = expiry_warning::log(Arc::downgrade(&credential), Arc::clone(&self.clock));
            tokio::spawn(log);
        }
        credential
    }

    fn renew(
        &self,
        state: &mut State,
        held: Option<&Entry>,
        credential: &Arc<Credential>,
        now: SystemTime,
    ) -> Entry {
        let comes_ended = comes_ended(credential, now);
        let was_refused = (state.refused_at).is_some_and(|at| within(now, at, REFUSAL_INTERVAL));
        let outlasts = |held: &&Entry| held.outlasts(credential, now);
        match held.filter(outlasts) {
            // An issuer whose clock is off does not displace what still holds.
            Some(held) if !(comes_ended && was_refused) => {
                let stays = if comes_ended {
                    &held.credential
                } else {
                    credential
                };
                let pause =
                    (held.is_due(now)).then(|| state.back_off(Some(held), now, self.policy));
                held.not_prolonged(stays, now, pause)
            }
            // The issuer's clock or ours is off. It is for the API server to judge; asking
            // again for every request would not help.
            _ if comes_ended => {
                let respite = state.back_off(None, now, self.policy);
                if state.failures == 1 {
                    tracing::warn!(
                        subject = self.source.subject(),
                        "the credential had ended when it came; is the clock of its issuer or \
                         of this machine off?"
                    );
                }
                Entry::already_ended(credential, now, respite)
            }
            _ => {
                state.failures = 0;
                Entry::new(credential, now)
            }
        }
    }
}
