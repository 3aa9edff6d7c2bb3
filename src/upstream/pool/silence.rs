//! [`SilenceTracker`]: for how long the HTTP/1.1 connections of a pool have received nothing.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use tokio::time::Instant;

use crate::upstream::http1::ConnectionState;

/// All open HTTP/1.1 connections of a pool, and for how long each has received nothing.
#[derive(Default)]
pub(super) struct SilenceTracker(Mutex<Vec<Tracked>>);

struct Tracked {
    state: Arc<ConnectionState>,
    /// The connection's last read when it was last observed.
    last_read: Option<Instant>,
    /// Since when nothing was received for the request under way.
    silent_since: Option<Instant>,
}

/// The longest time for which requests have received nothing from the server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence {
    /// Of requests that wait for the head of their response.
    pub(super) awaiting_head: Option<Duration>,
    /// Of the others.
    pub(super) streaming: Option<Duration>,
}

impl SilenceTracker {
    pub(super) fn add(&self, state: &Arc<ConnectionState>) {
        self.lock().push(Tracked {
            state: Arc::clone(state),
            last_read: None,
            silent_since: None,
        });
    }

    /// The number of connections that carry a request of `client`, except those that stay open.
    pub(super) fn count_for(&self, client: Option<&HeaderValue>) -> usize {
        let tracked = self.lock();
        tracked.iter().filter(|t| t.state.serves(client)).count()
    }

    /// Forgets connections that have closed. Returns whether any is left, and whether any of an
    /// upgrade is.
    pub(super) fn prune(&self) -> (bool, bool) {
        let mut tracked = self.lock();
        tracked.retain(|tracked| !tracked.state.activity().is_closed());
        let any_upgrade = tracked.iter().any(|tracked| tracked.state.is_upgrade());
        (!tracked.is_empty(), any_upgrade)
    }

    pub(super) fn longest(&self, now: Instant) -> Silence {
        let mut silence = Silence::default();
        for tracked in self.lock().iter_mut() {
            let Some(since) = tracked.silent_since(now) else {
                continue;
            };
            let silent = now.saturating_duration_since(since);
            let longest = if tracked.state.awaits_head() {
                &mut silence.awaiting_head
            } else {
                &mut silence.streaming
            };
            *longest = Some(longest.map_or(silent, |longest| longest.max(silent)));
        }
        silence
    }

    /// Has requests that wait for their response, in silence since before `since`, use another
    /// connection. Aborts what has been silent since before `dead`.
    pub(super) fn give_up(&self, now: Instant, since: Instant, dead: Option<Instant>) {
        for tracked in self.lock().iter_mut() {
            let Some(silent_since) = tracked.silent_since(now) else {
                continue;
            };
            if dead.is_some_and(|dead| silent_since <= dead) {
                tracked.state.activity().abort();
            } else if silent_since <= since && tracked.state.awaits_head() {
                tracked.state.mark_unresponsive();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Tracked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracked {
    /// Since when the request under way has received nothing; `None` where there is none.
    fn silent_since(&mut self, now: Instant) -> Option<Instant> {
        let activity = self.state.activity();
        if self.state.is_upgrade() {
            return activity.unanswered_since();
        }
        let last_read = Some(activity.last_read());
        if !self.state.is_in_use() {
            self.silent_since = None;
        } else if self.silent_since.is_none() || last_read != self.last_read {
            self.silent_since = Some(now);
        }
        self.last_read = last_read;
        self.silent_since
    }
}
