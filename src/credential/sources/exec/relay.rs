//! Passes what a plugin says on standard error to the log, line by line as it comes: while it waits
//! for somebody to log in elsewhere, that is where its code and address stand.

use std::{path::Path, time::Duration};

use tokio::time::Instant;

use super::stderr::{Hide, Lines};
use crate::printable::printable;

/// How long a plugin may say nothing before it is named as what is waited for.
const SILENCE: Duration = Duration::from_secs(3);

/// When it is named again, counted from its start; then every minute.
const AGAIN: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(60)];

/// After this, a line without its end is shown: it may be a question.
const UNFINISHED: Duration = Duration::from_millis(500);

/// Lines that may come at once, and how soon there may be another: a plugin that prints without
/// end does not fill the log.
const BURST: u32 = 100;
const PER_LINE: Duration = Duration::from_millis(100);

/// Far beyond the end of any plugin.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// What one run of a plugin says, and how long it has been running.
pub(super) struct Relay<'a> {
    plugin: String,
    hide: Hide<'a>,
    lines: Lines,
    limit: Duration,
    started: Instant,
    /// When it is named next as what is waited for.
    notice: Instant,
    /// When the line that has begun is shown without its end.
    unfinished: Option<Instant>,
    /// How many lines may be shown now, as of `counted`.
    budget: u32,
    counted: Instant,
    left_out: u64,
    /// Whether every line so far was shown.
    is_whole: bool,
}

impl<'a> Relay<'a> {
    /// For a run of `plugin` that begins now and may take as long as `limit`.
    pub(super) fn new(plugin: &Path, limit: Duration, hide: Hide<'a>) -> Self {
        let now = Instant::now();
        Self {
            plugin: printable(&plugin.display().to_string()).into_owned(),
            hide,
            lines: Lines::default(),
            limit,
            started: now,
            notice: now + SILENCE,
            unfinished: None,
            budget: BURST,
            counted: now,
            left_out: 0,
            is_whole: true,
        }
    }

    /// Names it no more: its terminal is where the names would go.
    pub(super) fn leave_terminal(&mut self) {
        self.notice = self.started + NEVER;
    }

    /// Takes bytes of standard error; `stdout` is what was printed until now.
    pub(super) fn take(&mut self, bytes: &[u8], stdout: &[u8]) {
        let now = Instant::now();
        if self.notice == self.started + SILENCE {
            // It is not silent.
            self.notice = self.started + AGAIN[0];
        }
        let mut rest = bytes;
        while let Some(line) = self.lines.next(&mut rest) {
            self.show(&line, stdout, now);
        }
        self.unfinished = self.lines.has_begun().then(|| now + UNFINISHED);
    }

    /// When [`Relay::pass`] has something to do.
    pub(super) fn due(&self) -> Instant {
        self.unfinished
            .map_or(self.notice, |line| line.min(self.notice))
    }

    /// Does what is due: shows a line that has begun, or names the plugin.
    pub(super) fn pass(&mut self, stdout: &[u8]) {
        let now = Instant::now();
        if self.unfinished.is_some_and(|at| at <= now) {
            self.unfinished = None;
            let line = self.lines.unfinished();
            self.show(&line, stdout, now);
        }
        if self.notice <= now {
            self.name(now);
        }
    }

    /// Shows what is left when the plugin has ended.
    pub(super) fn end(&mut self, stdout: &[u8]) {
        let now = Instant::now();
        if self.lines.has_begun() {
            let line = self.lines.unfinished();
            self.show(&line, stdout, now);
        }
        if self.left_out > 0 {
            self.tell_left_out();
        }
    }

    /// Whether the log has every line that the plugin wrote.
    pub(super) fn has_logged_all(&self) -> bool {
        self.is_whole
    }

    fn name(&mut self, now: Instant) {
        let waited = now - self.started;
        let again = AGAIN.into_iter().find(|at| *at > waited);
        self.notice = again.map_or(now + AGAIN[1], |at| self.started + at);
        match self.limit.checked_sub(waited) {
            Some(left) if self.limit < Duration::MAX => tracing::info!(
                "waiting for exec plugin {}, {} s left",
                self.plugin,
                left.as_secs_f64().round()
            ),
            _ => tracing::info!("waiting for exec plugin {}", self.plugin),
        }
    }

    fn show(&mut self, line: &[u8], stdout: &[u8], now: Instant) {
        if line.iter().all(u8::is_ascii_whitespace) && !self.lines.is_in_key() {
            return;
        }
        if !self.may_show(now) {
            self.left_out += 1;
            self.is_whole = false;
            // What it says of the lines to come is heeded all the same.
            self.lines.heed(line);
            return;
        }
        if self.left_out > 0 {
            self.tell_left_out();
        }
        if let Some(text) = self.lines.presentable(line, stdout, &self.hide) {
            tracing::info!("exec plugin {}: {text}", self.plugin);
        }
    }

    fn may_show(&mut self, now: Instant) -> bool {
        let earned = (now - self.counted).as_millis() / PER_LINE.as_millis();
        let earned = u32::try_from(earned).unwrap_or(BURST);
        if earned > 0 {
            self.budget = self.budget.saturating_add(earned).min(BURST);
            self.counted = now;
        }
        let may = self.budget > 0;
        self.budget = self.budget.saturating_sub(1);
        may
    }

    fn tell_left_out(&mut self) {
        tracing::info!(
            "exec plugin {}: {} more lines, too many to show",
            self.plugin,
            self.left_out
        );
        self.left_out = 0;
    }
}
