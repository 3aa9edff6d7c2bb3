//! One HTTP/2 connection and its streams.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{
    Request, Response, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http2},
};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::RequestBody;
use crate::dial::Connection;

/// As client-go: a PING after 30 s without a frame, the end 15 s later.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// What a server may send on one stream, and on all of a connection's, before we read it:
/// readers that have stopped reading must not hold back the others on their connection.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
/// Go's servers send up to 1 MiB of headers; hyper's default of 16 KiB is too small.
const MAX_HEADER_LIST: u32 = 1024 * 1024;

/// A connection that many requests share.
pub(super) struct Http2 {
    sender: http2::SendRequest<RequestBody>,
    in_flight: AtomicUsize,
    /// The server's `SETTINGS_MAX_CONCURRENT_STREAMS` (RFC 9113 section 6.5.2), as it changes.
    limit: AtomicUsize,
}

/// The right to one stream of a connection's allowance, given back on drop.
pub(super) struct Stream(Arc<Http2>);

impl Http2 {
    /// Begins to speak HTTP/2 on `connection`.
    pub(super) async fn handshake(connection: Connection) -> hyper::Result<Arc<Self>> {
        let (sender, mut driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(connection)
            .await?;
        let opened = Arc::new(Self {
            sender,
            in_flight: AtomicUsize::new(0),
            limit: AtomicUsize::new(driver.current_max_send_streams()),
        });
        // Weak: the driver ends when no sender is left, so it must not hold one.
        let shared = Arc::downgrade(&opened);
        tokio::spawn(async move {
            let ended = poll_fn(|cx| {
                let polled = Pin::new(&mut driver).poll(cx);
                if let (Poll::Pending, Some(shared)) = (&polled, shared.upgrade()) {
                    shared
                        .limit
                        .store(driver.current_max_send_streams(), Ordering::Relaxed);
                }
                polled
            })
            .await;
            if let Err(error) = ended {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "upstream connection ended"
                );
            }
        });
        Ok(opened)
    }

    /// Whether it may still take requests.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// The stream that the connection was opened for, whatever its limit.
    pub(super) fn reserve_first(self: &Arc<Self>) -> Stream {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Stream(Arc::clone(self))
    }

    /// Takes one of the connection's streams, where it has one left.
    pub(super) fn reserve(self: &Arc<Self>) -> Option<Stream> {
        if !self.sender.is_ready() {
            return None;
        }
        let limit = self.limit.load(Ordering::Relaxed);
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < limit).then_some(n + 1)
            })
            .ok()
            .map(|_| Stream(Arc::clone(self)))
    }
}

impl Stream {
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
        uri: &Uri,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri.clone();
        request.headers_mut().remove(HOST);
        // From an attempt over HTTP/1.1; HTTP/2 knows none (RFC 9113 section 8.2.2).
        request.headers_mut().remove(TRANSFER_ENCODING);
        self.0.sender.clone().try_send_request(request).await
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
