//! [`Room`]: connections that there are file descriptors for, and what becomes of more.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use http::StatusCode;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::task::TaskTracker;

use super::{Accepted, Listener, farewell};
use crate::{
    descriptors,
    proxy::{self, guard::Refusal},
};

/// Descriptors for what is no client: connections to the API server, files, plugins. An eighth of
/// all, within these bounds.
const RESERVE: (usize, usize) = (16, 256);

/// What a runtime and the rest of the process have open where the system does not say.
const AT_START: usize = 32;

/// How many clients that are turned away may take their time over it.
const LEAVING: usize = 8;

/// Between two lines of the log about it.
const LOG_PAUSE: Duration = Duration::from_secs(10);

/// When a client may ask again.
const RETRY: Duration = Duration::from_secs(1);

/// Knows how many may come in.
pub(super) struct Room {
    most: usize,
    /// Closed where nothing else is left, so that one more can be turned away.
    spare: Option<File>,
    leaving: TaskTracker,
    said: Option<Instant>,
}

impl Room {
    /// By what is open now, of all that the process may open.
    pub(super) fn measured() -> Self {
        let limit = descriptors::limit();
        let open = descriptors::open().unwrap_or(AT_START);
        let reserve = (limit / 8).clamp(RESERVE.0, RESERVE.1) + LEAVING + 1;
        let most = limit.saturating_sub(open + reserve).max(1);
        tracing::debug!(limit, open, most, "room for connections");
        Self {
            most,
            spare: spare(),
            leaving: TaskTracker::new(),
            said: None,
        }
    }

    /// Whether one more may come in.
    pub(super) fn is_there(&self, connections: &TaskTracker, tunnels: &TaskTracker) -> bool {
        // A tunnel has a connection to the API server for itself.
        connections.len() + 2 * tunnels.len() < self.most
    }

    /// Says that there is no room.
    pub(super) fn turn_away(&mut self, accepted: Accepted) {
        let words = self.words();
        if self.leaving.len() >= LEAVING {
            dismiss(accepted, &words);
            return;
        }
        self.leaving.spawn(async move {
            let said =
                match accepted {
                    Accepted::Tcp(stream) => TcpStream::from_std(stream)
                        .map(|s| farewell::answer(&words, s).left_future()),
                    Accepted::Unix(stream) => UnixStream::from_std(stream)
                        .map(|s| farewell::answer(&words, s).right_future()),
                };
            if let Ok(said) = said {
                said.await;
            }
        });
    }

    /// Takes the next client in with the last descriptor, to turn it away, so that nobody waits
    /// at a door that nobody opens. Whether that was possible.
    pub(super) fn turn_away_next(&mut self, listener: &Listener) -> bool {
        drop(self.spare.take());
        let next = listener.accept().now_or_never();
        let next = next.and_then(Result::ok);
        let came = next.is_some();
        if let Some((accepted, _)) = next {
            dismiss(accepted, &self.words());
        }
        self.spare = spare();
        came
    }

    fn words(&mut self) -> Vec<u8> {
        let now = Instant::now();
        if self.said.is_none_or(|said| now - said > LOG_PAUSE) {
            self.said = Some(now);
            tracing::warn!(
                "no file descriptors for more than {} connections; more are turned away (raise \
                 ulimit -n)",
                self.most
            );
        }
        let refusal = Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: format!(
                "too many connections: there are file descriptors for {}; close some, or raise \
                 ulimit -n",
                self.most
            ),
            close: true,
        };
        proxy::encode_refusal(refusal, Some(RETRY))
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Says `words` to a client at once and closes. What it has sent is read first, since what is not
/// makes a reset of the end.
fn dismiss(accepted: Accepted, words: &[u8]) {
    let mut asked = [0; 8 * 1024];
    // Neither waits, and a client that is gone needs no words.
    let _: io::Result<()> = match accepted {
        Accepted::Tcp(mut stream) => {
            let _ = stream.read(&mut asked);
            stream.write_all(words)
        }
        Accepted::Unix(mut stream) => {
            let _ = stream.read(&mut asked);
            stream.write_all(words)
        }
    };
}
