//! How long a plugin may take.

use std::time::Duration;

/// How long a plugin may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    /// Without a terminal; [`Duration::MAX`] means without limit.
    pub(super) run: Duration,
    /// With a terminal, at which a human types.
    pub(super) interactive: Duration,
    /// Between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    /// Between the plugin's exit and the end of its output, which a child of it may keep open.
    pub(super) drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            run: Duration::from_secs(3 * 60),
            interactive: Duration::from_secs(5 * 60),
            grace: Duration::from_secs(1),
            drain: Duration::from_secs(1),
        }
    }
}

impl Timeouts {
    /// `limit` in place of both defaults; zero means without limit.
    pub(super) fn within(limit: Duration) -> Self {
        let limit = if limit.is_zero() {
            Duration::MAX
        } else {
            limit
        };
        Self {
            run: limit,
            interactive: limit,
            ..Self::default()
        }
    }

    /// How long a run may take.
    pub(super) fn limit(&self, interactive: bool) -> Duration {
        if interactive {
            self.interactive
        } else {
            self.run
        }
    }
}
