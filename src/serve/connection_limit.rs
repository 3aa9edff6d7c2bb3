//! [`ConnectionLimit`]: how many connections the file descriptors allow, and the response to more.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use http::StatusCode;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::task::TaskTracker;

use super::{
    https::HttpsListener,
    listener::{Accepted, Listener},
    reject,
};
use crate::{
    descriptors,
    proxy::{self, guard::Refusal},
};

/// Descriptors kept for connections to the API server, files and plugins: an eighth of all, within
/// these bounds.
const RESERVE: (usize, usize) = (16, 256);

/// The descriptors that are open at the start, if the system does not say how many.
const OPEN_AT_START: usize = 32;

/// How many rejected clients are given time to read the response.
const MAX_LINGERING: usize = 8;

/// The shortest time between two log lines about rejected connections.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// `Retry-After` for rejected clients.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Limits the number of connections.
pub(super) struct ConnectionLimit {
    max: usize,
    /// Closed when no descriptor is left, so that one more connection can be accepted and rejected.
    spare: Option<File>,
    lingering: TaskTracker,
    logged_at: Option<Instant>,
    /// TCP connections are TLS.
    https: Option<Arc<HttpsListener>>,
}

impl ConnectionLimit {
    /// Derives the limit from the descriptors that the process may open and has open now.
    pub(super) fn measure(https: Option<Arc<HttpsListener>>) -> Self {
        let limit = descriptors::limit();
        let open = descriptors::open().unwrap_or(OPEN_AT_START);
        let reserve = (limit / 8).clamp(RESERVE.0, RESERVE.1) + MAX_LINGERING + 1;
        let max = limit.saturating_sub(open + reserve).max(1);
        tracing::debug!(limit, open, max, "limit of connections");
        Self {
            max,
            spare: open_spare(),
            lingering: TaskTracker::new(),
            logged_at: None,
            https,
        }
    }

    /// Returns whether one more connection may be served.
    pub(super) fn allows_another(&self, connections: &TaskTracker, tunnels: &TaskTracker) -> bool {
        // Each tunnel uses a connection to the API server of its own.
        connections.len() + 2 * tunnels.len() < self.max
    }

    /// Rejects a connection with a 503.
    pub(super) fn reject(&mut self, accepted: Accepted) {
        let response = self.response();
        self.send(accepted, response);
    }

    /// Refuses a connection whose user may not use the proxy.
    pub(super) fn refuse(&self, accepted: Accepted, refusal: Refusal) {
        let status = refusal.status.as_u16();
        tracing::warn!(repeats = refusal.rule, status, "{refusal}");
        self.send(accepted, proxy::encode_refusal(refusal, None));
    }

    fn send(&self, accepted: Accepted, response: Vec<u8>) {
        let https = self.https.clone();
        if self.lingering.len() >= MAX_LINGERING {
            self.reject_at_once(accepted, &response);
            return;
        }
        self.lingering.spawn(async move {
            // A client that breaks off gets no response.
            let _ = send(accepted, https, &response).await;
        });
    }

    /// Writes the response without waiting. A client that speaks TLS gets none.
    fn reject_at_once(&self, accepted: Accepted, response: &[u8]) {
        if self.https.is_none() || matches!(accepted, Accepted::Unix { .. }) {
            reject_at_once(accepted, response);
        }
    }

    /// Accepts the next connection with the spare descriptor and rejects it, so that its client need
    /// not wait in the backlog. Returns whether there was one.
    pub(super) fn reject_next(&mut self, listener: &Listener) -> bool {
        drop(self.spare.take());
        let next = listener.accept().now_or_never();
        let next = next.and_then(Result::ok);
        let is_accepted = next.is_some();
        if let Some((accepted, _)) = next {
            let response = self.response();
            self.reject_at_once(accepted, &response);
        }
        self.spare = open_spare();
        is_accepted
    }

    /// Returns the 503, and logs it from time to time.
    fn response(&mut self) -> Vec<u8> {
        let now = Instant::now();
        if self.logged_at.is_none_or(|at| now - at > LOG_INTERVAL) {
            self.logged_at = Some(now);
            tracing::warn!(
                "no file descriptors for more than {} connections; more are rejected (raise ulimit \
                 -n)",
                self.max
            );
        }
        let refusal = Refusal {
            rule: "connection limit",
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: format!(
                "too many connections: there are file descriptors for {}; close some, or raise \
                 ulimit -n",
                self.max
            ),
            close: true,
        };
        proxy::encode_refusal(refusal, Some(RETRY_AFTER))
    }
}

async fn send(
    accepted: Accepted,
    https: Option<Arc<HttpsListener>>,
    response: &[u8],
) -> io::Result<()> {
    match accepted {
        Accepted::Tcp(stream) => {
            let stream = TcpStream::from_std(stream)?;
            match https {
                None => reject::send_after_request(response, stream).await,
                Some(https) => {
                    let stream = https.accept_to_reject(stream).await?;
                    reject::send_after_request(response, stream).await;
                }
            }
        }
        Accepted::Unix { stream, .. } => {
            reject::send_after_request(response, UnixStream::from_std(stream)?).await;
        }
    }
    Ok(())
}

fn open_spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Sends `response` and closes without waiting. What the client has sent is read first, since
/// closing a connection with unread bytes resets it.
fn reject_at_once(accepted: Accepted, response: &[u8]) {
    let mut request = [0; 8 * 1024];
    // Neither call blocks, and a client that is gone needs no response.
    let _: io::Result<()> = match accepted {
        Accepted::Tcp(mut stream) => {
            let _ = stream.read(&mut request);
            stream.write_all(response)
        }
        Accepted::Unix { mut stream, .. } => {
            let _ = stream.read(&mut request);
            stream.write_all(response)
        }
    };
}
