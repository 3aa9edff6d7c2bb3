//! The main process of a simulated container. It writes one line when it starts and one at every
//! tick. The lines depend only on the clock, so that logs and attach agree without shared state.

use std::time::Duration;

use jiff::Timestamp;

use super::console::Console;

/// A process that writes line `n` `n` ticks after its start.
#[derive(Clone, Debug)]
pub(super) struct MainProcess {
    banner: String,
    started: Timestamp,
    tick: Duration,
}

impl MainProcess {
    /// A process that started at `started`, or now if that is unknown or in the future.
    pub(super) fn new(
        container: &str,
        image: &str,
        started: Option<Timestamp>,
        tick: Duration,
    ) -> Self {
        let now = Timestamp::now();
        Self {
            banner: format!("started {container} from {image}"),
            started: started.map_or(now, |started| started.min(now)),
            tick,
        }
    }

    /// The text of line `n`, without its newline.
    pub(super) fn line(&self, n: u64) -> String {
        match n {
            0 => self.banner.clone(),
            n => format!("tick {n}"),
        }
    }

    /// The time at which line `n` is written.
    pub(super) fn written_at(&self, n: u64) -> Timestamp {
        let offset = i128::from(n).saturating_mul(self.tick_nanoseconds());
        Timestamp::from_nanosecond(self.started.as_nanosecond().saturating_add(offset))
            .unwrap_or(Timestamp::MAX)
    }

    /// The number of lines that exist at `now`, including one of exactly that time.
    pub(super) fn written_by(&self, now: Timestamp) -> u64 {
        let elapsed = now.as_nanosecond() - self.started.as_nanosecond();
        if elapsed < 0 {
            return 0;
        }
        u64::try_from(elapsed / self.tick_nanoseconds()).map_or(u64::MAX, |ticks| ticks + 1)
    }

    /// Waits until line `n` is written, by the wall clock.
    pub(super) async fn wait_for(&self, n: u64) {
        let remaining = self.written_at(n).duration_since(Timestamp::now());
        tokio::time::sleep(Duration::try_from(remaining).unwrap_or_default()).await;
    }

    /// Runs for an attached client: prints the lines from now on, or echoes the standard input to
    /// its end if there is one. Returns the exit code.
    pub(super) async fn attach(&self, mut console: Console, stdin: bool) -> i32 {
        let interrupted = console.interrupted();
        tokio::select! {
            () = interrupted => 130,
            () = async {
                if stdin {
                    while let Some(bytes) = console.read().await {
                        console.print(bytes).await;
                    }
                } else {
                    self.print_lines(&mut console).await;
                }
            } => 0,
        }
    }

    async fn print_lines(&self, console: &mut Console) {
        for n in self.written_by(Timestamp::now()).. {
            self.wait_for(n).await;
            console.print(format!("{}\n", self.line(n))).await;
        }
    }

    fn tick_nanoseconds(&self) -> i128 {
        i128::try_from(self.tick.as_nanos())
            .unwrap_or(i128::MAX)
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};

    use super::MainProcess;

    #[test]
    fn lines_follow_from_the_start_and_the_clock() {
        let started: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let tick = Duration::from_secs(1);
        let process = MainProcess::new("app", "nginx:1", Some(started), tick);

        assert_eq!(process.line(0), "started app from nginx:1");
        assert_eq!(process.line(7), "tick 7");
        assert_eq!(process.written_at(7).to_string(), "2026-01-01T00:00:07Z");

        let after = |milliseconds| started + SignedDuration::from_millis(milliseconds);
        assert_eq!(process.written_by(after(-1)), 0);
        assert_eq!(process.written_by(after(0)), 1);
        assert_eq!(process.written_by(after(6999)), 7);
        assert_eq!(process.written_by(after(7000)), 8);
    }

    #[test]
    fn a_start_in_the_future_counts_as_now() {
        let later = Timestamp::now() + SignedDuration::from_hours(1);
        let process = MainProcess::new("app", "x", Some(later), Duration::from_secs(1));
        assert!(process.written_by(Timestamp::now()) >= 1);
    }
}
