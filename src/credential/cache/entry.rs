//! A credential and what the clock says of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::flight::Errand;
use crate::{
    credential::{Credential, RefreshPolicy},
    jitter,
};

/// The part of its lifetime after which a credential is renewed; up to [`JITTER`] more, so that
/// many of us do not ask an issuer in step.
const RENEWAL: f64 = 0.8;
const JITTER: f64 = 0.1;

/// The longest time before its end at which renewal is tried whatever pause is under way.
const LEEWAY: Duration = Duration::from_secs(10);

/// No issuer means less; one whose clock is off may say it.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);

/// A clock that was set back by less is no reason to renew, for time services do it all day.
const JUMP: Duration = Duration::from_secs(5);

pub(super) struct Entry {
    pub(super) credential: Arc<Credential>,
    /// When it was renewed last.
    obtained_at: SystemTime,
    /// From then to its end, as its issuer says. `None`: without end, or not to be believed.
    lifetime: Option<Duration>,
    /// When the source last vouched for it.
    checked_at: SystemTime,
    /// When to renew it, while it still holds.
    pub(super) renew_at: Option<SystemTime>,
    holds_until: Option<SystemTime>,
    /// Whether a request took it since it was renewed last. Shared by the entries of one
    /// renewal.
    used: Arc<AtomicBool>,
}

/// How a credential stands now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// To be used as it is.
    Fresh,
    /// To be used, and to be renewed or looked at in the background.
    Due(Errand),
    /// It holds, but nobody looked at it for so long that it should be looked at first.
    Stale,
    /// Not to be used.
    Ended,
}

impl Entry {
    pub(super) fn new(credential: &Arc<Credential>, now: SystemTime) -> Self {
        let end = credential.expires_at;
        let lifetime = end.and_then(|end| end.duration_since(now).ok());
        let part = RENEWAL + JITTER * jitter::fraction();
        Self {
            credential: Arc::clone(credential),
            obtained_at: now,
            lifetime,
            checked_at: now,
            renew_at: lifetime.and_then(|lifetime| now.checked_add(lifetime.mul_f64(part))),
            holds_until: end,
            used: Arc::default(),
        }
    }

    /// For a credential that had ended, or almost, when it was obtained: used for `respite` all
    /// the same.
    pub(super) fn already_ended(
        credential: &Arc<Credential>,
        now: SystemTime,
        respite: Duration,
    ) -> Self {
        Self {
            lifetime: None,
            renew_at: now.checked_add(respite.mul_f64(RENEWAL)),
            holds_until: now.checked_add(respite),
            ..Self::new(credential, now)
        }
    }

    /// After a look at what can be looked at; the end stays where it was, unless it was the end
    /// that changed.
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

    /// After a renewal that brought no later end; the next one is due after `pause`, or as it
    /// was.
    pub(super) fn not_prolonged(
        &self,
        credential: &Arc<Credential>,
        now: SystemTime,
        pause: Option<Duration>,
    ) -> Self {
        let mut entry = Self {
            credential: Arc::clone(credential),
            checked_at: now,
            holds_until: credential.expires_at,
            used: Arc::clone(&self.used),
            ..*self
        };
        if let Some(pause) = pause {
            entry.renew_at = now.checked_add(entry.bounded(pause, now));
        }
        entry
    }

    pub(super) fn standing(&self, now: SystemTime, policy: RefreshPolicy) -> Standing {
        if self.holds_until.is_some_and(|end| end <= now) {
            return Standing::Ended;
        }
        if self.is_due(now) {
            return Standing::Due(Errand::Fetch);
        }
        match policy.recheck_after {
            Some(after) if !within(now, self.checked_at, after * 2) => Standing::Stale,
            Some(after) if !within(now, self.checked_at, after) => Standing::Due(Errand::Recheck),
            _ => Standing::Fresh,
        }
    }

    /// Whether it is time to renew it, as long as it holds.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        self.renew_at
            .is_some_and(|at| at <= now || self.is_ahead_of(now))
    }

    /// Whether `new` is no renewal of it: this one still holds, and `new` ends no later.
    pub(super) fn outlasts(&self, new: &Credential, now: SystemTime) -> bool {
        let (Some(end), Some(new_end)) = (self.credential.expires_at, new.expires_at) else {
            return false;
        };
        now < end && new_end <= end && !self.is_ahead_of(now)
    }

    /// The longest pause between two tries to renew it: a tenth of its lifetime while it holds,
    /// a lifetime once it ended, and no more than the source's pace allows.
    pub(super) fn longest_pause(&self, now: SystemTime, policy: RefreshPolicy) -> Duration {
        let scaled = match self.lifetime {
            Some(lifetime) if self.holds(now) => lifetime / 10,
            Some(lifetime) => lifetime,
            None => policy.max_backoff,
        };
        scaled.min(policy.max_backoff)
    }

    /// `pause`, or what of it remains before the leeway begins, or in it, before the end: then
    /// it is time to try whatever happened before.
    pub(super) fn bounded(&self, pause: Duration, now: SystemTime) -> Duration {
        let left = |until: SystemTime| until.duration_since(now).ok().filter(|d| !d.is_zero());
        let leeway = self.lifetime.map(|lifetime| LEEWAY.min(lifetime / 10));
        let leeway = leeway.zip(self.holds_until);
        let begins = leeway.and_then(|(leeway, end)| end.checked_sub(leeway));
        let next = begins.and_then(left).or(self.holds_until.and_then(left));
        next.map_or(pause, |next| next.min(pause))
    }

    pub(super) fn holds(&self, now: SystemTime) -> bool {
        self.holds_until.is_none_or(|end| now < end)
    }

    /// Whether the clock was set back behind the time at which it was obtained, so that nobody
    /// knows how old it is.
    fn is_ahead_of(&self, now: SystemTime) -> bool {
        let ahead = self.obtained_at.duration_since(now);
        ahead.is_ok_and(|ahead| ahead > JUMP)
    }

    /// Takes note of its use; `true` for the first since it was renewed.
    pub(super) fn is_first_use(&self) -> bool {
        !self.used.load(Ordering::Relaxed) && !self.used.swap(true, Ordering::Relaxed)
    }

    pub(super) fn used(&self) -> &Arc<AtomicBool> {
        &self.used
    }
}

/// Whether a credential that is obtained now cannot be said to hold.
pub(super) fn comes_ended(credential: &Credential, now: SystemTime) -> bool {
    let left = |end: SystemTime| end.duration_since(now).unwrap_or_default();
    credential
        .expires_at
        .is_some_and(|end| left(end) < SHORTEST_LIFETIME)
}

/// Whether less than `span` has passed since `since`. A clock that was set back counts as
/// "long ago", lest anything wait for it to catch up.
pub(super) fn within(now: SystemTime, since: SystemTime, span: Duration) -> bool {
    now.duration_since(since).is_ok_and(|age| age < span)
}
