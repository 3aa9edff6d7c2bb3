//! Looking whether a server is back that cannot be reached, and whether a slow one lives.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Error, connect,
    desk::{Class, Desk},
    shared::Shared,
};

impl Shared {
    /// Has one task try until the server is back, or nobody asks any more.
    pub(super) fn look_for_server(self: &Arc<Self>, desk: &mut Desk, class: Class) {
        if desk.looking {
            return;
        }
        desk.looking = true;
        let shared = Arc::clone(self);
        tokio::spawn(async move { shared.attempts(class).await });
    }

    async fn attempts(self: Arc<Self>, mut class: Class) {
        loop {
            let pause = {
                let mut desk = self.desk();
                let pause = desk.pause(Instant::now());
                desk.looking = pause.is_some();
                pause
            };
            let Some(pause) = pause else {
                return;
            };
            if pause > Duration::ZERO {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.poke.notified() => {}
                }
            }
            class = {
                let mut desk = self.desk();
                desk.attempting = true;
                desk.first_line().unwrap_or(class)
            };
            let began = Instant::now();
            let opened = self.open(class).await;
            let mut desk = self.desk();
            desk.attempting = false;
            self.settle(&mut desk, class, began, opened);
        }
    }

    /// Whether a connection can be made, to tell a server that is slow from one that is gone.
    pub(super) async fn lives(&self) -> bool {
        let began = Instant::now();
        // On a long way it takes as long as it took before.
        let usual = Duration::from_millis(self.handshake.load(Ordering::Relaxed));
        let limit = (2 * usual)
            .min(self.times.connect)
            .max(self.times.ping_timeout);
        let connecting = connect(self.connectors.http1.clone(), &self.address, limit);
        // A refusal is an answer too: a server that is being stopped may still finish its work.
        !matches!(
            connecting.await,
            Err(Error::ConnectTimeout { .. } | Error::Unreachable { .. })
        ) || self.short.heard_since(began)
            || self.long.heard_since(began)
    }
}
