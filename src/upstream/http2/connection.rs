//! [`Connection`]: one HTTP/2 connection to the API server.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::{
    Reason,
    client::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::ping::Pings;
use crate::{
    dial,
    upstream::{
        last_disconnect::LastDisconnect,
        monitored_io::{Activity, MonitoredIo},
    },
};

/// What a server may send on one stream, and on all streams of a connection, before it is read.
/// Readers that have stopped reading must not hold back the others on their connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
/// Memory that h2 may spend on small frames that wait to be read, beyond their content, before it
/// takes the server for an attacker. Log lines arrive as many small frames, maybe on every stream.
const FRAME_BUDGET: usize = 128 * 1024 * 1024;
/// The largest frame that a server may send. A frame is passed on when all of it has arrived.
const MAX_FRAME: u32 = 64 * 1024;
/// Bytes of one stream that wait to be sent.
const SEND_BUFFER: usize = 128 * 1024;
/// Go's servers send up to 1 MiB of headers, in frames of 16 KiB. h2 takes as many frames as would
/// make this much at [`MAX_FRAME`] each, and a quarter more.
const MAX_HEADER_LIST: u32 = 4 * 1024 * 1024;
/// Streams that a server is expected to allow until it has said how many (RFC 9113 section 6.5.2
/// recommends no fewer).
pub(in crate::upstream) const INITIAL_MAX_STREAMS: usize = 100;
/// Cancelled streams on which frames may still arrive.
const MAX_CANCELLED_STREAMS: usize = 1000;

/// An HTTP/2 connection that many requests share. It closes when it and its streams are dropped.
pub(in crate::upstream) struct Connection {
    /// `None` once the connection was retired and its last stream has ended. Without a sender, h2
    /// closes the connection.
    sender: Mutex<Option<SendRequest<Bytes>>>,
    streams: AtomicUsize,
    /// The server's current `SETTINGS_MAX_CONCURRENT_STREAMS` (RFC 9113 section 6.5.2).
    max_streams: AtomicUsize,
    /// It takes no new streams: one of the sides wants none, or it broke.
    closed: AtomicBool,
    /// This side wants no new streams on it, or aborted it.
    retired: AtomicBool,
    pings: tokio::sync::Mutex<Pings>,
    activity: Arc<Activity>,
}

/// One stream of those that the server allows on a connection, given back on drop.
pub(in crate::upstream) struct Stream(Arc<Connection>);

