//! One HTTP/2 connection and its streams, spoken through h2 itself: no task, channel or lock
//! that others wait for stands between a request and its stream.

mod answer;
mod line;
mod sending;

pub(super) use answer::Answer;

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use h2::{
    Reason,
    client::{Builder, SendRequest},
};
use http::{
    Request, Response, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
    request::Parts,
};
use http_body::Body as _;
use tokio::task::AbortHandle;

use super::{RequestBody, Unanswered, circuit::LastLoss};
use crate::dial::Connection;
use line::{Line, Pulse};
use sending::Sending;

/// What a server may send on one stream, and on all of a connection's, before it is read:
/// readers that have stopped reading must not hold back the others on their connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
/// How much of their own upkeep small frames that wait to be read may cost, before h2 takes the
/// server for an attacker: all streams of a connection may be full of lines of a log.
const FRAME_BUDGET: usize = 128 * 1024 * 1024;
/// The largest frame that a server may send. A frame is passed on when it has come as a whole.
const MAX_FRAME: u32 = 64 * 1024;
/// What waits on one stream to be sent.
const SEND_BUFFER: usize = 128 * 1024;
/// Go's servers send up to 1 MiB of headers, in frames of 16 KiB. As many frames are taken as would
/// make this much at [`MAX_FRAME`] each, and a quarter more.
const MAX_HEADER_LIST: u32 = 4 * 1024 * 1024;
/// Streams until the server has said how many it allows (RFC 9113 section 6.5.2 recommends that
/// it be no fewer).
const FIRST_STREAMS: usize = 100;
/// Streams that we cancelled and on which frames may still be under way.
const CANCELLED_STREAMS: usize = 1000;

type Sender = SendRequest<Bytes>;

/// A connection that many requests share. It closes when it and its streams are gone.
pub(super) struct Http2 {
    /// `None` once it was retired and its last stream has ended: then h2 closes the connection.
    sender: Mutex<Option<Sender>>,
    in_flight: AtomicUsize,
    /// The server's `SETTINGS_MAX_CONCURRENT_STREAMS` (RFC 9113 section 6.5.2), as it changes.
    limit: AtomicUsize,
    /// Neither we nor the server want new streams on it, or it broke.
    closed: AtomicBool,
    /// We want no new streams on it, or broke it.
    retired: AtomicBool,
    pings: tokio::sync::Mutex<Pings>,
    pulse: Arc<Pulse>,
    driver: AbortHandle,
}

/// The right to one stream of a connection's allowance, given back on drop.
pub(super) struct Stream(Arc<Http2>);

struct Pings {
    ponger: h2::PingPong,
    /// One was sent, and who sent it did not wait for its answer.
    under_way: bool,
    /// When the last one was sent that was answered.
    answered: Option<Instant>,
}

impl Http2 {
    /// Begins to speak HTTP/2 on `connection`.
    pub(super) async fn handshake(
        connection: Connection,
        last_loss: Arc<LastLoss>,
    ) -> Result<Arc<Self>, h2::Error> {
        let pulse = Arc::new(Pulse::new());
        let line = Line::new(connection, Arc::clone(&pulse));
        let (sender, mut driver) = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .data_frame_budget(FRAME_BUDGET)
            .max_frame_size(MAX_FRAME)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEADER_LIST)
            .initial_max_send_streams(FIRST_STREAMS)
            .max_concurrent_reset_streams(CANCELLED_STREAMS)
            // Of frames for streams that we cancelled longer ago than h2 remembers: no offence.
            .max_local_error_reset_streams(None)
            .enable_push(false)
            .handshake(line)
            .await?;
        let ponger = driver.ping_pong().ok_or(Reason::INTERNAL_ERROR)?;
        Ok(Arc::new_cyclic(|this| Self {
            sender: Mutex::new(Some(sender)),
            in_flight: AtomicUsize::new(0),
            limit: AtomicUsize::new(FIRST_STREAMS),
            closed: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            pings: tokio::sync::Mutex::new(Pings {
                ponger,
                under_way: false,
                answered: None,
            }),
            pulse,
            driver: tokio::spawn(drive(driver, this.clone(), last_loss)).abort_handle(),
        }))
    }

    /// Whether it may take new requests: it is neither retired, nor broken, nor has the server
    /// said that it goes away.
    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::SeqCst)
    }

    /// The streams that are reserved.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// The stream that the connection was opened for, whatever its limit.
    pub(super) fn reserve_first(self: &Arc<Self>) -> Stream {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        Stream(Arc::clone(self))
    }

    /// How many streams the server allows.
    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Whether a stream can be reserved.
    pub(super) fn has_room(&self) -> bool {
        self.is_open() && self.in_flight() < self.limit()
    }

    /// Takes one of the connection's streams, where it is open and has one left.
    pub(super) fn reserve(self: &Arc<Self>) -> Option<Stream> {
        if !self.is_open() {
            return None;
        }
        let limit = self.limit.load(Ordering::Relaxed);
        self.in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| {
                (n < limit).then_some(n + 1)
            })
            .ok()
            .map(|_| Stream(Arc::clone(self)))
    }

    /// Has it take no new request; it closes when its streams have ended.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        self.closed.store(true, Ordering::SeqCst);
        self.end_where_done();
    }

    /// Breaks it at once: what runs on it ends with an error.
    pub(super) fn cut(&self) {
        self.retired.store(true, Ordering::Relaxed);
        self.closed.store(true, Ordering::SeqCst);
        self.driver.abort();
    }

    /// Comes back when the server has answered a PING that was sent from now on, or one before
    /// whose answer had not come.
    pub(super) async fn ping(&self) -> Result<(), h2::Error> {
        let asked = Instant::now();
        let mut pings = self.pings.lock().await;
        if pings.answered.is_some_and(|sent| sent >= asked) {
            return Ok(());
        }
        pings.ping().await
    }

    /// When it last received anything.
    pub(super) fn heard(&self) -> Instant {
        self.pulse.heard()
    }

    fn sender(&self) -> Option<Sender> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.clone()
    }

    /// What the driver learned from the server.
    fn learn(&self, limit: usize, cx: &mut Context<'_>) {
        self.limit.store(limit, Ordering::Relaxed);
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        // Never pending: only clones of it send.
        if let Some(sender) = sender.as_mut()
            && let Poll::Ready(Err(_)) = sender.poll_ready(cx)
        {
            self.closed.store(true, Ordering::SeqCst);
        }
    }

    fn end_where_done(&self) {
        if self.in_flight() == 0 && !self.is_open() {
            let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
            *sender = None;
        }
    }
}

