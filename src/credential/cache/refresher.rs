//! Runs one fetch or recheck at a time, shared by all callers.

mod background;
mod completion;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use tokio::{sync::watch, time::Instant};

use super::{
    entry::{Entry, within},
    in_flight::{InFlight, RefreshKind, run},
    login_files::LoginFiles,
    state::{Caller, State},
};
use crate::credential::{Credential, Error, RefreshPolicy, Source};

/// At most one refresh in this time because the API server rejected a credential.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(10);

/// Returns the wall clock's time.
pub(in crate::credential) type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The cached credential of one source, and what is known about the calls to the source.
pub(super) struct Refresher {
    source: Arc<dyn Source>,
    policy: RefreshPolicy,
    clock: Clock,
    entry: ArcSwapOption<Entry>,
    state: Mutex<State>,
    login_files: Arc<LoginFiles>,
}

/// The result of [`Refresher::join_or_start`].
pub(super) enum Joined {
    /// The call in flight, be it new or older.
    InFlight(InFlight),
    /// Another call completed since the caller loaded the entry.
    Completed(Arc<Credential>),
    /// The pause after a failure is running.
    Paused(Error),
}

impl Refresher {
    pub(super) fn new(source: Arc<dyn Source>, clock: Clock) -> Self {
        Self {
            policy: source.refresh_policy(),
            source,
            clock,
            entry: ArcSwapOption::empty(),
            state: Mutex::default(),
            login_files: Arc::default(),
        }
    }

    pub(super) fn source(&self) -> &dyn Source {
        &*self.source
    }

    pub(super) fn policy(&self) -> RefreshPolicy {
        self.policy
    }

    pub(super) fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// The cached credential with its times; `None` before the first fetch.
    pub(super) fn entry(&self) -> Option<Arc<Entry>> {
        self.entry.load_full()
    }

    pub(super) fn current(&self) -> Option<Arc<Credential>> {
        let entry = self.entry.load();
        entry.as_ref().map(|entry| Arc::clone(&entry.credential))
    }

    /// How often past failures were cleared.
    pub(super) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Forgets past failures, and returns how often that was done.
    pub(super) fn clear_failures(&self) -> u64 {
        let mut state = self.lock();
        state.clear_failures();
        state.changes
    }

    /// Joins the call in flight or starts one, unless another one completed since the caller
    /// loaded `seen`, or the pause after a failure is running.
    pub(super) fn join_or_start(
        self: &Arc<Self>,
        seen: Option<&Arc<Entry>>,
        kind: RefreshKind,
        now: SystemTime,
    ) -> Joined {
        self.join_or_start_locked(self.lock(), seen, kind, now, Caller::Request)
    }

    fn join_or_start_locked(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        seen: Option<&Arc<Entry>>,
        kind: RefreshKind,
        now: SystemTime,
        caller: Caller,
    ) -> Joined {
        if let Some(in_flight) = &state.in_flight {
            return Joined::InFlight(in_flight.clone());
        }
        if let Some(entry) = self.entry()
            && !seen.is_some_and(|seen| Arc::ptr_eq(seen, &entry))
        {
            return Joined::Completed(Arc::clone(&entry.credential));
        }
        let pause = state.pause.as_ref();
        if let Some(error) = pause.and_then(|pause| pause.error(now, caller)) {
            return Joined::Paused(error);
        }
        Joined::InFlight(self.start(&mut state, kind))
    }

    /// Joins or starts a fetch as [`Refresher::join_or_start`] does, after the API server rejected
    /// `used`. `None` if the last refresh for this reason was a short time ago.
    pub(super) fn join_or_start_after_refusal(
        self: &Arc<Self>,
        used: &Arc<Credential>,
    ) -> Option<Joined> {
        let now = self.now();
        let mut state = self.lock();
        let current = self.entry()?;
        if !current.credential.proves_the_same(used) {
            return Some(Joined::Completed(Arc::clone(&current.credential)));
        }
        if state.in_flight.is_none() {
            let is_recent = |at| within(now, at, REFUSAL_INTERVAL);
            if state.refused_at.is_some_and(is_recent) {
                return None;
            }
            state.refused_at = Some(now);
        }
        let (kind, caller) = (RefreshKind::Fetch, Caller::Request);
        Some(self.join_or_start_locked(state, Some(&current), kind, now, caller))
    }

    /// Starts a call in the background, unless one is in flight or a pause is running. Never
    /// blocks: another thread that holds the lock is about to do the same.
    pub(super) fn try_start(
        self: &Arc<Self>,
        held: &Arc<Entry>,
        kind: RefreshKind,
        now: SystemTime,
    ) {
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        self.join_or_start_locked(state, Some(held), kind, now, Caller::Background);
    }

    /// Starts a call in a task of its own, which continues when its callers are dropped.
    fn start(self: &Arc<Self>, state: &mut State, kind: RefreshKind) -> InFlight {
        let (sender, outcome) = watch::channel(None);
        let (refresher, changes) = (Arc::clone(self), state.changes);
        tokio::spawn(async move {
            // Before the source reads them.
            let login_files = refresher.source.login_files();
            refresher.login_files.record(login_files).await;
            // A task of its own, so that a panic in the source ends there.
            let source = Arc::clone(&refresher.source);
            let running = tokio::spawn(run(source, refresher.current(), kind));
            let outcome = running.await.unwrap_or_else(|_| {
                Err(Error::SourceFailed {
                    subject: refresher.source.subject(),
                })
            });
            sender.send_replace(Some(refresher.complete(kind, changes, outcome)));
        });
        let in_flight = InFlight {
            kind,
            started: Instant::now(),
            changes,
            outcome,
        };
        state.in_flight = Some(in_flight.clone());
        in_flight
    }

    /// Whether another process saved a new login since the source was last called, so that the
    /// source is to be called again before a failure is returned.
    pub(super) async fn has_new_login(self: &Arc<Self>) -> bool {
        let changes = self.changes();
        let refresher = Arc::clone(self);
        let on_change = move || {
            refresher.source.inputs_changed();
            refresher.clear_failures();
        };
        self.login_files.check(on_change).await;
        // The check may have been another caller's.
        self.changes() != changes
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
