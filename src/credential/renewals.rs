//! Renewals that spend what they renew, such as a refresh token that works once. The process ends only
//! when what the issuer gave for it is stored.

use std::{sync::LazyLock, time::Duration};

use tokio::time::timeout;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// The renewals under way. They run on any thread, so this belongs to the whole process.
static UNDER_WAY: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// How long the end of the process waits before it says so.
const SILENT_WAIT: Duration = Duration::from_secs(1);
/// How much longer it waits.
const FURTHER_WAIT: Duration = Duration::from_secs(9);

/// Begins a renewal, which is under way until the returned value is dropped. Nothing of it may be dropped
/// before: neither its request nor the write of its result.
pub(super) fn begin() -> TaskTrackerToken {
    UNDER_WAY.token()
}

/// Waits until the renewals under way have stored their results, for 10 s at most.
pub async fn renewals_stored() {
    UNDER_WAY.close();
    if timeout(SILENT_WAIT, UNDER_WAY.wait()).await.is_ok() {
        return;
    }
    tracing::warn!(
        "a login is being renewed; waiting up to {} s for the issuer, so that the login is not lost; \
         another signal exits at once",
        FURTHER_WAIT.as_secs()
    );
    if timeout(FURTHER_WAIT, UNDER_WAY.wait()).await.is_err() {
        tracing::warn!("the issuer did not answer in time; the login may have to be repeated");
    }
}
