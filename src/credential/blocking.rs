//! Work that blocks, such as reading files, done beside the runtime's own threads.

use super::Error;

/// Does `work`; `subject` says in the error whose it was.
///
/// # Errors
/// [`Error::SourceFailed`] where it broke off.
pub(super) async fn blocking<T: Send + 'static>(
    subject: impl FnOnce() -> String,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::SourceFailed { subject: subject() })
}
