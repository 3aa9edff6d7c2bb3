//! The end of this process, which no plugin outlives.

use std::{future::Future, sync::LazyLock, time::Duration};

use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Whether this process is about to end, and the plugins that run. Plugins run on any thread, so
/// this is the whole process's.
static ENDING: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);
static RUNNING: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// How long plugins may take to end, beyond which they are killed with the tasks that run them.
const PATIENCE: Duration = Duration::from_secs(3);

/// Stops every exec plugin that runs, with what it started, and starts none any more.
pub async fn end_plugins() {
    ENDING.cancel();
    RUNNING.close();
    // What is left is killed when its task is dropped.
    let _ = timeout(PATIENCE, RUNNING.wait()).await;
}

/// Counts `run` among the plugins that run.
pub(super) fn counted<F: Future>(run: F) -> impl Future<Output = F::Output> {
    RUNNING.track_future(run)
}

/// Waits until this process is about to end.
pub(super) async fn begun() {
    ENDING.cancelled().await;
}

/// Whether this process is about to end.
pub(super) fn has_begun() -> bool {
    ENDING.is_cancelled()
}
