//! Renewal while no request comes.
//!
//! A credential that was used since it was renewed last is renewed once more without being
//! asked for, so that the next request need not wait. One that was not used is left alone: an
//! idle machine runs no plugins all night.

use std::{
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use super::{
    Boarding, Cache,
    entry::{Entry, Standing},
    flight::{Errand, Outcome},
};

/// How often the wall clock is looked at: timers stop while a machine sleeps, and nothing tells
/// when it wakes, or when the clock is set.
const LOOK: Duration = Duration::from_secs(5);

/// What to wait for.
enum Next {
    Landing(watch::Receiver<Option<Outcome>>),
    Time(Duration),
}

/// Renews the credential of `entry` when it is due, and ends with that; or with the cache, or
/// with the credential itself, if its issuer cannot be reached.
pub(super) fn start(cache: &Arc<Cache>, entry: &Entry) {
    let (cache, used) = (Arc::downgrade(cache), Arc::clone(entry.used()));
    if entry.renew_at.is_some() {
        tokio::spawn(tend(cache, used));
    }
}

async fn tend(cache: Weak<Cache>, used: Arc<AtomicBool>) {
    while let Some(next) = cache.upgrade().and_then(|cache| next(&cache, &used)) {
        match next {
            Next::Time(time) => sleep(time.min(LOOK)).await,
            // Its outcome is for those who wait for it; here the entry tells all.
            Next::Landing(mut landing) => drop(landing.wait_for(Option::is_some).await),
        }
    }
}

fn next(cache: &Arc<Cache>, used: &Arc<AtomicBool>) -> Option<Next> {
    let entry = cache.entry.load_full()?;
    if !Arc::ptr_eq(entry.used(), used) {
        return None;
    }
    let now = (cache.clock)();
    let state = cache.lock();
    match entry.standing(now, cache.policy) {
        Standing::Fresh | Standing::Due(Errand::Recheck) | Standing::Stale => {
            let left = entry.renew_at?.duration_since(now);
            return Some(Next::Time(left.unwrap_or_default()));
        }
        // It ended while the machine slept, if no renewal failed.
        Standing::Ended if state.failures > 0 => return None,
        Standing::Due(Errand::Fetch) | Standing::Ended => {}
    }
    Some(match cache.board(state, Some(&entry), Errand::Fetch, now) {
        Boarding::Flight(flight) => Next::Landing(flight.landing),
        Boarding::Paused(error) => Next::Time(error.retry_after().unwrap_or_default()),
        Boarding::Landed(_) => return None,
    })
}
