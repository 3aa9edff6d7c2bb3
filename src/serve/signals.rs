//! The signals that the proxy handles.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::console;

/// SIGINT, SIGTERM, and a SIGHUP that says that the terminal is gone.
#[derive(Debug)]
pub struct ShutdownSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    had_terminal: bool,
}

/// SIGHUP, which requests a reload.
#[derive(Debug)]
pub struct ReloadSignals(Signal);

impl ShutdownSignals {
    /// Installs the handlers. From now on these signals do not end the process by themselves.
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

impl ReloadSignals {
    /// Installs the handler. From now on SIGHUP does not end the process by itself.
    ///
    /// # Errors
    /// The system refuses the handler.
    pub fn install() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next signal.
    pub async fn received(&mut self) {
        let _ = self.0.recv().await;
    }
}
