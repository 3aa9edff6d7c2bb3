//! [`FloodLimits`]: how many frames that are cheap to send and costly to serve a client may send.
//!
//! h2 limits what frames hold in memory. These limits are on their rate: each kind has a budget for
//! bursts, which grows again with time, and with the frames that justify others.

use std::time::Instant;

use super::frame_scanner::{Frame, Kind};

/// Streams that a client may cancel in a burst: two connections' worth, since a client may cancel all and
/// try again.
const RESETS: u32 = 2000;
/// Streams that a client may cancel a second, in the long run.
const RESETS_PER_SECOND: u32 = 200;

/// SETTINGS frames that a client may send in a burst. Each may change the windows of all streams.
const SETTINGS: u32 = 100;
/// SETTINGS frames that a client may send a second, in the long run.
const SETTINGS_PER_SECOND: u32 = 10;

/// Frames in a burst that carry no part of a request: PING, PRIORITY, `WINDOW_UPDATE`, unknown types, and
/// DATA and CONTINUATION without content.
const CONTROL: u32 = 2000;
/// Frames as for [`CONTROL`] a second, in the long run.
const CONTROL_PER_SECOND: u32 = 200;
/// Frames as for [`CONTROL`] that each request justifies.
const CONTROL_PER_REQUEST: u32 = 2;

/// `WINDOW_UPDATE` frames for each DATA frame that was sent, one for the stream and one for the connection,
/// and as many for so many bytes of it: Go's client sends both for every 4 KiB that its program reads.
const UPDATES_PER_FRAME: u32 = 2;
const BYTES_PER_UPDATE: u32 = 1024;

/// The most frames that others can justify. A client may read a large window late.
const MAX_JUSTIFIED: u32 = 1 << 24;

/// A client exceeds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client sends too many {0}")]
pub(super) struct Flood(&'static str);

/// The budgets of one connection.
#[derive(Debug)]
pub(super) struct FloodLimits {
    resets: Budget,
    settings: Budget,
    updates: Budget,
    control: Budget,
}

impl FloodLimits {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            resets: Budget::new(RESETS, RESETS_PER_SECOND, now),
            settings: Budget::new(SETTINGS, SETTINGS_PER_SECOND, now),
            updates: Budget::new(CONTROL, CONTROL_PER_SECOND, now),
            control: Budget::new(CONTROL, CONTROL_PER_SECOND, now),
        }
    }

    /// Counts a frame that was received. `now` is called only if a budget is used up.
    pub(super) fn receive(
        &mut self,
        frame: Frame,
        now: impl FnOnce() -> Instant,
    ) -> Result<(), Flood> {
        let (budget, what) = match frame.kind {
            Kind::ResetStream => (&mut self.resets, "RST_STREAM frames"),
            // An acknowledgement for which there was no SETTINGS frame ends the connection anyway.
            Kind::Settings if frame.is_ack() => return Ok(()),
            Kind::Settings => (&mut self.settings, "SETTINGS frames"),
            Kind::Headers => {
                self.control.add(CONTROL_PER_REQUEST);
                self.updates.add(CONTROL_PER_REQUEST);
                return Ok(());
            }
            Kind::Data if frame.length > 0 || frame.ends_stream() => return Ok(()),
            Kind::Continuation if frame.length > 0 => return Ok(()),
            Kind::Data => (&mut self.control, "empty DATA frames"),
            Kind::Continuation => (&mut self.control, "empty CONTINUATION frames"),
            Kind::Ping => (&mut self.control, "PING frames"),
            Kind::WindowUpdate => (&mut self.updates, "WINDOW_UPDATE frames"),
            Kind::Other => (&mut self.control, "frames of other types"),
        };
        budget.take(now).then_some(()).ok_or(Flood(what))
    }

    /// Counts a frame that was sent.
    pub(super) fn send(&mut self, frame: Frame) {
        match frame.kind {
            Kind::Data => {
                let more = UPDATES_PER_FRAME + frame.length / BYTES_PER_UPDATE;
                self.updates.add(more);
            }
            // A client may leave a response whose head it has seen.
            Kind::Headers => self.resets.add(1),
            _ => {}
        }
    }
}

