//! [`wait`]: how long a request waits for a connection.

use std::sync::Arc;

use http::HeaderValue;
use tokio::time::{Instant, sleep_until};

use super::{dispatch::Dispatcher, lease::Lease, queue::Enqueued};
use crate::upstream::{error::Error, traffic_class::TrafficClass};

/// The longest wait for other requests to end, in connect timeouts.
const MAX_CONNECT_TIMEOUTS: u32 = 2;

/// Waits for a lease on a connection. The time limits count from `began`.
pub(super) async fn wait(
    dispatcher: &Arc<Dispatcher>,
    class: TrafficClass,
    began: Instant,
    client: Option<HeaderValue>,
) -> Result<Lease, Error> {
    let (id, mut receiver, held_back) = match dispatcher.enqueue(class, client)? {
        Enqueued::Ready(lease) => return Ok(lease),
        Enqueued::Waiting {
            id,
            receiver,
            held_back,
        } => (id, receiver, held_back),
    };
    let connect = dispatcher.timeouts().connect;
    let end = began + MAX_CONNECT_TIMEOUTS * connect;
    let mut until = if held_back {
        end
    } else {
        // A request that is sent again gets some time, however much it has used.
        (began + connect).max(Instant::now() + connect / 4)
    };
    let timed_out = || Err(dispatcher.connector().timed_out());
    loop {
        tokio::select! {
            biased;
            lease = &mut receiver => return lease.unwrap_or_else(|_| timed_out()),
            () = sleep_until(until) => {
                if !dispatcher.waits_for_others(id) {
                    return timed_out();
                }
                if until >= end {
                    return Err(dispatcher.busy());
                }
                until = (until + connect).min(end);
            }
        }
    }
}
