//! The one cache over all kinds: expiry, single flight and the last good value.
//!
//! A request takes the held credential without a lock. From 80 % of its lifetime on it is
//! renewed in the background; only where no credential holds does a request wait, together with
//! all others, for one fetch, which runs on when they leave. After a failure nobody is asked
//! again until a pause has passed; a credential that still holds is served to its end meanwhile.
//!
//! What was used since it was renewed last is renewed without a request too; what was not, only
//! when a request comes.
//!
//! Everything is judged by wall clock, for monotonic timers stop while a machine sleeps.

pub(super) mod backoff;
mod entry;
mod flight;
mod landing;
mod login_files;
mod tend;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use self::{
    entry::{Entry, Standing, within},
    flight::{Errand, Flight, Outcome, State, run},
    login_files::LoginFiles,
};
use super::{Credential, Error, RefreshPolicy, Source};

/// How long a request that has a credential waits for its recheck to end, counted from the
/// recheck's start.
const RECHECK_PATIENCE: Duration = Duration::from_secs(1);

/// At most one refresh in this time because the API server refused a credential.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(10);

/// Tells the wall clock's time.
pub(super) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Holds the credential of one user and keeps it fresh.
pub struct Cache {
    source: Arc<dyn Source>,
    policy: RefreshPolicy,
    clock: Clock,
    entry: ArcSwapOption<Entry>,
    state: Mutex<State>,
    login_files: Arc<LoginFiles>,
}

/// What [`Cache::board`] found.
enum Boarding {
    Flight(Flight),
    /// A flight landed in between.
    Landed(Arc<Credential>),
    Paused(Error),
}

impl Cache {
    /// A cache over `source`, which is not asked before the first request.
    #[must_use]
    pub fn new(source: Arc<dyn Source>) -> Arc<Self> {
        Self::with_clock(source, Arc::new(SystemTime::now))
    }