impl Pings {
    async fn ping(&mut self) -> Result<(), h2::Error> {
        if self.under_way {
            let mut early = true;
            poll_fn(|cx| {
                let polled = self.ponger.poll_pong(cx);
                early &= polled.is_ready();
                polled
            })
            .await?;
            self.under_way = false;
            // An answer that was there already tells nothing of now.
            if !early {
                return Ok(());
            }
        }
        let sent = Instant::now();
        self.ponger.send_ping(h2::Ping::opaque())?;
        self.under_way = true;
        poll_fn(|cx| self.ponger.poll_pong(cx)).await?;
        self.under_way = false;
        self.answered = Some(sent);
        Ok(())
    }
}

impl Stream {
    /// Sends a request, which gets `uri`, and waits for the head of its answer, or until
    /// `silent`. Its body may be on its way for longer. Dropped, it cancels the request at the
    /// server.
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
        uri: &Uri,
        silent: impl Future<Output = ()>,
    ) -> Result<Response<Answer>, Unanswered> {
        *request.uri_mut() = uri.clone();
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.remove(HOST);
        // From an attempt over HTTP/1.1; HTTP/2 knows none (RFC 9113 section 8.2.2).
        headers.remove(TRANSFER_ENCODING);
        let Some(mut sender) = self.0.sender() else {
            let error = io::Error::from(io::ErrorKind::NotConnected);
            return Err(Unanswered::unprocessed(error, request));
        };
        let (head, body) = request.into_parts();
        let bodiless = body.is_end_stream();
        let writes = self.0.pulse.writes();
        let (mut response, stream) = match sender.send_request(asked(&head), bodiless) {
            Ok(begun) => begun,
            Err(error) => {
                return Err(Unanswered::unprocessed(
                    error,
                    Request::from_parts(head, body),
                ));
            }
        };
        let mut sending = (!bodiless).then(|| Sending::new(stream, body.replayable()));
        let answered = poll_fn(|cx| {
            if let Some(sending) = &mut sending {
                // Whether it ends well or badly, the answer will tell.
                let _ = sending.poll(cx);
            }
            Pin::new(&mut response).poll(cx)
        });
        // What changes nothing and has no body can be sent twice (RFC 9110 section 9.2.1).
        let spare = |head: Parts| {
            let can = bodiless && head.method.is_safe();
            can.then(|| Request::from_parts(head, RequestBody::Empty))
        };
        let answered = tokio::select! {
            biased;
            answered = answered => answered,
            () = silent => return Err(Unanswered::silent(spare(head))),
        };
        match answered {
            Ok(response) => Ok(Answer::of(response, sending)),
            Err(error) if is_unprocessed(&error) || self.0.pulse.writes() == writes => {
                let body = match sending {
                    None => Some(RequestBody::Empty),
                    Some(sending) => sending.into_body(),
                };
                let again = body.map(|body| Request::from_parts(head, body));
                Err(Unanswered::new(error, again))
            }
            // The connection broke; a reset is about the request.
            Err(error) if error.is_io() => Err(Unanswered::broken(error, spare(head))),
            Err(error) => Err(Unanswered::new(error, None)),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.end_where_done();
        }
    }
}

/// A copy of a request's head: h2 takes one, and the other may have to be sent again.
fn asked(head: &Parts) -> Request<()> {
    let mut asked = Request::new(());
    *asked.method_mut() = head.method.clone();
    *asked.uri_mut() = head.uri.clone();
    *asked.version_mut() = head.version;
    *asked.headers_mut() = head.headers.clone();
    asked
}

/// Whether the server says that it did nothing with the request: its GOAWAY names an earlier
/// stream as the last one (RFC 9113 section 6.8; h2 ends no other streams by it), or it refused
/// the stream (section 8.7).
fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}

/// Moves a connection's bytes until it ends.
async fn drive(
    mut driver: h2::client::Connection<Line>,
    connection: Weak<Http2>,
    last_loss: Arc<LastLoss>,
) {
    let ended = poll_fn(|cx| {
        let polled = Pin::new(&mut driver).poll(cx);
        if let Some(connection) = connection.upgrade() {
            connection.learn(driver.max_concurrent_send_streams(), cx);
        }
        polled
    })
    .await;
    if let Some(connection) = connection.upgrade() {
        connection.closed.store(true, Ordering::SeqCst);
        if !connection.retired.load(Ordering::Relaxed) {
            last_loss.note();
        }
    }
    if let Err(error) = ended {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "upstream connection ended"
        );
    }
}

#[cfg(test)]
mod tests;
