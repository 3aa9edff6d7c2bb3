//! [`Circuit`]: whether the API server can be reached, as its last connections came about or not.
//!
//! While it cannot, requests are told so at once, and one attempt at a time looks whether it is
//! back: often while somebody asks, seldom while nobody does, and not at all after a minute.
//! Whoever asks when the last word is old waits for a new one.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Error;

/// How long requests wait for a server that could be reached before, such as one that restarts.
const GRACE: Duration = Duration::from_secs(1);
/// How long the last word counts. Also the longest pause between two attempts while requests come.
const WORD: Duration = Duration::from_millis(200);
/// The shortest pause.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest pause while nobody asks.
const SELDOM: Duration = Duration::from_secs(10);
/// Requests come while the last was not longer ago than this.
const BUSY: Duration = Duration::from_secs(2);
/// Without a request for this long, nothing is attempted.
const DEMAND: Duration = Duration::from_secs(60);

/// What is known of the server.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    /// It could be reached at some time.
    reached: bool,
    /// Since when it cannot, and what came of the last attempt.
    down: Option<Down>,
    asked: Option<Instant>,
}

#[derive(Debug)]
struct Down {
    since: Instant,
    last: Instant,
    failures: u32,
    error: Error,
}

/// When the server last ended a connection that was not closed by us.
#[derive(Debug, Default)]
pub(super) struct LastLoss(Mutex<Option<Instant>>);

impl LastLoss {
    pub(super) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request that finds no connection is to do.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Wait for a connection.
    Wait,
    /// Give up: the word is fresh.
    Fail(Error),
}

impl Circuit {
    /// Somebody needs a connection. While an attempt is `under_way`, the word that stands counts
    /// on until its end.
    pub(super) fn ask(&mut self, now: Instant, under_way: bool) -> Verdict {
        self.asked = Some(now);
        match &self.down {
            // One failure may be chance.
            Some(down)
                if down.failures > 1
                    && !self.has_grace(now)
                    && (under_way || now < down.last + WORD) =>
            {
                Verdict::Fail(down.error.clone())
            }
            _ => Verdict::Wait,
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.is_some()
    }

    /// A connection came about.
    pub(super) fn reached(&mut self) {
        self.reached = true;
        let Some(down) = self.down.take() else {
            return;
        };
        // Where a request was told that it cannot be reached, the log was, too.
        if let Some(server) = down.error.server() {
            let seconds = down.since.elapsed().as_secs();
            tracing::info!(
                ends = server,
                "{server} can be reached again, after {seconds} s"
            );
        }
    }

    /// None came about. The server is down since it ended a connection, where it did, or else
    /// since now.
    pub(super) fn failed(&mut self, now: Instant, error: &Error, lost: Option<Instant>) {
        let (since, failures) = match &self.down {
            Some(down) => (down.since, down.failures + 1),
            None => (lost.map_or(now, |lost| lost.min(now)), 1),
        };
        self.down = Some(Down {
            since,
            last: now,
            failures,
            error: error.clone(),
        });
    }

    /// Whether those who wait may wait for another attempt: the server could be reached before,
    /// went away only now, and refuses in a way that a server refuses which is being restarted.
    pub(super) fn has_grace(&self, now: Instant) -> bool {
        self.down.as_ref().is_some_and(|down| {
            self.reached
                && now < down.since + GRACE
                && matches!(down.error, Error::Connect { .. } | Error::Broken { .. })
        })
    }

    /// How long to wait before an attempt that somebody waits for.
    pub(super) fn soonest(&self, now: Instant) -> Duration {
        let down = self.down.as_ref();
        down.map_or(Duration::ZERO, |down| {
            (down.last + PAUSE).saturating_duration_since(now)
        })
    }

    /// How long to wait before the next attempt, `jitter` being between 0 and 1; `None` is until
    /// somebody asks.
    pub(super) fn pause(&self, now: Instant, jitter: f64) -> Option<Duration> {
        let (down, asked) = (self.down.as_ref()?, self.asked?);
        let quiet = now.saturating_duration_since(asked);
        if quiet >= DEMAND {
            return None;
        }
        let longest = if quiet < BUSY {
            WORD
        } else {
            // The longer nobody asks.
            (quiet / 2).clamp(WORD, SELDOM)
        };
        // The first attempts follow quickly: a restart is short.
        let longest = longest.min(PAUSE * 2_u32.saturating_pow(down.failures.min(16)));
        let spread = longest.saturating_sub(PAUSE).mul_f64(jitter);
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

    fn silent() -> Error {
        Error::ConnectTimeout {
            server: "api.example:6443".into(),
            limit: Duration::from_secs(4),
        }
    }

    fn waits(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Wait)
    }

    #[test]
    fn one_failure_makes_nobody_else_fail() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        circuit.failed(now, &refused(), None);
        assert!(waits(&circuit.ask(now, false)));
        // The control: a second one does.
        circuit.failed(now, &refused(), None);
        assert!(!waits(&circuit.ask(now, false)));
        circuit.reached();
        assert!(waits(&circuit.ask(now, false)));
    }

    #[test]
    fn a_word_is_fresh_for_a_short_while() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        circuit.failed(now, &silent(), None);
        circuit.failed(now, &silent(), None);
        assert!(!waits(&circuit.ask(now + WORD - MS, false)));
        assert!(waits(&circuit.ask(now + WORD, false)));
        // Unless somebody is about to find out.
        assert!(!waits(&circuit.ask(now + WORD, true)));
    }

    #[test]
    fn a_server_that_was_there_gets_a_second_to_come_back() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        circuit.failed(now, &refused(), None);
        assert!(!circuit.has_grace(now));
        circuit.reached();
        circuit.failed(now, &refused(), None);
        circuit.failed(now, &refused(), None);
        assert!(circuit.has_grace(now + GRACE - MS));
        assert!(waits(&circuit.ask(now + GRACE - MS, false)));
        circuit.failed(now + GRACE - MS, &refused(), None);
        assert!(!circuit.has_grace(now + GRACE));
        assert!(!waits(&circuit.ask(now + GRACE, false)));
        // It counts from when the server ended its connections, where that is known.
        circuit.reached();
        circuit.failed(now + GRACE, &refused(), Some(now + MS));
        assert!(circuit.has_grace(now + GRACE));
        assert!(!circuit.has_grace(now + GRACE + MS));
        // One that says nothing has taken its time already.
        circuit.reached();
        circuit.failed(now, &silent(), None);
        assert!(!circuit.has_grace(now));
    }

    #[test]
    fn attempts_follow_quickly_while_requests_come_and_end_a_minute_after_the_last() {
        let (mut circuit, now) = (Circuit::default(), Instant::now());
        assert_eq!(circuit.pause(now, 0.0), None);
        let _ = circuit.ask(now, false);
        for _ in 0..100 {
            circuit.failed(now, &refused(), None);
        }
        for jitter in [0.0, 0.5, 1.0] {
            let pause = circuit.pause(now, jitter).unwrap();
            assert!((PAUSE..=WORD).contains(&pause), "{pause:?}");
        }
        let later = |quiet: u64| circuit.pause(now + Duration::from_secs(quiet), 0.0);
        assert_eq!(later(10), Some(Duration::from_secs(5)));
        assert_eq!(later(59), Some(SELDOM));
        assert_eq!(later(60), None);
    }
}
