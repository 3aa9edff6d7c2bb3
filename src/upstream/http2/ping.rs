//! [`Pings`]: the PING frames of one connection.

use std::future::poll_fn;

use tokio::time::Instant;

/// The PING frames of one connection, of which h2 has one in flight at a time.
pub(super) struct Pings {
    ponger: h2::PingPong,
    /// One was sent, and its sender stopped waiting for the answer.
    in_flight: bool,
    /// When the last PING was sent that was answered.
    answered: Option<Instant>,
}

impl Pings {
    pub(super) fn new(ponger: h2::PingPong) -> Self {
        Self {
            ponger,
            in_flight: false,
            answered: None,
        }
    }

    /// Whether a PING that was sent at `time` or later was answered.
    pub(super) fn answered_since(&self, time: Instant) -> bool {
        self.answered.is_some_and(|sent| sent >= time)
    }

    /// Returns when the server has answered a PING.
    pub(super) async fn ping(&mut self) -> Result<(), h2::Error> {
        if self.in_flight {
            let mut already_answered = true;
            poll_fn(|cx| {
                let polled = self.ponger.poll_pong(cx);
                already_answered &= polled.is_ready();
                polled
            })
            .await?;
            self.in_flight = false;
            // An answer that had arrived before does not show that the server is alive now.
            if !already_answered {
                return Ok(());
            }
        }
        let sent = Instant::now();
        self.ponger.send_ping(h2::Ping::opaque())?;
        self.in_flight = true;
        poll_fn(|cx| self.ponger.poll_pong(cx)).await?;
        self.in_flight = false;
        self.answered = Some(sent);
        Ok(())
    }
}
