//! How long a call may take, how a command waits for a busy server, and its log lines about that.

use std::{sync::OnceLock, time::Duration};

use http::Uri;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::IssuerError;
use crate::{credential::Error, jitter};

/// How long a call may take, unless `--request-timeout` says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a command waits before it logs what it waits for.
const FIRST_NOTICE: Duration = Duration::from_secs(2);

/// How often it logs that again.
const NOTICE_INTERVAL: Duration = Duration::from_secs(30);

/// The pause after the first response of a busy server that does not say when to call again. It
/// doubles each time.
const FIRST_BUSY_PAUSE: Duration = Duration::from_millis(500);

/// How often a command calls a busy server again.
const BUSY_RETRIES: u32 = 3;

/// How long calls to issuers and API servers may take, and whether a command waits for them.
#[derive(Clone, Copy, Debug)]
pub struct CallPolicy {
    /// How long one call may take; `None` means without limit.
    pub timeout: Option<Duration>,
    /// Whether this process is a command. A command logs which server it waits for, and calls a
    /// busy one again (429). In the proxy, the cache of credentials does so.
    pub in_command: bool,
}

/// The policy of this process. Calls are made in many places, none of which knows what for.
static PROCESS: OnceLock<CallPolicy> = OnceLock::new();

/// Sets the policy of this process, once, before the first call.
pub fn set_call_policy(policy: CallPolicy) {
    PROCESS.get_or_init(|| policy);
}

impl CallPolicy {
    /// The policy that was set, or the default: 30 s, without log lines.
    pub(super) fn of_process() -> Self {
        PROCESS.get().copied().unwrap_or(Self {
            timeout: Some(DEFAULT_TIMEOUT),
            in_command: false,
        })
    }

    /// The pauses after responses of a busy server, in all no longer than one call may take.
    pub(super) fn busy_pauses(self) -> BusyPauses {
        BusyPauses {
            retries: if self.in_command { BUSY_RETRIES } else { 0 },
            left: self.timeout.unwrap_or(DEFAULT_TIMEOUT),
            next: FIRST_BUSY_PAUSE,
        }
    }

    /// Begins a call of `server` at `url`.
    pub(super) fn begin(self, server: &'static str, url: &Uri) -> Call {
        let began = Instant::now();
        Call {
            server,
            url: url.clone(),
            began,
            policy: self,
        }
    }
}

/// The pauses in which a command waits for a busy server.
pub(super) struct BusyPauses {
    retries: u32,
    left: Duration,
    next: Duration,
}

impl BusyPauses {
    /// No pause, so that a request is sent once.
    pub(super) fn none() -> Self {
        Self {
            retries: 0,
            left: Duration::ZERO,
            next: FIRST_BUSY_PAUSE,
        }
    }

    /// Returns the next pause. `asked` is what the server asks for (`Retry-After`). `None` if it
    /// asks for too much, or was called often enough.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.retries = self.retries.checked_sub(1)?;
        let pause = asked.unwrap_or_default().max(self.next);
        self.left = self.left.checked_sub(pause)?;
        self.next *= 2;
        // Many commands may have been answered at the same time.
        Some(pause.mul_f64(1.0 + 0.1 * jitter::fraction()))
    }
}

/// A call in flight.
#[derive(Clone)]
pub(in crate::credential) struct Call {
    pub(super) server: &'static str,
    pub(super) url: Uri,
    began: Instant,
    policy: CallPolicy,
}

impl Call {
    /// Runs a part of the call.
    ///
    /// # Errors
    /// Its own error; [`IssuerError::TimedOut`] if the whole call takes too long.
    pub(super) async fn bounded<T>(
        &self,
        part: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(limit) = self.policy.timeout else {
            return self.with_notices(part).await;
        };
        let done = timeout_at(self.began + limit, self.with_notices(part)).await;
        done.unwrap_or_else(|_| {
            Err(Error::Issuer(IssuerError::TimedOut {
                server: self.server,
                url: self.url.to_string(),
                after: limit,
            }))
        })
    }

    async fn with_notices<T>(&self, part: impl Future<Output = T>) -> T {
        if !self.policy.in_command {
            return part.await;
        }
        let mut part = std::pin::pin!(part);
        let mut next = self.began + FIRST_NOTICE;
        loop {
            tokio::select! {
                done = &mut part => return done,
                () = sleep_until(next) => self.log_waiting(),
            }
            next = Instant::now() + NOTICE_INTERVAL;
        }
    }

    /// Logs that a busy server is called again after `pause`.
    pub(super) fn log_busy(&self, pause: Duration) {
        let (server, host) = (self.server, self.host());
        let pause = pause.as_secs_f64().ceil();
        tracing::info!("{server} at {host} is busy (429); trying again in {pause} s");
    }

    fn host(&self) -> String {
        format!(
            "{}://{}",
            self.url.scheme_str().unwrap_or_default(),
            self.url
                .authority()
                .map_or("", http::uri::Authority::as_str)
        )
    }

    fn log_waiting(&self) {
        let (server, host) = (self.server, self.host());
        if let Some(limit) = self.policy.timeout {
            let left = limit.saturating_sub(self.began.elapsed());
            let left = left.as_secs_f64().round();
            tracing::info!("waiting for {server} at {host}, {left} s left");
        } else {
            tracing::info!("waiting for {server} at {host}");
        }
    }
}

/// Runs `work`, which waits for `server` at `url`, by the policy of this process; `None` if it
/// takes too long.
pub async fn with_timeout<T>(
    server: &'static str,
    url: &Uri,
    work: impl Future<Output = T>,
) -> Option<T> {
    let call = CallPolicy::of_process().begin(server, url);
    call.bounded(async { Ok(work.await) }).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(limit: Option<Duration>) -> Call {
        let policy = CallPolicy {
            timeout: limit,
            in_command: true,
        };
        policy.begin("the API server", &Uri::from_static("https://a:6443/x?y"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_times_out_and_the_error_names_the_server() {
        let began = Instant::now();
        let call = call(Some(Duration::from_secs(7)));
        let part = call.bounded(async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(())
        });
        assert!(part.await.is_ok());
        // The timeout is that of the whole call.
        let rest = call
            .bounded(std::future::pending::<Result<(), Error>>())
            .await;
        assert_eq!(began.elapsed(), Duration::from_secs(7));
        let error = rest
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            error.contains("the API server at https://a:6443") && error.contains("within 7 s"),
            "{error}"
        );
    }

    #[test]
    fn a_command_waits_for_a_busy_server_as_long_as_a_call_may_take() {
        let command = CallPolicy {
            timeout: Some(Duration::from_secs(10)),
            in_command: true,
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let mut pauses = command.busy_pauses();
        for asked in [seconds(1), seconds(8), None] {
            let pause = pauses.next(asked);
            assert_eq!(pause.is_some(), asked.is_some(), "{asked:?}");
            assert!(pause >= asked && pause <= asked.map(|asked| asked.mul_f64(1.1)));
        }
        let mut pauses = command.busy_pauses();
        let all = std::iter::from_fn(|| pauses.next(None));
        assert_eq!(all.count(), 3);
        assert_eq!(command.busy_pauses().next(seconds(11)), None);
        let proxy = CallPolicy {
            in_command: false,
            ..command
        };
        assert_eq!(proxy.busy_pauses().next(seconds(1)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_timeout_a_call_may_take_a_day() {
        let day = Duration::from_secs(86_400);
        let call = call(None);
        let waited = call.bounded(async {
            tokio::time::sleep(day).await;
            Ok(())
        });
        assert!(waited.await.is_ok());
    }
}
