//! Handles signals during a command that obtains a credential: an exec plugin and its children end with
//! the command, and a login that is being renewed is stored first.

use std::{future::pending, pin::pin, time::Duration};

use anyhow::Context as _;
use tokio::signal::unix::SignalKind;

use crate::{credential, signals::Signals};

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
/// ends the exec plugins that run, and waits for the login that is being renewed, unless another signal
/// comes. `work` must not block its thread.
///
/// # Errors
/// The error of `work`; [`Interrupted`] after a signal.
pub(super) async fn guarded<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let signals = Signals::handle_all().context("cannot handle signals")?;
    run_until(signals, work).await
}

/// Does the same as [`guarded`] for the signals of `kinds`.
///
/// # Errors
/// The error of `work`; [`Interrupted`] after a signal.
pub(super) async fn guarded_from<T>(
    kinds: &[SignalKind],
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let signals = Signals::handle(kinds).context("cannot handle signals")?;
    run_until(signals, work).await
}

async fn run_until<T>(
    mut signals: Signals,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut work = pin!(work);
    let number = tokio::select! {
        result = &mut work => {
            let Err(error) = result else { return result };
            let signal = tokio::time::timeout(SIGNAL_GRACE, signals.received()).await;
            return Err(signal.map_or(error, |number| Interrupted(number).into()));
        }
        number = signals.received() => number,
    };
    // `work` may itself run the plugin or renew the login, and has to be polled for that to end.
    let at_work = async {
        let _ = work.await;
        pending::<()>().await;
    };
    let ended = async {
        tokio::join!(credential::end_plugins(), renewals_stored(&mut signals));
    };
    tokio::select! {
        () = ended => {}
        () = at_work => {}
    }
    Err(Interrupted(number).into())
}

/// Waits for renewals under way, until another signal comes.
async fn renewals_stored(signals: &mut Signals) {
    signals.await_another();
    signals.interrupting(credential::renewals_stored()).await;
}
