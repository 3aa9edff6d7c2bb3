//! [`Reconnection`]: attempts to connect to a server that cannot be reached.

use std::{future::Future, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::circuit_breaker::CircuitBreaker;
use crate::jitter;

/// The task that tries to reconnect, of which there is one at most.
#[derive(Default)]
pub(super) struct Reconnection {
    running: bool,
    /// An attempt is in flight.
    attempting: bool,
}

impl Reconnection {
    /// Records that the task runs. Returns whether the caller is to spawn it.
    pub(super) fn start(&mut self) -> bool {
        !std::mem::replace(&mut self.running, true)
    }

    pub(super) fn is_attempting(&self) -> bool {
        self.attempting
    }

    pub(super) fn begin_attempt(&mut self) {
        self.attempting = true;
    }

    pub(super) fn end_attempt(&mut self) {
        self.attempting = false;
    }

    /// Returns the delay before the next attempt. `None` ends the task, which this records.
    /// `request_waits` is for requests that have come since the last attempt began.
    pub(super) fn next_delay(
        &mut self,
        breaker: &CircuitBreaker,
        now: Instant,
        request_waits: bool,
    ) -> Option<Duration> {
        let delay = if !breaker.is_open() {
            None
        } else if request_waits && !breaker.in_grace(now) {
            Some(breaker.shortest_delay(now))
        } else {
            breaker.delay(now, jitter::fraction())
        };
        self.running = delay.is_some();
        delay
    }
}

/// Makes one attempt after the other, each after the delay that `delay` yields, or at once when
/// `retry_now` is notified. Ends when `delay` yields `None`.
pub(super) async fn reconnect<F: Future<Output = ()>>(
    retry_now: &Notify,
    delay: impl Fn() -> Option<Duration>,
    mut attempt: impl FnMut() -> F,
) {
    while let Some(delay) = delay() {
        if delay > Duration::ZERO {
            tokio::select! {
                () = sleep(delay) => {}
                () = retry_now.notified() => {}
            }
        }
        attempt().await;
    }
}
