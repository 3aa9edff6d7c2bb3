//! [`HealthMonitor`]: the task of a pool that monitors its connections.
//!
//! It closes what is idle or old, and tells a server that is frozen or cut off from one that is
//! slow. Where a request is under way and nothing was received for a while, it probes whether the
//! server is alive: by a PING on an HTTP/2 connection, by another handshake for HTTP/1.1. Without
//! an answer, requests use other connections, and later what still runs on the connection is
//! aborted. The task sleeps until there may be something to do, and ends when no connection is open.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use super::{
    connect::Connector, connections::Connections, http2_connections::PooledConnection, key::PoolKey,
};
use crate::upstream::timeouts::Timeouts;

/// The shortest time between two checks, and how long a request may wait before the first.
const MIN_INTERVAL: Duration = Duration::from_millis(250);
/// The longest delay between two handshakes that probe a slow server.
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// This machine has slept where the wall clock has advanced by this much more than the monotonic
/// clock, which stops during sleep.
const SLEEP_DIFFERENCE: Duration = Duration::from_secs(5);

/// Monitors the connections of a pool.
pub(super) struct HealthMonitor {
    connections: Arc<Connections>,
    timeouts: Timeouts,
    probe: LivenessProbe,
    running: AtomicBool,
    /// Whether a new request must wake the task, which sleeps for longer than a request may wait.
    resting: AtomicBool,
    woken: Notify,
    clocks: Mutex<Clocks>,
}

/// The two clocks, read together.
struct Clocks {
    wall: SystemTime,
    monotonic: Instant,
}

/// Handshakes that show whether a server that is silent over HTTP/1.1 is alive.
struct LivenessProbe {
    connector: Arc<Connector>,
    in_flight: AtomicBool,
    /// When the last one began that succeeded.
    last_success: Mutex<Option<Instant>>,
}

impl HealthMonitor {
    pub(super) fn new(
        connections: &Arc<Connections>,
        connector: &Arc<Connector>,
        timeouts: Timeouts,
    ) -> Self {
        Self {
            connections: Arc::clone(connections),
            timeouts,
            probe: LivenessProbe {
                connector: Arc::clone(connector),
                in_flight: AtomicBool::new(false),
                last_success: Mutex::new(None),
            },
            running: AtomicBool::new(false),
            resting: AtomicBool::new(false),
            woken: Notify::new(),
            clocks: Mutex::new(Clocks::now()),
        }
    }

    /// Wakes the task for a request, where it would sleep for longer than the request may wait.
    pub(super) fn wake(&self) {
        if self.resting.load(Ordering::Relaxed) && self.resting.swap(false, Ordering::Relaxed) {
            self.retire_all_after_sleep();
            self.woken.notify_one();
        }
    }

    /// Starts the task after a connection was opened, or has it check the connection.
    pub(super) fn start(self: &Arc<Self>) {
        self.woken.notify_one();
        if !self.running.swap(true, Ordering::SeqCst) {
            tokio::spawn(run(Arc::clone(self)));
        }
    }

    /// Has the task check again soon.
    pub(super) fn check_soon(&self) {
        self.woken.notify_one();
    }

    /// Whether it sleeps for longer than a request may wait.
    #[cfg(test)]
    fn is_resting(&self) -> bool {
        self.resting.load(Ordering::Relaxed)
    }

    /// Connections that were opened before this machine slept may lead nowhere.
    fn retire_all_after_sleep(&self) {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *clocks, Clocks::now());
        let slept = clocks.slept_since(&before);
        drop(clocks);
        if slept {
            self.connections.retire_all();
        }
    }

    /// Checks every connection. Returns when the next check is due, and whether any is open.
    fn check(self: &Arc<Self>, now: Instant) -> (Option<Instant>, bool) {
        let (mut next, mut any) = self.connections.http1().trim(now, &self.timeouts);
        let mut at_latest = |time: Option<Instant>| {
            next = [next, time].into_iter().flatten().min();
        };
        for key in [PoolKey::Short, PoolKey::Long] {
            let connections = self.connections.http2(key);
            at_latest(connections.trim(now, &self.timeouts));
            let all = connections.all();
            any |= !all.is_empty();
            for connection in all.iter() {
                at_latest(check_http2(connection, &self.timeouts, now));
            }
        }
        at_latest(self.check_http1(now));
        (next, any)
    }

    /// Probes the server where an HTTP/1.1 connection is silent for too long.
    fn check_http1(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        let silence = self.connections.http1().open().longest(now);
        let due = |silent: Option<Duration>, limit: Duration| {
            let silent = silent?;
            // The longer the silence lasts, the rarer are probes.
            let limit = limit.max((silent / 2).min(MAX_PROBE_INTERVAL));
            let began = now.checked_sub(silent)?;
            let last_success = self.probe.last_success();
            Some(last_success.map_or(began, |last| last.max(began)) + limit)
        };
        let awaiting_head = due(silence.awaiting_head, self.timeouts.ping_after);
        let streaming = due(silence.streaming, self.timeouts.silence / 2);
        let due = [awaiting_head, streaming].into_iter().flatten().min()?;
        if due > now {
            return Some(due);
        }
        if !self.probe.in_flight.swap(true, Ordering::Relaxed) {
            tokio::spawn(probe_http1(Arc::clone(self)));
        }
        Some(now + self.timeouts.ping_after)
    }
}

