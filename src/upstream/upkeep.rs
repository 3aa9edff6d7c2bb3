//! [`Upkeep`]: the one task of a pool that watches over its connections.
//!
//! It closes what is idle or old, and tells a server that is frozen or cut off from one that is
//! slow: where something is under way and nothing has come for a while, the server is asked for
//! a sign of life, by a PING on an HTTP/2 connection, by another handshake for HTTP/1.1. Without
//! one, requests go another way, and later what still runs on the connection ends. It sleeps
//! until there may be something to do, and does not run while there is no connection.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Timeouts, link::Link, shared::Shared};

/// The shortest time between two looks, and how long a request may wait before anybody looks.
const LOOK: Duration = Duration::from_millis(250);
/// How often at most a handshake is to prove that a slow server lives.
const PROOF: Duration = Duration::from_secs(5);
/// By how much more the clock on the wall must have gone on than ours for this machine to have
/// slept: ours stops then.
const SLEPT: Duration = Duration::from_secs(5);

/// Wakes the task, and knows whether it must be woken.
pub(super) struct Upkeep {
    running: AtomicBool,
    /// It sleeps for longer than a request may wait.
    rests: AtomicBool,
    woken: Notify,
    clocks: Mutex<Clocks>,
}

struct Clocks {
    wall: SystemTime,
    ours: Instant,
}

/// What is known of the server by handshakes, for HTTP/1.1.
#[derive(Default)]
struct Proof {
    /// One is under way.
    asking: AtomicBool,
    last: Mutex<Option<Instant>>,
}

impl Upkeep {
    pub(super) fn new() -> Self {
        Self {
            running: AtomicBool::new(false),
            rests: AtomicBool::new(false),
            woken: Notify::new(),
            clocks: Mutex::new(Clocks::now()),
        }
    }

    /// A request comes.
    pub(super) fn wake(&self, shared: &Shared) {
        if self.rests.load(Ordering::Relaxed) && self.rests.swap(false, Ordering::Relaxed) {
            if self.has_slept() {
                shared.start_afresh();
            }
            self.woken.notify_one();
        }
    }

    /// There is a connection to watch over.
    pub(super) fn begin(&self, shared: &Arc<Shared>) {
        self.woken.notify_one();
        if !self.running.swap(true, Ordering::SeqCst) {
            tokio::spawn(run(Arc::clone(shared)));
        }
    }

    pub(super) fn look_soon(&self) {
        self.woken.notify_one();
    }

    /// Whether this machine slept since last asked.
    fn has_slept(&self) -> bool {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *clocks, Clocks::now());
        clocks.slept_since(&before)
    }
}

impl Clocks {
    fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            ours: Instant::now(),
        }
    }

    fn slept_since(&self, before: &Self) -> bool {
        let wall = self.wall.duration_since(before.wall).unwrap_or_default();
        wall > self.ours.duration_since(before.ours) + SLEPT
    }
}

impl Shared {
    /// Nothing that is open now gets a request any more: what it led to may be gone.
    pub(super) fn start_afresh(&self) {
        self.short.retire();
        self.long.retire();
        self.http1.close_idle();
    }
}

