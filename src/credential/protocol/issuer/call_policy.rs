//! How long somebody who is asked is waited for, and that whoever waits is told.

use std::{sync::OnceLock, time::Duration};

use http::Uri;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::IssuerError;
use crate::credential::Error;

/// How long a call may take, unless `--request-timeout` says otherwise.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a command waits before it says for whom.
const SILENCE: Duration = Duration::from_secs(2);

/// How often it says so again.
const AGAIN: Duration = Duration::from_secs(30);

/// How issuers and API servers that are asked for something are waited for.
#[derive(Clone, Copy, Debug)]
pub struct CallPolicy {
    /// How long one call may take; `None`: without end.
    pub timeout: Option<Duration>,
    /// Whether it is said for whom, as where somebody waits for a command to end.
    pub reports_waiting: bool,
}

/// That of this process. Calls are made in many places, of which none knows who waits.
static PROCESS: OnceLock<CallPolicy> = OnceLock::new();

/// Chooses the policy of this process, once, before anybody is asked.
pub fn set_call_policy(policy: CallPolicy) {
    PROCESS.get_or_init(|| policy);
}

impl CallPolicy {
    /// What was set, else 30 s without a word.
    pub(super) fn of_process() -> Self {
        PROCESS.get().copied().unwrap_or(Self {
            timeout: Some(LIMIT),
            reports_waiting: false,
        })
    }

    /// Begins to wait for what `who` has at `url`.
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

/// A call under way.
#[derive(Clone)]
pub(in crate::credential) struct Call {
    pub(super) server: &'static str,
    pub(super) url: Uri,
    began: Instant,
    policy: CallPolicy,
}

impl Call {
    /// What comes of a part of the call.
    ///
    /// # Errors
    /// Its own; [`IssuerError::TimedOut`] where the whole call takes too long.
    pub(super) async fn bounded<T>(
        &self,
        part: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(limit) = self.policy.timeout else {
            return self.telling(part).await;
        };
        let done = timeout_at(self.began + limit, self.telling(part)).await;
        done.unwrap_or_else(|_| {
            Err(Error::Issuer(IssuerError::TimedOut {
                server: self.server,
                url: self.url.to_string(),
                after: limit,
            }))
        })
    }

    async fn telling<T>(&self, part: impl Future<Output = T>) -> T {
        if !self.policy.reports_waiting {
            return part.await;
        }
        let mut part = std::pin::pin!(part);
        let mut next = self.began + SILENCE;
        loop {
            tokio::select! {
                done = &mut part => return done,
                () = sleep_until(next) => self.tell(),
            }
            next = Instant::now() + AGAIN;
        }
    }

    fn tell(&self) {
        let Self { server, url, .. } = self;
        let host = format!(
            "{}://{}",
            url.scheme_str().unwrap_or_default(),
            url.authority().map_or("", http::uri::Authority::as_str)
        );
        if let Some(limit) = self.policy.timeout {
            let left = limit.saturating_sub(self.began.elapsed());
            let left = left.as_secs_f64().round();
            tracing::info!("waiting for {server} at {host}, {left} s left");
        } else {
            tracing::info!("waiting for {server} at {host}");
        }
    }
}

/// What comes of `work` of `who` at `url`, by the policy of this process; `None` where it takes
/// too long.
pub async fn with_timeout<T>(
    server: &'static str,
    url: &Uri,
    work: impl Future<Output = T>,
) -> Option<T> {
    let wait = CallPolicy::of_process().begin(server, url);
    wait.bounded(async { Ok(work.await) }).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(limit: Option<Duration>) -> Call {
        let policy = CallPolicy {
            timeout: limit,
            reports_waiting: true,
        };
        policy.begin("the API server", &Uri::from_static("https://a:6443/x?y"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_after_its_limit_and_names_who_was_asked() {
        let began = Instant::now();
        let wait = wait(Some(Duration::from_secs(7)));
        let part = wait.bounded(async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(())
        });
        assert!(part.await.is_ok());
        // The limit is that of the whole call.
        let rest = wait
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

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_is_waited_for() {
        let day = Duration::from_secs(86_400);
        let wait = wait(None);
        let waited = wait.bounded(async {
            tokio::time::sleep(day).await;
            Ok(())
        });
        assert!(waited.await.is_ok());
    }
}
