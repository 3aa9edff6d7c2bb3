//! Writes that a signal does not cut off.

use std::panic::resume_unwind;

use crate::{kubeconfig::edit::give_up_waiting, signals::Signals};

/// Runs `work`, which writes files, on a thread of its own, and returns its result. After a signal it
/// waits for no lock any more, but what it has begun is completed: half of it would be left behind, and
/// kubectl's lock.
pub async fn uninterrupted<T: Send + 'static>(
    signals: &mut Signals,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let mut task = tokio::task::spawn_blocking(work);
    let ended = if let Some(ended) = signals.interrupting(&mut task).await {
        ended
    } else {
        let _given_up = give_up_waiting();
        task.await
    };
    ended.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
