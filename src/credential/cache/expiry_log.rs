//! Logs that a credential is about to expire which only a human can replace.

use std::{sync::Weak, time::Duration};

use tokio::time::sleep;

use super::refresher::Clock;
use crate::credential::Credential;

/// How often the wall clock is read: timers stop while a machine sleeps.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Logs the expiry warning of `credential` once it is due, if the credential is still in use then.
pub(super) async fn log_when_due(credential: Weak<Credential>, clock: Clock) {
    loop {
        let Some(credential) = credential.upgrade() else {
            return;
        };
        let Some(warning) = &credential.expiry_warning else {
            return;
        };
        let left = warning.due_at().duration_since(clock());
        let Some(left) = left.ok().filter(|left| !left.is_zero()) else {
            tracing::warn!("{}", warning.text());
            return;
        };
        drop(credential);
        sleep(left.min(CHECK_INTERVAL)).await;
    }
}