async fn run(monitor: Arc<HealthMonitor>) {
    loop {
        monitor.retire_all_after_sleep();
        let now = Instant::now();
        let (next, any) = monitor.check(now);
        if !any {
            monitor.running.store(false, Ordering::SeqCst);
            // A connection that was opened in the meantime found the task running.
            if !monitor.check(now).1 || monitor.running.swap(true, Ordering::SeqCst) {
                return;
            }
        }
        let resting = next.is_none_or(|next| next > now + monitor.timeouts.ping_after);
        monitor.resting.store(resting, Ordering::Relaxed);
        let due = async {
            match next {
                Some(next) => sleep_until(next.max(now + MIN_INTERVAL)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = monitor.woken.notified() => sleep(MIN_INTERVAL).await,
        }
        monitor.resting.store(false, Ordering::Relaxed);
    }
}

/// Probes an HTTP/2 connection that is silent for too long. Returns when the next check is due.
fn check_http2(
    connection: &Arc<PooledConnection>,
    timeouts: &Timeouts,
    now: Instant,
) -> Option<Instant> {
    if !connection.is_used() {
        return None;
    }
    if connection.is_probing() {
        return Some(now + timeouts.ping_after);
    }
    let limit = if connection.awaits_head() {
        timeouts.ping_after
    } else {
        timeouts.silence / 2
    };
    let due = connection.http2().last_read() + limit;
    if due > now {
        // A request may begin to wait until then.
        return Some(due);
    }
    connection.set_probing(true);
    tokio::spawn(probe_http2(Arc::clone(connection), *timeouts));
    Some(now + timeouts.ping_after)
}

/// Probes one HTTP/2 connection by a PING. Requests leave it where there is no answer in time, and
/// it is aborted where nothing follows.
async fn probe_http2(connection: Arc<PooledConnection>, timeouts: Timeouts) {
    let http2 = connection.http2();
    let began = Instant::now();
    let mut ping = std::pin::pin!(http2.ping());
    let before = http2.last_read();
    // Any byte shows that the server is alive: the PING's answer may be queued behind others.
    let is_alive = || http2.last_read() > before;
    let answered = timeout(timeouts.ping_timeout, &mut ping).await.is_ok();
    if !answered && !is_alive() {
        tracing::debug!("an upstream connection does not answer liveness probes");
        connection.mark_unresponsive();
        let dead = (before + timeouts.silence).max(began + timeouts.ping_timeout);
        loop {
            let until = dead.min(Instant::now() + MIN_INTERVAL);
            let answered = timeout_at(until, &mut ping).await.is_ok();
            if answered || is_alive() || !connection.is_used() {
                break;
            }
            if Instant::now() >= dead {
                tracing::warn!(
                    "an upstream connection did not answer liveness probes; its requests are \
                     aborted"
                );
                http2.abort();
                break;
            }
        }
        if is_alive() {
            connection.mark_alive();
        } else {
            // Retired, so that no further request waits on a dead connection.
            http2.retire();
        }
    }
    connection.set_probing(false);
}

/// Probes the server by a handshake. Where it fails, HTTP/1.1 requests in silence are given up.
async fn probe_http1(monitor: Arc<HealthMonitor>) {
    let (probe, connections) = (&monitor.probe, &monitor.connections);
    let began = Instant::now();
    if probe.connector.probe().await || connections.received_since(began) {
        probe.record_success(began);
    } else {
        let now = Instant::now();
        let Timeouts {
            ping_after,
            silence,
            ..
        } = monitor.timeouts;
        let dead = now.checked_sub(silence);
        // A probe that succeeded within `silence` keeps everything alive.
        let last_success = probe.last_success();
        let dead = dead.filter(|dead| last_success.is_none_or(|last| last <= *dead));
        let before = began.checked_sub(ping_after).unwrap_or(began);
        connections.http1().open().give_up(now, before, dead);
    }
    probe.in_flight.store(false, Ordering::Relaxed);
    monitor.check_soon();
}

impl LivenessProbe {
    fn last_success(&self) -> Option<Instant> {
        let last = self.last_success.lock();
        *last.unwrap_or_else(PoisonError::into_inner)
    }

    fn record_success(&self, began: Instant) {
        let last = self.last_success.lock();
        *last.unwrap_or_else(PoisonError::into_inner) = Some(began);
    }
}

impl Clocks {
    fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            monotonic: Instant::now(),
        }
    }

    /// Whether this machine slept since `before`.
    fn slept_since(&self, before: &Self) -> bool {
        let wall = self.wall.duration_since(before.wall).unwrap_or_default();
        wall > self.monotonic.duration_since(before.monotonic) + SLEEP_DIFFERENCE
    }
}

#[cfg(test)]
mod tests;
