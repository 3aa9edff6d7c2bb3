//! The cache as requests and commands use it.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::HeaderValue;
use tokio::time::{Instant, timeout_at};

use super::{
    entry::{Entry, Freshness},
    in_flight::{Outcome, RefreshKind},
    refresher::{Clock, Joined, Refresher},
    state::Pause,
};
use crate::credential::{Credential, Error, Need, Source};

/// How long a request that has a credential waits for a recheck, counted from the recheck's start.
const MAX_RECHECK_WAIT: Duration = Duration::from_secs(1);

/// Caches the credential of one user and keeps it fresh.
pub struct Cache {
    pub(super) refresher: Arc<Refresher>,
}

impl Cache {
    /// Creates a cache over `source`, which is not called before the first request.
    #[must_use]
    pub fn new(source: Arc<dyn Source>) -> Arc<Self> {
        Self::with_clock(source, Arc::new(SystemTime::now))
    }

    /// Creates a cache that reads the wall clock from `clock`.
    pub(in crate::credential) fn with_clock(source: Arc<dyn Source>, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            refresher: Arc::new(Refresher::new(source, clock)),
        })
    }

    /// Returns the credential to use now. While there is a valid one, this waits only for the
    /// recheck of a file that was not checked for a while.
    ///
    /// # Errors
    /// Without a valid credential: the error of the fetch that all requests share, the same error
    /// at once during the pause after it, or [`Error::WaitedTooLong`] after
    /// [`RefreshPolicy::max_wait`](crate::credential::RefreshPolicy::max_wait), while the fetch
    /// continues.
    pub async fn get(&self) -> Result<Arc<Credential>, Error> {
        let credential = self.current_or_fetched().await?;
        self.refresher.note_use();
        Ok(credential)
    }

    /// Fetches a credential for a command that needs one and then ends: straight from the source,
    /// with neither a pause nor a warning after a failure.
    ///
    /// # Errors
    /// The source's error.
    pub async fn fetch_once(&self, need: Need) -> Result<Credential, Error> {
        let fetched = self.refresher.source().fetch_once(need).await;
        fetched.map_err(Error::without_logged_messages)
    }

    /// Fetches a credential and its expiry as [`Cache::fetch_once`] does, and caches it for the
    /// requests of that command.
    ///
    /// # Errors
    /// The source's error.
    pub async fn fetch_and_keep(&self) -> Outcome {
        let credential = self.fetch_once(Need::WithExpiry).await?;
        Ok(self.refresher.keep_fetched(credential))
    }

    async fn current_or_fetched(&self) -> Outcome {
        // The entry is loaded before the time is read: an entry that is stored in between would
        // seem to be from the future.
        let seen = self.refresher.entry();
        let now = self.refresher.now();
        let Some(held) = seen else {
            return self.wait_for_fetch(None, now).await;
        };
        match held.freshness(now, self.refresher.policy()) {
            Freshness::Fresh => {}
            Freshness::Due(kind) => self.refresher.try_start(&held, kind, now),
            Freshness::Stale => {
                let credential = self.recheck(held, now).await;
                if self.refresher.entry().is_some() {
                    return Ok(credential);
                }
                // It is of another user than the inputs name now.
                return self.wait_for_fetch(None, self.refresher.now()).await;
            }
            Freshness::Expired => return self.wait_for_fetch(Some(held), now).await,
        }
        Ok(Arc::clone(&held.credential))
    }

    /// Reports that the API server rejected `used` (401), and returns the credential to try
    /// instead, if there is another. `used` is refreshed at most once in 10 s, and only if that
    /// was not done yet; concurrent callers share the result. A failed refresh changes nothing.
    pub async fn replace_refused(&self, used: &Arc<Credential>) -> Option<Arc<Credential>> {
        let deadline = self.deadline();
        loop {
            let in_flight = match self.refresher.join_or_start_after_refusal(used) {
                Some(Joined::InFlight(in_flight)) => in_flight,
                Some(Joined::Completed(newer)) => return Some(newer),
                None | Some(Joined::Paused(_)) => {
                    if self.refresher.has_new_login().await {
                        continue;
                    }
                    return None;
                }
            };
            let kind = in_flight.kind;
            let _outcome = by(deadline, in_flight.outcome(self.refresher.source())).await?;
            // A recheck may not have checked the part that the server rejected.
            if kind == RefreshKind::Fetch {
                let other = self.current().filter(|new| !new.proves_the_same(used));
                if other.is_some() || !self.refresher.has_new_login().await {
                    return other;
                }
            }
        }
    }

    /// Returns the value of a `Warning` header for a 401 of the API server to `used`: why the source has
    /// no other credential, and the command for a new one. `None` if it is not known that a human must
    /// log in.
    #[must_use]
    pub fn login_warning(&self, used: &Credential) -> Option<HeaderValue> {
        let failure = self.refresher.lock().pause.as_ref().map(Pause::warning);
        let failure = failure.flatten();
        failure.or_else(|| used.refusal_warning(&self.subject()))
    }

    /// Forgets past failures, because an input of the source has changed: a kubeconfig, a file, a
    /// saved login. The next request calls the source at once, whatever pause was running and
    /// however permanent the failure. Requests that wait for a fetch that began before do not get
    /// its failure; they wait for another fetch.
    pub fn clear_failures(&self) {
        self.refresher.clear_failures();
    }

    /// Forgets past failures as [`Cache::clear_failures`] does, and starts a recheck of the cached
    /// credential that no request waits for.
    pub fn recheck_in_background(&self) {
        self.refresher.source().inputs_changed();
        let changes = self.refresher.clear_failures();
        let refresher = Arc::clone(&self.refresher);
        tokio::spawn(async move {
            while let Some(held) = refresher.entry() {
                let now = refresher.now();
                let joined = refresher.join_or_start(Some(&held), RefreshKind::Recheck, now);
                let in_flight = match joined {
                    Joined::InFlight(in_flight) => in_flight,
                    Joined::Completed(_) => continue,
                    Joined::Paused(_) => return,
                };
                if in_flight.changes >= changes {
                    return;
                }
                // This one may have read the inputs before the change. Its outcome is for the
                // requests that wait for it.
                let _outcome = in_flight.outcome(refresher.source()).await;
            }
        });
    }

    /// [`RefreshPolicy::max_wait`](crate::credential::RefreshPolicy::max_wait) of the source.
    pub(in crate::credential) fn max_wait(&self) -> Option<Duration> {
        self.refresher.policy().max_wait
    }

    fn deadline(&self) -> Option<Instant> {
        self.max_wait().map(|max_wait| Instant::now() + max_wait)
    }

    /// [`Source::login_files`]
    pub(in crate::credential) fn login_files(&self) -> Vec<PathBuf> {
        self.refresher.source().login_files()
    }

    /// [`Source::subject`]
    #[must_use]
    pub fn subject(&self) -> String {
        self.refresher.source().subject()
    }

    /// [`Source::files`]
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.refresher.source().files()
    }

    /// The cached credential, whether it is still valid or not; `None` before the first fetch.
    pub(in crate::credential) fn current(&self) -> Option<Arc<Credential>> {
        self.refresher.current()
    }

    /// Waits for a fetch, because there is no valid credential.
    pub(super) async fn wait_for_fetch(
        &self,
        seen: Option<Arc<Entry>>,
        now: SystemTime,
    ) -> Outcome {
        let deadline = self.deadline();
        let (mut seen, mut now) = (seen, now);
        loop {
            let joined = self
                .refresher
                .join_or_start(seen.as_ref(), RefreshKind::Fetch, now);
            let in_flight = match joined {
                Joined::InFlight(in_flight) => in_flight,
                Joined::Completed(credential) => return Ok(credential),
                Joined::Paused(error) => {
                    if self.refresher.has_new_login().await {
                        continue;
                    }
                    return Err(error);
                }
            };
            let (kind, changes) = (in_flight.kind, in_flight.changes);
            let outcome = by(deadline, in_flight.outcome(self.refresher.source())).await;
            let outcome = outcome.ok_or_else(|| Error::WaitedTooLong {
                subject: self.subject(),
                after: self.max_wait().unwrap_or_default(),
            })?;
            let is_outdated = outcome.is_err()
                && (changes != self.refresher.changes() || self.refresher.has_new_login().await);
            if kind == RefreshKind::Fetch && !is_outdated {
                return outcome;
            }
            // A recheck that began while the credential was valid does not extend its lifetime. A
            // fetch that failed because of a file that has changed since may now succeed.
            now = self.refresher.now();
            seen = self.refresher.entry();
        }
    }

    /// Waits a short time for a recheck; without its result the cached credential is used.
    async fn recheck(&self, held: Arc<Entry>, now: SystemTime) -> Arc<Credential> {
        let joined = self
            .refresher
            .join_or_start(Some(&held), RefreshKind::Recheck, now);
        match joined {
            Joined::Completed(credential) => return credential,
            Joined::Paused(_) => {}
            Joined::InFlight(in_flight) => {
                let deadline = in_flight.started + MAX_RECHECK_WAIT;
                let outcome = timeout_at(deadline, in_flight.outcome(self.refresher.source()));
                if let Ok(Ok(credential)) = outcome.await {
                    return credential;
                }
            }
        }
        Arc::clone(&held.credential)
    }
}

/// The output of `future`; `None` if it is not ready at `deadline`.
async fn by<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}
