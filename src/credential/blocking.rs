//! Runs blocking work, such as reading files, on threads for that purpose.

use super::Error;

/// Runs `work`; `subject` names its owner in the error.
///
/// # Errors
/// [`Error::SourceFailed`] if it panicked.
pub(super) async fn blocking<T: Send + 'static>(
    subject: impl FnOnce() -> String,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::SourceFailed { subject: subject() })
}