impl Connection {
    /// Starts HTTP/2 on `io`.
    pub(in crate::upstream) async fn handshake(
        io: dial::Connection,
        last_disconnect: Arc<LastDisconnect>,
    ) -> Result<Arc<Self>, h2::Error> {
        let activity = Arc::new(Activity::new());
        let io = MonitoredIo::new(io, Arc::clone(&activity)).ignore_lost_writes();
        let (sender, mut driver) = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .data_frame_budget(FRAME_BUDGET)
            .max_frame_size(MAX_FRAME)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEADER_LIST)
            .initial_max_send_streams(INITIAL_MAX_STREAMS)
            .max_concurrent_reset_streams(MAX_CANCELLED_STREAMS)
            // Frames may arrive for streams that were cancelled longer ago than h2 remembers.
            .max_local_error_reset_streams(None)
            .enable_push(false)
            .handshake(TokioIo::new(io))
            .await?;
        let pings = Pings::new(driver.ping_pong().ok_or(Reason::INTERNAL_ERROR)?);
        let connection = Arc::new(Self {
            sender: Mutex::new(Some(sender)),
            streams: AtomicUsize::new(0),
            max_streams: AtomicUsize::new(INITIAL_MAX_STREAMS),
            closed: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            pings: tokio::sync::Mutex::new(pings),
            activity,
        });
        tokio::spawn(drive(driver, Arc::downgrade(&connection), last_disconnect));
        Ok(connection)
    }

    /// Whether it takes new requests: it is not retired, not broken, and the server has not sent a
    /// GOAWAY.
    pub(in crate::upstream) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::SeqCst)
    }

    /// The number of streams in use.
    pub(in crate::upstream) fn streams(&self) -> usize {
        self.streams.load(Ordering::SeqCst)
    }

    /// The number of streams that the server allows.
    pub(in crate::upstream) fn max_streams(&self) -> usize {
        self.max_streams.load(Ordering::Relaxed)
    }

    /// Whether a stream can be reserved.
    pub(in crate::upstream) fn has_capacity(&self) -> bool {
        self.is_open() && self.streams() < self.max_streams()
    }

    /// Takes one of the connection's streams, where it is open and has one left.
    pub(in crate::upstream) fn reserve(self: &Arc<Self>) -> Option<Stream> {
        if !self.is_open() {
            return None;
        }
        let max_streams = self.max_streams();
        self.streams
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| {
                (n < max_streams).then_some(n + 1)
            })
            .ok()
            .map(|_| Stream(Arc::clone(self)))
    }

    /// Takes the stream that the connection was opened for, whatever its limit.
    pub(in crate::upstream) fn reserve_first(self: &Arc<Self>) -> Stream {
        self.streams.fetch_add(1, Ordering::SeqCst);
        Stream(Arc::clone(self))
    }

    /// Takes no new requests from now on. The connection closes when its streams have ended.
    pub(in crate::upstream) fn retire(&self) {
        self.mark_retired();
        self.close_if_unused();
    }

    /// Breaks the connection at once. Everything that runs on it fails.
    pub(in crate::upstream) fn abort(&self) {
        self.mark_retired();
        self.activity.abort();
    }

    fn mark_retired(&self) {
        self.retired.store(true, Ordering::Relaxed);
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Returns when the server has answered a PING that was sent from now on, or an earlier one
    /// whose answer had not arrived yet.
    pub(in crate::upstream) async fn ping(&self) -> Result<(), h2::Error> {
        let began = Instant::now();
        let mut pings = self.pings.lock().await;
        if pings.answered_since(began) {
            return Ok(());
        }
        pings.ping().await
    }

    /// When something was last received, or the connection was opened.
    pub(in crate::upstream) fn last_read(&self) -> Instant {
        self.activity.last_read()
    }

    /// Learns from the driver what the server has announced.
    fn update(&self, max_streams: usize, cx: &mut Context<'_>) {
        self.max_streams.store(max_streams, Ordering::Relaxed);
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        // Never pending, since clones of this handle send the requests. An error shows that the
        // connection has closed.
        if let Some(sender) = sender.as_mut()
            && let Poll::Ready(Err(_)) = sender.poll_ready(cx)
        {
            self.closed.store(true, Ordering::SeqCst);
        }
    }

    fn close_if_unused(&self) {
        if self.streams() == 0 && !self.is_open() {
            let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
            *sender = None;
        }
    }
}

impl Stream {
    /// What sends a request; `None` where the connection has closed.
    pub(super) fn sender(&self) -> Option<SendRequest<Bytes>> {
        let sender = &self.0.sender;
        let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.clone()
    }

    /// While this stays the same, nothing was sent on the connection.
    pub(super) fn writes(&self) -> u64 {
        self.0.activity.writes()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.close_if_unused();
        }
    }
}

type Driver = h2::client::Connection<TokioIo<MonitoredIo<dial::Connection>>>;

/// Reads and writes a connection until it ends.
async fn drive(
    mut driver: Driver,
    connection: Weak<Connection>,
    last_disconnect: Arc<LastDisconnect>,
) {
    let ended = poll_fn(|cx| {
        let polled = Pin::new(&mut driver).poll(cx);
        if let Some(connection) = connection.upgrade() {
            connection.update(driver.max_concurrent_send_streams(), cx);
        }
        polled
    })
    .await;
    if let Some(connection) = connection.upgrade() {
        connection.closed.store(true, Ordering::SeqCst);
        if !connection.retired.load(Ordering::Relaxed) {
            last_disconnect.record();
        }
    }
    if let Err(error) = ended {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "upstream connection ended"
        );
    }
}