    /// As [`Cache::new`], with another wall clock.
    pub(super) fn with_clock(source: Arc<dyn Source>, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            policy: source.refresh_policy(),
            source,
            clock,
            entry: ArcSwapOption::empty(),
            state: Mutex::default(),
            login_files: Arc::default(),
        })
    }

    /// The credential to use now. Never waits while one holds, but for the moment that it takes
    /// to look at a file that was not looked at for a while.
    ///
    /// # Errors
    /// Where none holds: what the fetch that all requests share said, the same at once during
    /// the pause after it, or [`Error::WaitedTooLong`] after the source's [`RefreshPolicy::max_wait`],
    /// while the fetch runs on.
    pub async fn get(self: &Arc<Self>) -> Result<Arc<Credential>, Error> {
        let got = self.take().await?;
        // A credential that is used is renewed without further requests.
        if let Some(entry) = self.entry.load().as_ref()
            && entry.is_first_use()
        {
            tend::start(self, entry);
        }
        Ok(got)
    }

    /// A credential for a command that needs one and ends: straight from the source, with
    /// neither a pause nor a warning after a failure.
    ///
    /// # Errors
    /// What the source says.
    pub async fn fetch_once(&self) -> Result<Credential, Error> {
        let fetched = self.source.fetch().await;
        fetched.map_err(Error::without_logged_messages)
    }

    /// As [`Cache::fetch_once`], and keeps what came of it for the requests of that command.
    ///
    /// # Errors
    /// What the source says.
    pub async fn fetch_and_keep(self: &Arc<Self>) -> Outcome {
        let credential = self.fetch_once().await?;
        let now = (self.clock)();
        let mut state = self.lock();
        Ok(self.keep(&mut state, Errand::Fetch, credential, now))
    }

    async fn take(self: &Arc<Self>) -> Outcome {
        // The time comes second, lest what lands in between seem to be from the future.
        let seen = self.entry.load_full();
        let now = (self.clock)();
        let Some(held) = seen else {
            return self.obtain(None, now).await;
        };
        match held.standing(now, self.policy) {
            Standing::Fresh => {}
            Standing::Due(errand) => self.nudge(&held, errand, now),
            Standing::Stale => return Ok(self.recheck(held, now).await),
            Standing::Ended => return self.obtain(Some(held), now).await,
        }
        Ok(Arc::clone(&held.credential))
    }

    /// Tells that the API server refused `used` (401), and gives the credential to try instead,
    /// if there is another. `used` is renewed at most once in 10 s, and only if nobody renewed
    /// it already; all who ask meanwhile share the answer. A failed renewal changes nothing.
    pub async fn replace_refused(
        self: &Arc<Self>,
        used: &Arc<Credential>,
    ) -> Option<Arc<Credential>> {
        let deadline = self.deadline();
        loop {
            let flight = match self.board_after_refusal(used) {
                Some(Boarding::Flight(flight)) => flight,
                Some(Boarding::Landed(newer)) => return Some(newer),
                None | Some(Boarding::Paused(_)) => {
                    if self.has_new_login().await {
                        continue;
                    }
                    return None;
                }
            };
            let errand = flight.errand;
            let _landed = by(deadline, flight.landed(&*self.source)).await?;
            // A recheck may not have looked at what was refused.
            if errand == Errand::Fetch {
                let other = self.current().filter(|new| !new.proves_the_same(used));
                if other.is_some() || !self.has_new_login().await {
                    return other;
                }
            }
        }
    }

    /// Tells that what the source reads has changed: a kubeconfig, a file, a saved login. The
    /// failures until then say nothing any more, so the next request has the source asked at
    /// once, whatever pause was under way and however permanent the failure. Those who wait for
    /// a fetch that began before do not share its failure; they have another one made.
    pub fn clear_failures(&self) {
        self.lock().clear_failures();
    }

    /// Whether another process saved a new login since the source was last asked, so that the
    /// source is to be asked again before a failure is returned.
    async fn has_new_login(self: &Arc<Self>) -> bool {
        let changes = self.lock().changes;
        let cache = Arc::clone(self);
        let on_change = move || {
            cache.source.inputs_changed();
            cache.clear_failures();
        };
        self.login_files.check(on_change).await;
        // The check may have been another caller's.
        self.lock().changes != changes
    }

    /// Tells as [`Cache::clear_failures`] does, and has the source look whether what is held
    /// still stands, without a request waiting for it.
    pub fn recheck_in_background(self: &Arc<Self>) {
        self.source.inputs_changed();
        self.clear_failures();
        let changes = self.lock().changes;
        let cache = Arc::clone(self);
        tokio::spawn(async move {
            while let Some(held) = cache.entry.load_full() {
                let now = (cache.clock)();
                let flight = match cache.board(cache.lock(), Some(&held), Errand::Recheck, now) {
                    Boarding::Flight(flight) => flight,
                    Boarding::Landed(_) => continue,
                    Boarding::Paused(_) => return,
                };
                if flight.changes >= changes {
                    return;
                }
                // It may have looked before the change. Its outcome is for those who need one.
                let _landed = flight.landed(&*cache.source).await;
            }
        });
    }

    /// How long a request waits for a credential; `None`: for as long as the source takes.
    pub(super) fn max_wait(&self) -> Option<Duration> {
        self.policy.max_wait
    }

    fn deadline(&self) -> Option<Instant> {
        self.policy
            .max_wait
            .map(|max_wait| Instant::now() + max_wait)
    }

    /// [`Source::login_files`]
    pub(super) fn login_files(&self) -> Vec<PathBuf> {
        self.source.login_files()
    }

    /// [`Source::subject`]
    #[must_use]
    pub fn subject(&self) -> String {
        self.source.subject()
    }

    /// [`Source::files`]
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.source.files()
    }

    /// The held credential, whether it still holds or not; `None` before the first fetch.
    pub(super) fn current(&self) -> Option<Arc<Credential>> {
        let entry = self.entry.load();
        entry.as_ref().map(|entry| Arc::clone(&entry.credential))
    }

    /// Waits for a credential, because none holds.
    async fn obtain(self: &Arc<Self>, seen: Option<Arc<Entry>>, now: SystemTime) -> Outcome {
        let deadline = self.deadline();
        let (mut seen, mut now) = (seen, now);
        loop {
            let boarding = self.board(self.lock(), seen.as_ref(), Errand::Fetch, now);
            let flight = match boarding {
                Boarding::Flight(flight) => flight,
                Boarding::Landed(credential) => return Ok(credential),
                Boarding::Paused(error) => {
                    if self.has_new_login().await {
                        continue;
                    }
                    return Err(error);
                }
            };
            let (errand, changes) = (flight.errand, flight.changes);
            let outcome = by(deadline, flight.landed(&*self.source)).await;
            let outcome = outcome.ok_or_else(|| Error::WaitedTooLong {
                subject: self.source.subject(),
                after: self.policy.max_wait.unwrap_or_default(),
            })?;
            let in_vain =
                outcome.is_err() && (changes != self.lock().changes || self.has_new_login().await);
            if errand == Errand::Fetch && !in_vain {
                return outcome;
            }
            // A recheck, begun while the credential still held, does not renew its expiry. What
            // failed by a file that has changed since may succeed now.
            now = (self.clock)();
            seen = self.entry.load_full();
        }
    }

    /// Waits for a recheck, but not for long; what is held is better than nothing.
    async fn recheck(self: &Arc<Self>, held: Arc<Entry>, now: SystemTime) -> Arc<Credential> {
        match self.board(self.lock(), Some(&held), Errand::Recheck, now) {
            Boarding::Landed(credential) => return credential,
            Boarding::Paused(_) => {}
            Boarding::Flight(flight) => {
                let deadline = flight.started + RECHECK_PATIENCE;
                if let Ok(Ok(credential)) = timeout_at(deadline, flight.landed(&*self.source)).await
                {
                    return credential;
                }
            }
        }
        Arc::clone(&held.credential)
    }

    /// Starts a flight in the background unless there is reason not to. Never blocks: who holds
    /// the lock is about to do the same.
    fn nudge(self: &Arc<Self>, held: &Arc<Entry>, errand: Errand, now: SystemTime) {
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        self.board(state, Some(held), errand, now);
    }

    /// Joins the flight under way or starts one, unless another landed since `seen` was loaded,
    /// or a failure has everybody wait.
    fn board(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        seen: Option<&Arc<Entry>>,
        errand: Errand,
        now: SystemTime,
    ) -> Boarding {
        if let Some(flight) = &state.flight {
            return Boarding::Flight(flight.clone());
        }
        if let Some(entry) = self.entry.load_full()
            && !seen.is_some_and(|seen| Arc::ptr_eq(seen, &entry))
        {
            return Boarding::Landed(Arc::clone(&entry.credential));
        }
        if let Some(error) = state.pause.as_ref().and_then(|pause| pause.error(now)) {
            return Boarding::Paused(error);
        }
        Boarding::Flight(self.start(&mut state, errand))
    }

    /// As [`Cache::board`], for one whose credential was refused. `None` if the last such
    /// refresh was not long ago.
    fn board_after_refusal(self: &Arc<Self>, used: &Arc<Credential>) -> Option<Boarding> {
        let now = (self.clock)();
        let mut state = self.lock();
        let current = self.entry.load_full()?;
        if !current.credential.proves_the_same(used) {
            return Some(Boarding::Landed(Arc::clone(&current.credential)));
        }
        if state.flight.is_none() {
            let recently = |at| within(now, at, REFUSAL_INTERVAL);
            if state.refused_at.is_some_and(recently) {
                return None;
            }
            state.refused_at = Some(now);
        }
        Some(self.board(state, Some(&current), Errand::Fetch, now))
    }

    /// Sends a task on the errand. It belongs to nobody who waits, so that it outlives them.
    fn start(self: &Arc<Self>, state: &mut State, errand: Errand) -> Flight {
        let (arrival, landing) = watch::channel(None);
        let (cache, changes) = (Arc::clone(self), state.changes);
        tokio::spawn(async move {
            // Before the source reads them.
            cache.login_files.record(cache.source.login_files()).await;
            // A task of its own, so that a panic in the source ends there.
            let running = tokio::spawn(run(Arc::clone(&cache.source), cache.current(), errand));
            let outcome = running.await.unwrap_or_else(|_| {
                Err(Error::SourceFailed {
                    subject: cache.source.subject(),
                })
            });
            arrival.send_replace(Some(cache.land(errand, changes, outcome)));
        });
        let flight = Flight {
            errand,
            started: Instant::now(),
            changes,
            landing,
        };
        state.flight = Some(flight.clone());
        flight
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What comes of `future` by `deadline`, if anything does.
async fn by<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

#[cfg(test)]
mod tests;
