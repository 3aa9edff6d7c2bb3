//! Refreshes a credential without a request.
//!
//! A credential that was used since its last refresh is refreshed once more before it expires, so
//! that the next request need not wait. An unused one is left alone: an idle machine runs no
//! plugins all night.

use std::{
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use super::{Joined, Refresher};
use crate::credential::cache::{
    entry::{Entry, Freshness},
    in_flight::{Outcome, RefreshKind},
    state::Caller,
};

/// How often the wall clock is read: timers stop while a machine sleeps, and there is no event for
/// its wake-up or for a change of the clock.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// What to wait for.
enum Next {
    Outcome(watch::Receiver<Option<Outcome>>),
    Time(Duration),
}

impl Refresher {
    /// Notes that a request used the credential, so that it is refreshed without another request.
    pub(in crate::credential::cache) fn note_use(self: &Arc<Self>) {
        if let Some(entry) = self.entry.load().as_ref()
            && entry.is_first_use()
        {
            self.start_background_refresh(entry);
        }
    }

    /// Starts a task that refreshes the credential of `entry` when that is due. The task ends
    /// after the refresh, when the cache is dropped, or when the credential expires after failed
    /// refreshes.
    fn start_background_refresh(self: &Arc<Self>, entry: &Entry) {
        let (refresher, used) = (Arc::downgrade(self), Arc::clone(entry.used()));
        if entry.refresh_at.is_some() {
            tokio::spawn(refresh_in_background(refresher, used));
        }
    }

    fn next(self: &Arc<Self>, used: &Arc<AtomicBool>) -> Option<Next> {
        let entry = self.entry()?;
        if !Arc::ptr_eq(entry.used(), used) {
            return None;
        }
        let now = self.now();
        let state = self.lock();
        match entry.freshness(now, self.policy) {
            Freshness::Fresh | Freshness::Due(RefreshKind::Recheck) | Freshness::Stale => {
                let left = entry.refresh_at?.duration_since(now);
                return Some(Next::Time(left.unwrap_or_default()));
            }
            // If no refresh has failed, it expired while the machine slept.
            Freshness::Expired if state.failures > 0 => return None,
            Freshness::Due(RefreshKind::Fetch) | Freshness::Expired => {}
        }
        let (kind, caller) = (RefreshKind::Fetch, Caller::Background);
        let joined = self.join_or_start_locked(state, Some(&entry), kind, now, caller);
        Some(match joined {
            Joined::InFlight(in_flight) => Next::Outcome(in_flight.outcome),
            Joined::Paused(error) => Next::Time(error.retry_after().unwrap_or_default()),
            Joined::Completed(_) => return None,
        })
    }
}

async fn refresh_in_background(refresher: Weak<Refresher>, used: Arc<AtomicBool>) {
    while let Some(next) = refresher
        .upgrade()
        .and_then(|refresher| refresher.next(&used))
    {
        match next {
            Next::Time(time) => sleep(time.min(CHECK_INTERVAL)).await,
            // The outcome is for the requests that wait for it; the entry has the result.
            Next::Outcome(mut outcome) => drop(outcome.wait_for(Option::is_some).await),
        }
    }
}
