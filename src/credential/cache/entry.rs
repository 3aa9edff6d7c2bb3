//! A cached credential with its times.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::in_flight::RefreshKind;
use crate::{
    credential::{Credential, RefreshPolicy},
    jitter,
};

/// The part of its lifetime after which a credential is refreshed; up to [`JITTER`] more, so that
/// many kubegates do not call an issuer at the same time.
const REFRESH_AFTER: f64 = 0.8;
const JITTER: f64 = 0.1;

/// A pause ends at the latest this long before the credential expires, for one more try.
const LEEWAY: Duration = Duration::from_secs(10);

/// No issuer intends a shorter lifetime; one whose clock is wrong may report it.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);

/// A clock that is set back by less is no reason to refresh: time services do that all day.
const MAX_CLOCK_STEP: Duration = Duration::from_secs(5);

/// A cached credential with its times.
pub(super) struct Entry {
    pub(super) credential: Arc<Credential>,
    /// When it was last refreshed.
    obtained_at: SystemTime,
    /// From then until it expires, by its issuer. `None` if it does not expire, or if the expiry
    /// is not credible.
    lifetime: Option<Duration>,
    /// When the source last confirmed it.
    checked_at: SystemTime,
    /// When to refresh it, while it is still valid.
    pub(super) refresh_at: Option<SystemTime>,
    valid_until: Option<SystemTime>,
    /// Whether a request used it since it was last refreshed. Shared by the entries between two
    /// refreshes.
    used: Arc<AtomicBool>,
}

/// What to do with a cached credential.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Use it.
    Fresh,
    /// Use it, and call the source in the background.
    Due(RefreshKind),
    /// Recheck it before use: it is valid, but was not checked for a while.
    Stale,
    /// Do not use it.
    Expired,
}

impl Entry {
    /// For a credential that was fetched just now.
    pub(super) fn new(credential: &Arc<Credential>, now: SystemTime) -> Self {
        let end = credential.expires_at;
        let lifetime = end.and_then(|end| end.duration_since(now).ok());
        let part = REFRESH_AFTER + JITTER * jitter::fraction();
        Self {
            credential: Arc::clone(credential),
            obtained_at: now,
            lifetime,
            checked_at: now,
            refresh_at: lifetime.and_then(|lifetime| now.checked_add(lifetime.mul_f64(part))),
            valid_until: end,
            used: Arc::default(),
        }
    }

    /// For a credential that had expired, or almost, when it was fetched. It is used for
    /// `lifetime` nevertheless.
    pub(super) fn already_expired(
        credential: &Arc<Credential>,
        now: SystemTime,
        lifetime: Duration,
    ) -> Self {
        Self {
            lifetime: None,
            refresh_at: now.checked_add(lifetime.mul_f64(REFRESH_AFTER)),
            valid_until: now.checked_add(lifetime),
            ..Self::new(credential, now)
        }
    }

    /// After a recheck. The times stay as they were, unless the expiry has changed.
    pub(super) fn rechecked(&self, credential: &Arc<Credential>, now: SystemTime) -> Self {
        if credential.expires_at != self.credential.expires_at {
            return Self::new(credential, now);
        }
        Self {
            credential: Arc::clone(credential),
            checked_at: now,
            used: Arc::clone(&self.used),
            ..*self
        }
    }

    /// After a refresh that gave no later expiry. The next refresh is due after `pause`; without
    /// one, its time stays as it was.
    pub(super) fn not_extended(
        &self,
        credential: &Arc<Credential>,
        now: SystemTime,
        pause: Option<Duration>,
    ) -> Self {
        let mut entry = Self {
            credential: Arc::clone(credential),
            checked_at: now,
            valid_until: credential.expires_at,
            used: Arc::clone(&self.used),
            ..*self
        };
        if let Some(pause) = pause {
            entry.refresh_at = now.checked_add(entry.bounded(pause, now));
        }
        entry
    }

    pub(super) fn freshness(&self, now: SystemTime, policy: RefreshPolicy) -> Freshness {
        if self.valid_until.is_some_and(|end| end <= now) {
            return Freshness::Expired;
        }
        if self.is_due(now) {
            return Freshness::Due(RefreshKind::Fetch);
        }
        match policy.recheck_after {
            Some(after) if !within(now, self.checked_at, after * 2) => Freshness::Stale,
            Some(after) if !within(now, self.checked_at, after) => {
                Freshness::Due(RefreshKind::Recheck)
            }
            _ => Freshness::Fresh,
        }
    }

    /// Whether it is time to refresh it, while it is valid.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        self.refresh_at
            .is_some_and(|at| at <= now || self.is_ahead_of(now))
    }

    /// Whether this one is still valid and `new` expires no later.
    pub(super) fn outlasts(&self, new: &Credential, now: SystemTime) -> bool {
        let (Some(end), Some(new_end)) = (self.credential.expires_at, new.expires_at) else {
            return false;
        };
        now < end && new_end <= end && !self.is_ahead_of(now)
    }

    /// The longest pause between two tries to refresh it: a tenth of its lifetime while it is
    /// valid, one lifetime after it has expired, and no more than the source's policy allows.
    pub(super) fn max_backoff(&self, now: SystemTime, policy: RefreshPolicy) -> Duration {
        let scaled = match self.lifetime {
            Some(lifetime) if self.is_valid(now) => lifetime / 10,
            Some(lifetime) => lifetime,
            None => policy.max_backoff,
        };
        scaled.min(policy.max_backoff)
    }

    /// `pause`, shortened to end when the leeway starts or, within the leeway, when the credential
    /// expires. At these times the source is called whatever happened before.
    pub(super) fn bounded(&self, pause: Duration, now: SystemTime) -> Duration {
        let left = |until: SystemTime| until.duration_since(now).ok().filter(|d| !d.is_zero());
        let leeway = self.lifetime.map(|lifetime| LEEWAY.min(lifetime / 10));
        let leeway = leeway.zip(self.valid_until);
        let begins = leeway.and_then(|(leeway, end)| end.checked_sub(leeway));
        let next = begins.and_then(left).or(self.valid_until.and_then(left));
        next.map_or(pause, |next| next.min(pause))
    }

    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        self.valid_until.is_none_or(|end| now < end)
    }

    /// Whether the clock was set back behind the time at which it was obtained, so that its age is
    /// unknown.
    fn is_ahead_of(&self, now: SystemTime) -> bool {
        let ahead = self.obtained_at.duration_since(now);
        ahead.is_ok_and(|ahead| ahead > MAX_CLOCK_STEP)
    }

    /// Notes that it is used; `true` for the first use since it was last refreshed.
    pub(super) fn is_first_use(&self) -> bool {
        !self.used.load(Ordering::Relaxed) && !self.used.swap(true, Ordering::Relaxed)
    }

    pub(super) fn used(&self) -> &Arc<AtomicBool> {
        &self.used
    }
}

/// Whether a credential that was obtained just now has expired, or expires within
/// [`SHORTEST_LIFETIME`].
pub(super) fn is_expired_on_arrival(credential: &Credential, now: SystemTime) -> bool {
    let left = |end: SystemTime| end.duration_since(now).unwrap_or_default();
    credential
        .expires_at
        .is_some_and(|end| left(end) < SHORTEST_LIFETIME)
}

/// Whether less than `span` has passed since `since`. `false` if the clock was set back behind
/// `since`, so that nothing waits for it to catch up.
pub(super) fn within(now: SystemTime, since: SystemTime, span: Duration) -> bool {
    now.duration_since(since).is_ok_and(|age| age < span)
}