/// A token bucket. Time fills it up to its burst, and justified frames beyond.
#[derive(Debug)]
struct Budget {
    left: u32,
    burst: u32,
    per_second: u32,
    filled: Instant,
}

impl Budget {
    fn new(burst: u32, per_second: u32, now: Instant) -> Self {
        Self {
            left: burst,
            burst,
            per_second,
            filled: now,
        }
    }

    fn add(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(MAX_JUSTIFIED);
    }

    /// Takes one; `false` if there is none.
    fn take(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.left == 0 {
            self.fill(now());
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }

    /// Fills the bucket, which is empty.
    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled);
        let more = elapsed.as_millis() * u128::from(self.per_second) / 1000;
        if more > 0 {
            self.filled = now;
            self.left = u32::try_from(more).unwrap_or(u32::MAX).min(self.burst);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::serve::http2::frame_scanner::FrameScanner;

    fn frame(kind: u8, flags: u8, length: u8) -> Frame {
        let mut found = None;
        let bytes = [0, 0, length, kind, flags, 0, 0, 0, 1];
        FrameScanner::of_server().scan(&bytes, |frame| found = Some(frame));
        found.unwrap()
    }

    /// The time after which a full budget is back.
    const REFILLED: Duration = Duration::from_secs(10);

    #[test]
    fn each_kind_of_cheap_frame_has_a_budget_that_grows_again() {
        let start = Instant::now();
        for (kind, flags, length, burst, name) in [
            (3, 0, 4, 2000, "RST_STREAM"),
            (4, 0, 0, 100, "SETTINGS"),
            (6, 0, 8, 2000, "PING"),
            (8, 0, 4, 2000, "WINDOW_UPDATE"),
            (0, 0, 0, 2000, "empty DATA"),
            (9, 0, 0, 2000, "empty CONTINUATION"),
            (2, 0, 5, 2000, "other types"),
            (16, 0, 5, 2000, "other types"),
        ] {
            let mut limits = FloodLimits::new(start);
            let mut receive = |after| limits.receive(frame(kind, flags, length), || start + after);
            for _ in 0..burst {
                receive(Duration::ZERO).unwrap();
            }
            let flood = receive(Duration::ZERO).unwrap_err().to_string();
            assert!(flood.contains(name), "{flood}");
            assert!(receive(REFILLED / 100).is_ok(), "{name}");
            for _ in 0..burst - 1 {
                receive(REFILLED * 2).unwrap();
            }
        }
    }

    #[test]
    fn frames_with_content_are_not_limited() {
        let start = Instant::now();
        let mut limits = FloodLimits::new(start);
        for _ in 0..10_000 {
            for (kind, flags, length) in [(0, 0, 1), (0, 1, 0), (1, 4, 1), (9, 0, 1), (4, 1, 0)] {
                limits
                    .receive(frame(kind, flags, length), || start)
                    .unwrap();
            }
        }
    }

    #[test]
    fn a_client_may_update_both_windows_for_what_it_reads() {
        let start = Instant::now();
        let update = |limits: &mut FloodLimits| limits.receive(frame(8, 0, 4), || start);
        let mut limits = FloodLimits::new(start);
        for _ in 0..10_000 {
            limits.send(frame(0, 0, 100));
            for _ in 0..UPDATES_PER_FRAME {
                update(&mut limits).unwrap();
            }
        }
        // 4 MiB in a window, which a program reads later by 4 KiB.
        let mut limits = FloodLimits::new(start);
        let mut large = frame(0, 0, 0);
        large.length = 16 * 1024;
        for _ in 0..256 {
            limits.send(large);
        }
        for _ in 0..2 * 1024 {
            update(&mut limits).unwrap();
        }
    }

    #[test]
    fn a_client_may_leave_every_response_that_has_begun() {
        let start = Instant::now();
        let mut limits = FloodLimits::new(start);
        for _ in 0..10_000 {
            limits.send(frame(1, 4, 9));
            limits.receive(frame(3, 0, 4), || start).unwrap();
        }
    }
}
