//! Signals that end a command which may be running an exec plugin: the plugin, and what it started,
//! end with it.

use std::{future::pending, pin::pin};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::credential;

/// A command that a signal ended.
#[derive(Debug, thiserror::Error)]
#[error("ended by signal {0}")]
pub(super) struct Interrupted(u8);

impl Interrupted {
    /// What a shell reports of a process that such a signal ended.
    pub(super) fn exit_code(&self) -> u8 {
        128 + self.0
    }
}

/// Does `work`, during which SIGINT, SIGTERM and SIGHUP first end the exec plugins that run. `work`
/// must not block its thread.
///
/// # Errors
/// Those of `work`; [`Interrupted`] after a signal.
pub(super) async fn guarded<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut signals = Signals::install().context("cannot handle signals")?;
    let mut work = pin!(work);
    let number = tokio::select! {
        done = &mut work => return done,
        number = signals.received() => number,
    };
    // The plugin may be run by `work` itself, which is therefore still polled.
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

/// The signals that end a process, but for those that it was started to ignore (nohup(1), a job in
/// the background of a script).
struct Signals(Vec<(u8, Signal)>);

impl Signals {
    fn install() -> std::io::Result<Self> {
        let ignored = ignored();
        let kinds = [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::terminate(),
        ];
        let mut signals = Vec::new();
        for kind in kinds {
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

/// The signals that are ignored, a bit for each; none where the system does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}
