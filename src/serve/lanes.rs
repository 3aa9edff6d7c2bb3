//! [`Lanes`]: one thread a core, each with a runtime, a proxy and connections to the API server
//! of its own.
//!
//! What a request needs stays on the thread that took its connection: no lock is contended, no
//! task is woken on another core, and what several requests write to one HTTP/2 connection in
//! one turn leaves in one piece.

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

/// More threads than an API server could keep busy only scatter the connections to it.
const MOST: usize = 8;

/// So many connections are no work to share out: who makes a few finds the connections to the
/// API server that the first lane has.
const FEW: usize = 2;

/// How long a file that is being written at the end may take.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// How many lanes this machine is worth: one for each core that we may use, up to eight.
#[must_use]
pub fn count() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST))
}

/// Threads that serve connections. Dropped, they cut off what still runs.
pub(super) struct Lanes<P> {
    lanes: Vec<Lane<P>>,
    ended: CancellationToken,
}

struct Lane<P> {
    proxy: P,
    runtime: Handle,
    thread: Option<JoinHandle<()>>,
    /// Connections that are open.
    load: Load,
}

impl<P: Clone> Lanes<P> {
    /// Starts a thread for each of `proxies`.
    pub(super) fn start(proxies: Vec<P>) -> io::Result<Self> {
        let ended = CancellationToken::new();
        let lanes = proxies
            .into_iter()
            .enumerate()
            .map(|(number, proxy)| Lane::start(number, proxy, ended.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Self { lanes, ended })
    }

    /// Runs what `serve` makes of a lane's proxy on the first of the lanes that have the fewest
    /// connections.
    pub(super) fn spawn<F>(&self, tasks: &TaskTracker, serve: impl FnOnce(P) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
        P: Send + 'static,
    {
        let Some(lane) = self
            .lanes
            .iter()
            .min_by_key(|lane| lane.load.now().max(FEW))
        else {
            return;
        };
        let (proxy, busy) = (lane.proxy.clone(), lane.load.another());
        let serving = tasks.track_future(async move {
            serve(proxy).await;
            drop(busy);
        });
        lane.runtime.spawn(serving);
    }
}

impl<P> Drop for Lanes<P> {
    fn drop(&mut self) {
        self.ended.cancel();
        for lane in &mut self.lanes {
            // A thread that panicked has said so already.
            let _ = lane.thread.take().map(JoinHandle::join);
        }
    }
}

impl<P> Lane<P> {
    fn start(number: usize, proxy: P, ended: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new()
            .name(format!("lane-{number}"))
            .spawn(move || {
                runtime.block_on(ended.cancelled());
                runtime.shutdown_timeout(LAST_WRITES);
            })?;
        Ok(Self {
            proxy,
            runtime: handle,
            thread: Some(thread),
            load: Load::default(),
        })
    }
}

/// How many there are, counted by who holds a [`Busy`].
#[derive(Default)]
struct Load(Arc<AtomicUsize>);

struct Busy(Arc<AtomicUsize>);

impl Load {
    fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn another(&self) -> Busy {
        self.0.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(&self.0))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
