//! Ends all plugins when this process is about to end.

use std::{future::Future, sync::LazyLock, time::Duration};

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Cancelled when this process is about to end. Plugins run on any thread, so this and
/// [`RUNNING`] belong to the whole process.
static SHUTDOWN: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);
/// The plugins that are running.
static RUNNING: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// How long plugins may take to end. Then they are killed with the tasks that run them.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Stops all exec plugins with the processes that they started. No plugin is started after that.
pub async fn end_plugins() {
    SHUTDOWN.cancel();
    RUNNING.close();
    // A plugin that is left is killed when its task is dropped.
    let _ = timeout(TIMEOUT, RUNNING.wait()).await;
}

/// Adds `run` to the plugins that are running.
pub(super) fn tracked<F: Future>(run: F) -> impl Future<Output = F::Output> {
    RUNNING.track_future(run)
}

/// Waits until this process is about to end.
pub(super) async fn begun() {
    SHUTDOWN.cancelled().await;
}

/// Whether this process is about to end.
pub(super) fn has_begun() -> bool {
    SHUTDOWN.is_cancelled()
}
