//! The signals: those that end a process, and SIGHUP.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::console;

/// SIGINT and SIGTERM; and SIGHUP where it tells that our terminal is gone.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    had_terminal: bool,
}

/// SIGHUP.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Signals {
    /// Takes over the signals; from now on they no longer end the process by themselves.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            had_terminal: console::has_terminal(),
        })
    }

    /// Waits for the next signal.
    pub async fn received(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                _ = self.hangup.recv() => if self.had_terminal && !console::has_terminal() {
                    return;
                },
            }
        }
    }
}

impl Hangups {
    /// Takes over the signal; from now on it no longer ends the process by itself.
    ///
    /// # Errors
    /// The system refuses the handler.
    pub fn install() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next one.
    pub async fn received(&mut self) {
        let _ = self.0.recv().await;
    }
}
