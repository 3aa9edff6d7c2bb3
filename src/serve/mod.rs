//! OUR OWN DOOR: listening, accepting, closing in good order, and taking up what changes while
//! it is open.

mod connection;
mod early;
mod exchange;
mod farewell;
mod head_memory;
mod heads;
mod inbound;
mod lanes;
mod listener;
mod plan;
mod reload;
mod request_line;
mod room;
mod seek;
mod shutdown;
mod watched;
mod watching;

pub use lanes::count as lanes;
pub use listener::{Accepted, Address, Error, Listener};
pub use plan::{BoxError, Connect, Finding, Found, Plan, Standing};
pub use seek::Seeker;
pub use shutdown::{Hangups, Signals};

use std::{io, time::Duration};

use tokio_util::task::TaskTracker;

use crate::{
    credential, descriptors,
    proxy::{Drain, Proxy},
};
use connection::Door;
use lanes::Lanes;
use room::Room;

/// After an accept that failed for want of file descriptors or memory: long enough not to
/// spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `signals` say so, then drains: nothing more is accepted, requests may end,
/// watches end at once at an event boundary, and what still runs after `limit` is cut off.
///
/// # Errors
/// The system gives no thread for each of `proxies`.
pub async fn run<P: Proxy>(
    listener: Listener,
    proxies: Vec<P>,
    drain: Drain,
    mut signals: Signals,
    limit: Duration,
) -> io::Result<()> {
    let proxies = proxies.into_iter();
    let doors = proxies.map(|proxy| Door::new(proxy, &drain.begun));
    let lanes = Lanes::start(doors.collect())?;
    let connections = TaskTracker::new();
    tokio::select! {
        () = accept_all(&listener, &lanes, &drain, &connections) => {}
        () = signals.received() => {}
    }
    drop(listener);
    tracing::info!(
        "draining for up to {} s; another signal exits at once",
        limit.as_secs()
    );
    drain.begun.cancel();
    connections.close();
    drain.tunnels.close();
    let drained = async {
        connections.wait().await;
        drain.tunnels.wait().await;
    };
    tokio::select! {
        () = drained => tracing::info!("drained"),
        () = tokio::time::sleep(limit) => tracing::warn!(
            connections = connections.len(),
            tunnels = drain.tunnels.len(),
            "not drained in time; cutting off what still runs"
        ),
        () = signals.received() => tracing::warn!("second signal; cutting off what still runs"),
    }
    // While their threads still run: a plugin is asked to end before it is killed.
    credential::end_plugins().await;
    Ok(())
}

async fn accept_all<P: Proxy>(
    listener: &Listener,
    lanes: &Lanes<Door<P>>,
    drain: &Drain,
    connections: &TaskTracker,
) {
    let mut room = Room::measured();
    loop {
        match listener.accept().await {
            Ok((stream, _)) if !room.is_there(connections, &drain.tunnels) => {
                room.turn_away(stream);
            }
            Ok((stream, peer)) => {
                lanes.spawn(connections, move |door| {
                    connection::serve(stream, peer, door)
                });
            }
            // The connection that was to be accepted is gone; the listener is well.
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) if descriptors::ran_out(&error) && room.turn_away_next(listener) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