async fn run(shared: Arc<Shared>) {
    let proof = Arc::new(Proof::default());
    loop {
        let upkeep = &shared.upkeep;
        if upkeep.has_slept() {
            shared.start_afresh();
        }
        let now = Instant::now();
        let (next, any) = look(&shared, &proof, now);
        if !any {
            upkeep.running.store(false, Ordering::SeqCst);
            // Whoever opened one meanwhile found us running.
            if !look(&shared, &proof, now).1 || upkeep.running.swap(true, Ordering::SeqCst) {
                return;
            }
        }
        let rests = next.is_none_or(|next| next > now + shared.times.ping_after);
        upkeep.rests.store(rests, Ordering::Relaxed);
        let due = async {
            match next {
                Some(next) => sleep_until(next.max(now + LOOK)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = upkeep.woken.notified() => sleep(LOOK).await,
        }
        upkeep.rests.store(false, Ordering::Relaxed);
    }
}

/// Looks at every connection; gives the time of the next look, and whether any is left.
fn look(shared: &Arc<Shared>, proof: &Arc<Proof>, now: Instant) -> (Option<Instant>, bool) {
    let (mut next, mut any) = shared.http1.trim(now, &shared.times);
    let mut at_latest = |time: Option<Instant>| {
        next = [next, time].into_iter().flatten().min();
    };
    for fleet in [&shared.short, &shared.long] {
        at_latest(fleet.trim(now, &shared.times));
        let links = fleet.links();
        any |= !links.is_empty();
        for link in links.iter() {
            at_latest(look_at(link, &shared.times, now));
        }
    }
    at_latest(look_at_http1(shared, proof, now));
    (next, any)
}

/// Asks for a sign of life where it is time to.
fn look_at(link: &Arc<Link>, times: &Timeouts, now: Instant) -> Option<Instant> {
    if link.http2.in_flight() == 0 {
        return None;
    }
    if link.asked.load(Ordering::Relaxed) {
        return Some(now + times.ping_after);
    }
    let quiet = if link.waiting.load(Ordering::Relaxed) > 0 {
        times.ping_after
    } else {
        times.silence / 2
    };
    let due = Instant::from_std(link.http2.heard()) + quiet;
    if due > now {
        // A request may come to wait in the meantime.
        return Some(due);
    }
    link.asked.store(true, Ordering::Relaxed);
    tokio::spawn(ask(Arc::clone(link), *times));
    Some(now + times.ping_after)
}

/// Asks for a sign of life, and draws the consequences.
async fn ask(link: Arc<Link>, times: Timeouts) {
    let asked = Instant::now();
    let mut ping = std::pin::pin!(link.http2.ping());
    let heard = || Instant::from_std(link.http2.heard());
    let before = heard();
    // Any byte is one, also where the answer itself is held up behind others.
    let lives = || heard() > before;
    let answered = timeout(times.ping_timeout, &mut ping).await.is_ok();
    if !answered && !lives() {
        tracing::debug!("an upstream connection gives no sign of life");
        link.suspect();
        let dead = (before + times.silence).max(asked + times.ping_timeout);
        loop {
            let until = dead.min(Instant::now() + LOOK);
            let answered = tokio::time::timeout_at(until, &mut ping).await.is_ok();
            if answered || lives() || link.http2.in_flight() == 0 {
                break;
            }
            if Instant::now() >= dead {
                tracing::warn!("an upstream connection gave no sign of life; what ran on it ends");
                link.http2.cut();
                break;
            }
        }
        if lives() {
            link.trust();
        } else {
            // Nobody is to find out anew.
            link.http2.retire();
        }
    }
    link.asked.store(false, Ordering::Relaxed);
}

/// The same for the exchanges over HTTP/1.1.
fn look_at_http1(shared: &Arc<Shared>, proof: &Arc<Proof>, now: Instant) -> Option<Instant> {
    let silence = shared.http1.silence(now);
    let times = &shared.times;
    let due = |quiet: Option<Duration>, limit: Duration| {
        let quiet = quiet?;
        // The longer it takes, the less often.
        let limit = limit.max((quiet / 2).min(PROOF));
        let last = *proof.last.lock().unwrap_or_else(PoisonError::into_inner);
        let since = last.map_or(now.checked_sub(quiet)?, |last| last.max(now - quiet));
        Some(since + limit)
    };
    let waiting = due(silence.waiting, times.ping_after);
    let running = due(silence.running, times.silence / 2);
    let due = [waiting, running].into_iter().flatten().min()?;
    if due > now {
        return Some(due);
    }
    if !proof.asking.swap(true, Ordering::Relaxed) {
        tokio::spawn(prove(Arc::clone(shared), Arc::clone(proof)));
    }
    Some(now + times.ping_after)
}

/// Shakes hands with the server anew. Where it does not, exchanges that are silent are given up.
async fn prove(shared: Arc<Shared>, proof: Arc<Proof>) {
    let began = Instant::now();
    if shared.lives().await {
        *proof.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
    } else {
        let now = Instant::now();
        let Timeouts {
            ping_after,
            silence,
            ..
        } = shared.times;
        let dead = now.checked_sub(silence);
        let last = *proof.last.lock().unwrap_or_else(PoisonError::into_inner);
        // What lived lately is not dead yet.
        let dead = dead.filter(|dead| last.is_none_or(|last| last <= *dead));
        let before = began.checked_sub(ping_after).unwrap_or(began);
        shared.http1.give_up(now, before, dead);
    }
    proof.asking.store(false, Ordering::Relaxed);
    shared.upkeep.look_soon();
}

#[cfg(test)]
pub(super) mod tests;
