//! `--service-account-secret`: the token of a service account in a Secret
//! (`kubernetes.io/service-account-token`). A watch follows its changes.

mod reader;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use tokio::{
    task::AbortHandle,
    time::{sleep, timeout},
};

use self::reader::{Reader, WATCH_SECONDS};
use crate::{
    credential::{Cache, Credential, Error, Fetch, RefreshPolicy, Source, cache::backoff},
    kubeconfig::Cluster,
    settings::Namespaced,
};

/// How long a watch is waited for. Its connection may be lost without an error.
const WATCH_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS + 30);

/// A watch that ended sooner counts as failed.
const SHORT: Duration = Duration::from_secs(10);

/// The longest pause before the Secret is read and watched again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A source that reads the token from a Secret.
pub(in crate::credential) struct TokenSecret {
    reader: Arc<Reader>,
    watching: OnceLock<AbortHandle>,
}

impl TokenSecret {
    pub(in crate::credential) fn new(
        cluster: &Cluster,
        base: Arc<Cache>,
        secret: &Namespaced,
    ) -> Result<Self, Error> {
        let reader = Reader::new(cluster, base, secret)?;
        Ok(Self {
            reader: Arc::new(reader),
            watching: OnceLock::new(),
        })
    }
}

impl Drop for TokenSecret {
    fn drop(&mut self) {
        if let Some(task) = self.watching.get() {
            task.abort();
        }
    }
}

impl Source for TokenSecret {
    fn subject(&self) -> String {
        self.reader.subject()
    }

    fn fetch(&self) -> Fetch<'_> {
        self.watching
            .get_or_init(|| tokio::spawn(follow(Arc::clone(&self.reader))).abort_handle());
        Box::pin(async {
            let (_version, outcome) = self.reader.read().await?;
            outcome
        })
    }

    /// A recheck only reads what the watch has reported.
    fn refresh_policy(&self) -> RefreshPolicy {
        RefreshPolicy {
            recheck_after: Some(Duration::from_secs(1)),
            max_backoff: Duration::from_secs(2),
            max_wait: self.reader.base().max_wait(),
        }
    }

    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        let latest = self.reader.latest();
        Box::pin(async { latest.unwrap_or_else(|| Ok(last.clone())) })
    }

    fn files(&self) -> Vec<PathBuf> {
        self.reader.base().files()
    }

    fn login_files(&self) -> Vec<PathBuf> {
        self.reader.base().login_files()
    }

    fn inputs_changed(&self) {
        self.reader.base().recheck_in_background();
    }
}

/// Reads the Secret and watches it from that version on, and again whenever the watch ends.
async fn follow(reader: Arc<Reader>) {
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let outcome = timeout(WATCH_TIMEOUT, reader.read_and_watch()).await;
        match outcome {
            Ok(Ok(())) | Err(_) if began.elapsed() >= SHORT => failures = 0,
            Ok(Ok(())) | Err(_) => failures += 1,
            Ok(Err(error)) => {
                failures += 1;
                let error = &error as &dyn std::error::Error;
                let secret = reader.secret();
                if failures == 1 {
                    tracing::warn!(error, %secret, "the Secret is not watched; it is read again");
                } else {
                    tracing::debug!(error, %secret, failures, "the Secret is not watched");
                }
            }
        }
        sleep(backoff::full_jitter(failures.max(1), LONGEST_PAUSE)).await;
    }
}
