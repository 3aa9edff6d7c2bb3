//! Logs a plugin's standard error line by line as it arrives: while the plugin waits for a login in
//! a browser, its messages have the code and the address.

use std::{path::Path, time::Duration};

use tokio::time::Instant;

use super::{redact::KnownSecrets, stderr_lines::Lines};
use crate::printable::printable;

/// How long a plugin may be silent before the log says that it is waited for.
const SILENCE: Duration = Duration::from_secs(3);

/// When the log says so again, counted from the plugin's start; then every minute.
const REMINDERS: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(60)];

/// How long the end of a line is waited for. Then the line is shown without it: it may be a
/// question.
const UNFINISHED: Duration = Duration::from_millis(500);

/// Lines that are logged at once, and the time for each further one, so that a plugin that prints
/// endlessly does not fill the log.
const BURST: u32 = 100;
const PER_LINE: Duration = Duration::from_millis(100);

/// Longer than any plugin runs.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// Logs standard error of one run of a plugin.
pub(super) struct StderrLog<'a> {
    plugin: String,
    secrets: KnownSecrets<'a>,
    lines: Lines,
    limit: Duration,
    started: Instant,
    /// When the log says next that the plugin is waited for.
    notice: Instant,
    /// When the unfinished line is shown.
    unfinished: Option<Instant>,
    /// How many lines may be logged, as of `counted`.
    budget: u32,
    counted: Instant,
    left_out: u64,
    /// Whether all lines so far were logged.
    is_whole: bool,
}

impl<'a> StderrLog<'a> {
    /// For a run of `plugin` that begins now and may take as long as `limit`.
    pub(super) fn new(plugin: &Path, limit: Duration, secrets: KnownSecrets<'a>) -> Self {
        let now = Instant::now();
        Self {
            plugin: printable(&plugin.display().to_string()).into_owned(),
            secrets,
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

    /// Stops the notices, because the plugin uses the terminal that they would go to.
    pub(super) fn leave_terminal(&mut self) {
        self.notice = self.started + NEVER;
    }

    /// Logs bytes of standard error; `stdout` is the plugin's output until now.
    pub(super) fn write(&mut self, bytes: &[u8], stdout: &[u8]) {
        let now = Instant::now();
        if self.notice == self.started + SILENCE {
            // The plugin is not silent.
            self.notice = self.started + REMINDERS[0];
        }
        let mut rest = bytes;
        while let Some(line) = self.lines.next(&mut rest) {
            self.show(&line, stdout, now);
        }
        self.unfinished = self.lines.has_begun().then(|| now + UNFINISHED);
    }

    /// When [`StderrLog::on_timer`] is to be called.
    pub(super) fn due(&self) -> Instant {
        self.unfinished
            .map_or(self.notice, |line| line.min(self.notice))
    }

    /// Logs an unfinished line, or that the plugin is waited for, if that is due.
    pub(super) fn on_timer(&mut self, stdout: &[u8]) {
        let now = Instant::now();
        if self.unfinished.is_some_and(|at| at <= now) {
            self.unfinished = None;
            let line = self.lines.unfinished();
            self.show(&line, stdout, now);
        }
        if self.notice <= now {
            self.log_waiting(now);
        }
    }

    /// Logs the rest after the plugin has ended.
    pub(super) fn end(&mut self, stdout: &[u8]) {
        let now = Instant::now();
        if self.lines.has_begun() {
            let line = self.lines.unfinished();
            self.show(&line, stdout, now);
        }
        if self.left_out > 0 {
            self.log_left_out();
        }
    }

    /// Whether the log has every line that the plugin wrote.
    pub(super) fn has_logged_all(&self) -> bool {
        self.is_whole
    }

    fn log_waiting(&mut self, now: Instant) {
        let waited = now - self.started;
        let next = REMINDERS.into_iter().find(|at| *at > waited);
        self.notice = next.map_or(now + REMINDERS[1], |at| self.started + at);
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
            self.lines.track_key(line);
            return;
        }
        if self.left_out > 0 {
            self.log_left_out();
        }
        if let Some(text) = self.lines.presentable(line, stdout, &self.secrets) {
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

    fn log_left_out(&mut self) {
        tracing::info!(
            "exec plugin {}: {} more lines, too many to show",
            self.plugin,
            self.left_out
        );
        self.left_out = 0;
    }
}
