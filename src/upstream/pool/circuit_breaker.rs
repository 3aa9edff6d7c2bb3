//! [`CircuitBreaker`]: whether the API server can be reached, judged by its last connections.
//!
//! While the server cannot be reached, requests fail at once, and one attempt at a time tests
//! whether it is back: often while requests come, seldom while none do, and not at all after a
//! minute without one. A request that comes when the last verdict is old waits for a new one.

use std::time::Duration;

use tokio::time::Instant;

use crate::upstream::error::Error;

/// How long requests wait for a server that was reachable before, such as one that restarts.
const RESTART_GRACE: Duration = Duration::from_secs(1);
/// How long a verdict is valid. Also the longest delay between two attempts while requests come.
const VERDICT_TTL: Duration = Duration::from_millis(200);
/// The shortest delay between two attempts.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The longest delay while no requests come.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(10);
/// Requests count as coming for this long after the last one.
const BUSY_FOR: Duration = Duration::from_secs(2);
/// No attempt is made when no request has come for this long.
const RETRY_UNTIL_IDLE_FOR: Duration = Duration::from_secs(60);

/// Whether the server can be reached.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker {
    /// The server was reachable at some time.
    was_reached: bool,
    open: Option<Open>,
    last_request: Option<Instant>,
}

/// The server cannot be reached.
#[derive(Debug)]
struct Open {
    since: Instant,
    last_attempt: Instant,
    failures: u32,
    error: Error,
}

/// What a request that finds no connection is to do.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Wait for a connection.
    Wait,
    /// Fail with the error of the last attempt.
    Fail(Error),
}

impl CircuitBreaker {
    /// Judges a request that needs a connection. While an `attempt` is in flight, the previous
    /// verdict stays valid.
    pub(super) fn verdict(&mut self, now: Instant, attempt: bool) -> Verdict {
        self.last_request = Some(now);
        match &self.open {
            // A single failure may be chance.
            Some(open)
                if open.failures > 1
                    && !self.in_grace(now)
                    && (attempt || now < open.last_attempt + VERDICT_TTL) =>
            {
                Verdict::Fail(open.error.clone())
            }
            _ => Verdict::Wait,
        }
    }

    /// Whether the last attempt to connect failed.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Records a new connection.
    pub(super) fn record_success(&mut self) {
        self.was_reached = true;
        let Some(open) = self.open.take() else {
            return;
        };
        // Ends the log's line that says that the server cannot be reached, where there is one.
        if let Some(server) = open.error.server() {
            let seconds = open.since.elapsed().as_secs();
            tracing::info!(
                ends = server,
                "{server} can be reached again, after {seconds} s"
            );
        }
    }

    /// Records a failed attempt. The server counts as unreachable since it closed a connection, if
    /// it did, and otherwise from now on.
    pub(super) fn record_failure(
        &mut self,
        now: Instant,
        error: &Error,
        last_disconnect: Option<Instant>,
    ) {
        let (since, failures) = match &self.open {
            Some(open) => (open.since, open.failures + 1),
            None => (last_disconnect.map_or(now, |time| time.min(now)), 1),
        };
        self.open = Some(Open {
            since,
            last_attempt: now,
            failures,
            error: error.clone(),
        });
    }

    /// Whether requests may wait for another attempt: the server was reachable before, has been
    /// away for less than a second, and fails as a server does that is being restarted.
    pub(super) fn in_grace(&self, now: Instant) -> bool {
        self.open.as_ref().is_some_and(|open| {
            self.was_reached
                && now < open.since + RESTART_GRACE
                && matches!(open.error, Error::Connect { .. } | Error::Broken { .. })
        })
    }

    /// The delay before an attempt that a request waits for.
    pub(super) fn shortest_delay(&self, now: Instant) -> Duration {
        let open = self.open.as_ref();
        open.map_or(Duration::ZERO, |open| {
            (open.last_attempt + MIN_RETRY_DELAY).saturating_duration_since(now)
        })
    }

