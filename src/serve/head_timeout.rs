//! [`HeadTimer`]: limits the time that a request's head may take to arrive.
//!
//! hyper's own limit starts before the first byte, and so closes connections that are merely idle.
//! This timer is given to hyper in place of a real one and starts with the first byte of the head.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};

use super::connection_state::ConnectionState;

/// From the first byte of a head to its end.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// The timer for hyper's `header_read_timeout`; the value that is set there does not matter. hyper
/// requests a sleep when it starts to wait for a head, polls it while the head is incomplete, and
/// drops it when the head is complete.
pub(super) struct HeadTimer {
    state: ConnectionState,
    /// Any time will do: hyper computes a deadline from it, which [`HeadTimer`] ignores.
    now: Instant,
}

impl HeadTimer {
    pub(super) fn new(state: ConnectionState) -> Self {
        Self {
            state,
            now: Instant::now(),
        }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        self.state.await_head();
        Box::pin(HeadDeadline {
            state: self.state.clone(),
            timer: None,
        })
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(TIMEOUT)
    }

    fn now(&self) -> Instant {
        self.now
    }
}

/// Ends [`TIMEOUT`] after the first bytes of the awaited head. Bytes that arrived during the request
/// before it do not start the time until more of them come, so that such a connection costs no more
/// than an idle one.
struct HeadDeadline {
    state: ConnectionState,
    /// Created when the first bytes were not the complete head.
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Sleep for HeadDeadline {}

impl Future for HeadDeadline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.state.has_head_started() {
            // The first byte wakes the connection's task, which polls this again.
            return Poll::Pending;
        }
        let timer = self.timer.get_or_insert_with(|| {
            let timer = tokio::time::sleep(TIMEOUT);
            Box::pin(timer)
        });
        timer.as_mut().poll(cx)
    }
}

impl Drop for HeadDeadline {
    fn drop(&mut self) {
        self.state.end_head();
    }
}
