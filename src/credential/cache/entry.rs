//! A credential and what the clock says of it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::flight::Errand;
use crate::credential::{Credential, Pace};

/// The longest time before its end at which a credential is renewed.
const LEEWAY: Duration = Duration::from_secs(10);

pub(super) struct Entry {
    pub(super) credential: Arc<Credential>,
    /// When the source last vouched for it.
    checked_at: SystemTime,
    /// When to renew it, while it still holds.
    renew_at: Option<SystemTime>,
    holds_until: Option<SystemTime>,
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
        let leeway = lifetime.map(|lifetime| LEEWAY.min(lifetime / 10));
        Self {
            credential: Arc::clone(credential),
            checked_at: now,
            renew_at: end
                .zip(leeway)
                .and_then(|(end, leeway)| end.checked_sub(leeway)),
            holds_until: end,
        }
    }

    /// For a credential that had ended when it was obtained: used for `respite` all the same.
    pub(super) fn already_ended(
        credential: &Arc<Credential>,
        now: SystemTime,
        respite: Duration,
    ) -> Self {
        Self {
            credential: Arc::clone(credential),
            checked_at: now,
            renew_at: None,
            holds_until: now.checked_add(respite),
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
            ..*self
        }
    }

    pub(super) fn standing(&self, now: SystemTime, pace: Pace) -> Standing {
        if self.holds_until.is_some_and(|end| end <= now) {
            return Standing::Ended;
        }
        if self.renew_at.is_some_and(|at| at <= now) {
            return Standing::Due(Errand::Fetch);
        }
        match pace.recheck_after {
            Some(after) if !within(now, self.checked_at, after * 2) => Standing::Stale,
            Some(after) if !within(now, self.checked_at, after) => Standing::Due(Errand::Recheck),
            _ => Standing::Fresh,
        }
    }
}

/// Whether less than `span` has passed since `since`. A clock that was set back counts as
/// "long ago", lest anything wait for it to catch up.
pub(super) fn within(now: SystemTime, since: SystemTime, span: Duration) -> bool {
    now.duration_since(since).is_ok_and(|age| age < span)
}
