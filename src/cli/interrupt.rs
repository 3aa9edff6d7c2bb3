//! Handles signals during a command that may run an exec plugin, so that the plugin and its children
//! end with the command.

use std::{future::pending, pin::pin, time::Duration};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::credential;

/// How long a failed command waits for a signal that explains the failure. Ctrl-C goes to the plugin and
/// to this process at once, and the plugin's end may be noticed first.
const SIGNAL_GRACE: Duration = Duration::from_millis(50);

/// The command was ended by a signal.
#[derive(Debug, thiserror::Error)]
#[error("ended by signal {0}")]
pub(super) struct Interrupted(u8);

impl Interrupted {
    /// Returns the exit code that a shell reports for a process that this signal ended.
    pub(super) fn exit_code(&self) -> u8 {
        128 + self.0
    }
}

/// Runs `work` until a signal that ends the process comes: SIGHUP, SIGINT, SIGQUIT or SIGTERM. Then
/// ends the exec plugins that run. `work` must not block its thread.
///
/// # Errors
/// The error of `work`; [`Interrupted`] after a signal.
pub(super) async fn guarded<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let kinds = [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::quit(),
        SignalKind::terminate(),
    ];
    guarded_from(&kinds, work).await
}

/// Does the same as [`guarded`] for the signals of `kinds`.
///
/// # Errors
/// The error of `work`; [`Interrupted`] after a signal.
pub(super) async fn guarded_from<T>(
    kinds: &[SignalKind],
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut signals = Signals::install(kinds).context("cannot handle signals")?;
    let mut work = pin!(work);
    let number = tokio::select! {
        result = &mut work => {
            let Err(error) = result else { return result };
            let signal = tokio::time::timeout(SIGNAL_GRACE, signals.received()).await;
            return Err(signal.map_or(error, |number| Interrupted(number).into()));
        }
        number = signals.received() => number,
    };
    // `work` may itself run the plugin, and has to be polled for that to end.
    let at_work = async {
        let _ = work.await;
        pending::<()>().await;
    };
    tokio::select! {
        () = credential::end_plugins() => {}
        () = at_work => {}
    }
    Err(Interrupted(number).into())
}

/// Handlers of signals, except for those that are ignored from the start, as by nohup(1) or in a
/// background job of a script.
struct Signals(Vec<(u8, Signal)>);

impl Signals {
    fn install(kinds: &[SignalKind]) -> std::io::Result<Self> {
        let ignored = ignored();
        let mut signals = Vec::new();
        for &kind in kinds {
            let number = u8::try_from(kind.as_raw_value()).unwrap_or_default();
            if number > 0 && ignored & (1 << (number - 1)) == 0 {
                signals.push((number, signal(kind)?));
            }
        }
        Ok(Self(signals))
    }

    async fn received(&mut self) -> u8 {
        let each = self.0.iter_mut().map(|(number, signal)| {
            Box::pin(async move {
                signal.recv().await;
                *number
            })
        });
        let each: Vec<_> = each.collect();
        if each.is_empty() {
            return pending().await;
        }
        futures_util::future::select_all(each).await.0
    }
}

/// Returns a bit mask of the ignored signals; 0 if the system does not say.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}
