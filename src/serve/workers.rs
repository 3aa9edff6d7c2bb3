//! [`Workers`]: threads that serve connections, each with a runtime, a proxy and connections to the
//! API server of its own.
//!
//! A request stays on the thread that accepted its connection: no lock is contended, no task is
//! woken on another core, and frames of several requests for one HTTP/2 connection are written
//! together.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::runtime::{Builder, Handle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::upstream;

/// Up to this many connections per worker are not balanced. A client with few connections then finds
/// the upstream connections of the first worker open.
const UNBALANCED: usize = 2;

/// How long a worker waits for blocking tasks, such as a file being written, when it ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns the number of workers: one for each core available to the process, at most eight. Each
/// has pools of its own.
#[must_use]
pub fn count() -> usize {
    upstream::pool_count()
}

/// The worker threads. Dropping them ends all connections.
pub(super) struct Workers<P> {
    workers: Vec<Worker<P>>,
    ended: CancellationToken,
}

struct Worker<P> {
    proxy: P,
    runtime: Handle,
    thread: Option<JoinHandle<()>>,
    connections: ConnectionCount,
}

impl<P: Clone> Workers<P> {
    /// Starts one thread for each of `proxies`.
    pub(super) fn start(proxies: Vec<P>) -> io::Result<Self> {
        let ended = CancellationToken::new();
        let workers = proxies
            .into_iter()
            .enumerate()
            .map(|(number, proxy)| Worker::start(number, proxy, ended.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Self { workers, ended })
    }

    /// Runs the future that `serve` returns for a worker's proxy. Takes the worker with the fewest
    /// connections, or the first of several.
    pub(super) fn spawn<F>(&self, tasks: &TaskTracker, serve: impl FnOnce(P) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
        P: Send + 'static,
    {
        let Some(worker) = self
            .workers
            .iter()
            .min_by_key(|worker| worker.connections.get().max(UNBALANCED))
        else {
            return;
        };
        let (proxy, counted) = (worker.proxy.clone(), worker.connections.add());
        let serving = tasks.track_future(async move {
            serve(proxy).await;
            drop(counted);
        });
        worker.runtime.spawn(serving);
    }
}

impl<P> Drop for Workers<P> {
    fn drop(&mut self) {
        self.ended.cancel();
        for worker in &mut self.workers {
            // A thread that panicked has already reported it.
            let _ = worker.thread.take().map(JoinHandle::join);
        }
    }
}

impl<P> Worker<P> {
    fn start(number: usize, proxy: P, ended: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                runtime.block_on(ended.cancelled());
                runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
            })?;
        Ok(Self {
            proxy,
            runtime: handle,
            thread: Some(thread),
            connections: ConnectionCount::default(),
        })
    }
}

/// The number of [`Counted`] values that exist.
#[derive(Default)]
struct ConnectionCount(Arc<AtomicUsize>);

struct Counted(Arc<AtomicUsize>);

impl ConnectionCount {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(&self.0))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
