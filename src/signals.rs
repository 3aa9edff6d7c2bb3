//! Waits for the signals that end a process.

use std::{future::pending, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Handlers of signals that end a process, which it then does not end by themselves any more. A signal
/// that is ignored from the start, as by nohup(1) or in a background job of a script, stays ignored.
pub struct Signals {
    handlers: Vec<(u8, Signal)>,
    received: Option<u8>,
}

impl Signals {
    /// Handles SIGHUP, SIGINT, SIGQUIT and SIGTERM.
    ///
    /// # Errors
    /// The system allows no handlers.
    pub fn handle_all() -> io::Result<Self> {
        Self::handle(&[
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::quit(),
            SignalKind::terminate(),
        ])
    }

    /// Handles the signals of `kinds`.
    ///
    /// # Errors
    /// The system allows no handlers.
    pub fn handle(kinds: &[SignalKind]) -> io::Result<Self> {
        let ignored = ignored();
        let mut handlers = Vec::new();
        for &kind in kinds {
            let number = u8::try_from(kind.as_raw_value()).unwrap_or_default();
            if number > 0 && ignored & (1 << (number - 1)) == 0 {
                handlers.push((number, signal(kind)?));
            }
        }
        Ok(Self {
            handlers,
            received: None,
        })
    }

    /// Waits for a signal, and returns its number. Returns at once if there was one before.
    pub async fn received(&mut self) -> u8 {
        if let Some(number) = self.received {
            return number;
        }
        let each = self.handlers.iter_mut().map(|(number, signal)| {
            Box::pin(async move {
                signal.recv().await;
                *number
            })
        });
        let each: Vec<_> = each.collect();
        if each.is_empty() {
            return pending().await;
        }
        let (number, ..) = futures_util::future::select_all(each).await;
        self.received = Some(number);
        number
    }

    /// Returns whether [`Signals::received`] has returned one.
    #[must_use]
    pub fn have_come(&self) -> bool {
        self.received.is_some()
    }

    /// Waits for another signal from now on, not for the one before.
    pub fn await_another(&mut self) {
        self.received = None;
    }

    /// Runs `work` until it is done, or a signal comes: then drops it and returns `None`.
    pub async fn interrupting<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            _ = self.received() => None,
        }
    }
}

/// Returns a bit mask of the ignored signals; 0 if the system does not say.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}
