//! Files in which another process saves a new login. They are checked before a failure is
//! returned, since a session that has ended is often followed by a login just then.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use crate::kubeconfig::{
    fingerprint::{self, Fingerprint},
    own_writes,
};

/// Of each file, only the first bytes up to this number are compared.
const LIMIT: u64 = 1 << 20;

/// Checks that may follow each other at once, as many as the requests of one kubectl command need;
/// beyond these there is one check in [`INTERVAL`].
const BURST: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);

/// The login files of one source, as they were when the source was last called.
#[derive(Default)]
pub(super) struct LoginFiles {
    /// Locked for a check on blocking threads only.
    recorded: Mutex<Vec<(PathBuf, Option<Fingerprint>)>>,
    has_any: AtomicBool,
    /// The number of requested checks.
    requested: AtomicU64,
    checks: tokio::sync::Mutex<Checks>,
}

impl LoginFiles {
    /// Records the state of `files` as it is now.
    pub(super) async fn record(self: &Arc<Self>, files: Vec<PathBuf>) {
        if files.is_empty() && !self.has_any.load(Ordering::Relaxed) {
            return;
        }
        self.has_any.store(!files.is_empty(), Ordering::Relaxed);
        let this = Arc::clone(self);
        let record = move || {
            let mut recorded = this.lock();
            *recorded = files
                .into_iter()
                .map(|path| {
                    let found = fingerprint::open(&path);
                    (path, found.map(|(_, fingerprint)| fingerprint))
                })
                .collect();
        };
        // Fails only while the runtime shuts down.
        let _ = spawn_blocking(record).await;
    }

    /// Checks the files on a blocking thread, and calls `on_change` there if another process has
    /// changed one since it was recorded. One check serves all callers that wait when it begins,
    /// so a change that was made before this call is never missed.
    pub(super) async fn check(self: &Arc<Self>, on_change: impl FnOnce() + Send + 'static) {
        if !self.has_any.load(Ordering::Relaxed) {
            return;
        }
        let request = self.requested.fetch_add(1, Ordering::SeqCst) + 1;
        let mut checks = self.checks.lock().await;
        if checks.covered >= request {
            return;
        }
        checks.wait_for_budget().await;
        let covered = self.requested.load(Ordering::SeqCst);
        let this = Arc::clone(self);
        // Runs to its end even if this caller leaves; the next caller then makes a check of its
        // own.
        let check = move || {
            if this.have_changed() {
                on_change();
            }
        };
        if spawn_blocking(check).await.is_ok() {
            checks.covered = covered;
        }
    }

    /// Whether another process has written or removed one of them; `true` once for each time.
    fn have_changed(&self) -> bool {
        let mut have_changed = false;
        for (path, before) in &mut *self.lock() {
            let found = fingerprint::open(path);
            let now = found.as_ref().map(|(_, fingerprint)| *fingerprint);
            if now != *before {
                *before = now;
                let digest = found.and_then(|(file, _)| fingerprint::digest(file, LIMIT).ok());
                have_changed |= !digest.as_ref().is_some_and(own_writes::contains);
            }
        }
        have_changed
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(PathBuf, Option<Fingerprint>)>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The checks until now, and how many more may begin at once.
struct Checks {
    /// The number of requests that the last check has served.
    covered: u64,
    left: u32,
    refilled: Option<Instant>,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            covered: 0,
            left: BURST,
            refilled: None,
        }
    }
}

impl Checks {
    /// Waits until the next check may begin.
    async fn wait_for_budget(&mut self) {
        let refilled = *self.refilled.get_or_insert_with(Instant::now);
        if self.left == 0 {
            sleep_until(refilled + INTERVAL).await;
        }
        let earned = refilled.elapsed().as_secs() / INTERVAL.as_secs();
        let earned = u32::try_from(earned).unwrap_or(BURST);
        self.refilled = Some(if self.left.saturating_add(earned) >= BURST {
            Instant::now()
        } else {
            refilled + INTERVAL * earned
        });
        self.left = self
            .left
            .saturating_add(earned)
            .min(BURST)
            .saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    async fn changed(files: &Arc<LoginFiles>) -> bool {
        let changed = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&changed);
        files
            .check(move || told.store(true, Ordering::SeqCst))
            .await;
        changed.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn a_change_by_another_process_is_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login.json");
        let files = Arc::new(LoginFiles::default());
        files.record(vec![path.clone()]).await;
        assert!(!changed(&files).await, "there is no file");
        fs::write(&path, "theirs").unwrap();
        assert!(changed(&files).await);
        assert!(!changed(&files).await);
        own_writes::record(b"a token that this process renewed");
        fs::write(&path, "a token that this process renewed").unwrap();
        assert!(!changed(&files).await);
        fs::write(&path, "theirs again").unwrap();
        assert!(changed(&files).await);
        fs::remove_file(&path).unwrap();
        assert!(changed(&files).await, "a removed login is a change too");
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_a_burst_there_is_one_check_a_second_and_none_misses_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login.json");
        let files = Arc::new(LoginFiles::default());
        files.record(vec![path.clone()]).await;
        let began = Instant::now();
        for _ in 0..BURST {
            assert!(!changed(&files).await);
        }
        assert!(began.elapsed() < INTERVAL);
        fs::write(&path, "theirs").unwrap();
        assert!(changed(&files).await);
        assert!(!changed(&files).await);
        let elapsed = began.elapsed();
        assert!(
            (2 * INTERVAL..3 * INTERVAL).contains(&elapsed),
            "{elapsed:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn callers_that_wait_share_one_check() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login.json");
        let files = Arc::new(LoginFiles::default());
        files.record(vec![path.clone()]).await;
        for _ in 0..BURST {
            changed(&files).await;
        }
        let began = Instant::now();
        let callers = (0..1000).map(|_| {
            let files = Arc::clone(&files);
            tokio::spawn(async move { changed(&files).await })
        });
        let callers: Vec<_> = callers.collect();
        tokio::task::yield_now().await;
        fs::write(&path, "theirs").unwrap();
        let mut told = 0;
        for caller in callers {
            told += usize::from(caller.await.unwrap());
        }
        assert_eq!(told, 1);
        assert!(began.elapsed() < 2 * INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_leaves_does_not_take_a_change_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("login.json");
        let files = Arc::new(LoginFiles::default());
        files.record(vec![path.clone()]).await;
        fs::write(&path, "theirs").unwrap();
        let told = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&told);
        let check = files.check(move || tell.store(true, Ordering::SeqCst));
        // Polled once, which starts the check.
        let polled = tokio::time::timeout(Duration::ZERO, check).await;
        drop(polled);
        let also = changed(&files).await;
        assert!(told.load(Ordering::SeqCst) || also);
    }
}
