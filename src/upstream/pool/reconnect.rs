//! [`reconnect`]: attempts to connect to a server that cannot be reached.

use std::{future::Future, time::Duration};

use tokio::{sync::Notify, time::sleep};

/// Makes one attempt after the other, each after the delay that `delay` yields, or at once when
/// `retry_now` is notified. Ends when `delay` yields `None`.
pub(super) async fn reconnect<F: Future<Output = ()>>(
    retry_now: &Notify,
    delay: impl Fn() -> Option<Duration>,
    mut attempt: impl FnMut() -> F,
) {
    while let Some(delay) = delay() {
        if delay > Duration::ZERO {
            tokio::select! {
                () = sleep(delay) => {}
                () = retry_now.notified() => {}
            }
        }
        attempt().await;
    }
}