    /// The delay before the next attempt; `jitter` is between 0 and 1. `None` means that no attempt
    /// is made before the next request.
    pub(super) fn delay(&self, now: Instant, jitter: f64) -> Option<Duration> {
        let (open, last_request) = (self.open.as_ref()?, self.last_request?);
        let idle = now.saturating_duration_since(last_request);
        if idle >= RETRY_UNTIL_IDLE_FOR {
            return None;
        }
        let longest = if idle < BUSY_FOR {
            VERDICT_TTL
        } else {
            (idle / 2).clamp(VERDICT_TTL, MAX_RETRY_DELAY)
        };
        // The first attempts follow quickly, since a restart is short.
        let longest = longest.min(MIN_RETRY_DELAY * 2_u32.saturating_pow(open.failures.min(16)));
        let spread = longest.saturating_sub(MIN_RETRY_DELAY).mul_f64(jitter);
        Some(longest.saturating_sub(spread))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{io, sync::Arc};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn refused() -> Error {
        Error::Connect {
            server: "api.example:6443".into(),
            source: Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused)),
        }
    }

    fn timed_out() -> Error {
        Error::ConnectTimeout {
            server: "api.example:6443".into(),
            limit: Duration::from_secs(4),
        }
    }

    fn waits(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Wait)
    }

    #[test]
    fn one_failed_attempt_fails_no_other_request() {
        let (mut breaker, now) = (CircuitBreaker::default(), Instant::now());
        breaker.record_failure(now, &refused(), None);
        assert!(waits(&breaker.verdict(now, false)));
        // The control: a second one does.
        breaker.record_failure(now, &refused(), None);
        assert!(!waits(&breaker.verdict(now, false)));
        breaker.record_success();
        assert!(waits(&breaker.verdict(now, false)));
    }

    #[test]
    fn a_verdict_is_valid_for_200_ms() {
        let (mut breaker, now) = (CircuitBreaker::default(), Instant::now());
        breaker.record_failure(now, &timed_out(), None);
        breaker.record_failure(now, &timed_out(), None);
        assert!(!waits(&breaker.verdict(now + VERDICT_TTL - MS, false)));
        assert!(waits(&breaker.verdict(now + VERDICT_TTL, false)));
        // Unless an attempt is in flight.
        assert!(!waits(&breaker.verdict(now + VERDICT_TTL, true)));
    }

    #[test]
    fn a_server_that_was_reachable_gets_a_second_to_come_back() {
        let (mut breaker, now) = (CircuitBreaker::default(), Instant::now());
        breaker.record_failure(now, &refused(), None);
        assert!(!breaker.in_grace(now));
        breaker.record_success();
        breaker.record_failure(now, &refused(), None);
        breaker.record_failure(now, &refused(), None);
        assert!(breaker.in_grace(now + RESTART_GRACE - MS));
        assert!(waits(&breaker.verdict(now + RESTART_GRACE - MS, false)));
        breaker.record_failure(now + RESTART_GRACE - MS, &refused(), None);
        assert!(!breaker.in_grace(now + RESTART_GRACE));
        assert!(!waits(&breaker.verdict(now + RESTART_GRACE, false)));
        // The second begins when the server closed its connections, where that is known.
        breaker.record_success();
        breaker.record_failure(now + RESTART_GRACE, &refused(), Some(now + MS));
        assert!(breaker.in_grace(now + RESTART_GRACE));
        assert!(!breaker.in_grace(now + RESTART_GRACE + MS));
        // An attempt that timed out has taken its time already.
        breaker.record_success();
        breaker.record_failure(now, &timed_out(), None);
        assert!(!breaker.in_grace(now));
    }

    #[test]
    fn attempts_are_frequent_under_load_and_end_a_minute_after() {
        let (mut breaker, now) = (CircuitBreaker::default(), Instant::now());
        assert_eq!(breaker.delay(now, 0.0), None);
        let _ = breaker.verdict(now, false);
        for _ in 0..100 {
            breaker.record_failure(now, &refused(), None);
        }
        for jitter in [0.0, 0.5, 1.0] {
            let delay = breaker.delay(now, jitter).unwrap();
            assert!(
                (MIN_RETRY_DELAY..=VERDICT_TTL).contains(&delay),
                "{delay:?}"
            );
        }
        let later = |idle: u64| breaker.delay(now + Duration::from_secs(idle), 0.0);
        assert_eq!(later(10), Some(Duration::from_secs(5)));
        assert_eq!(later(59), Some(MAX_RETRY_DELAY));
        assert_eq!(later(60), None);
    }
}
