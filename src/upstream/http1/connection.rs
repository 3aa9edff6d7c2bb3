//! [`Connection`]: one HTTP/1.1 connection to the API server.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use http::{HeaderValue, Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, SendRequest},
};
use tokio::sync::Notify;

use super::{
    request::{replayable_copy, to_origin_form},
    request_body::SmallFrames,
};
use crate::{
    dial,
    upstream::{
        awaited_heads::AwaitedHeads,
        body::RequestBody,
        last_disconnect::LastDisconnect,
        monitored_io::{Activity, MonitoredIo},
        send_failure::SendFailure,
    },
};

/// Header lines of a response that an ordinary connection takes. hyper allocates 64 bytes per line
/// for every response. With many more lines, the allocator would get that memory from the system
/// and return it each time.
pub(in crate::upstream) const MAX_HEADERS: usize = 512;
/// Header lines of a response that new connections take after one of this server's responses had
/// more than [`MAX_HEADERS`]. [`http::HeaderMap`] holds about 24,000.
pub(in crate::upstream) const MORE_HEADERS: usize = 16 * 1024;
/// The most bytes of a response's head.
pub(in crate::upstream) const MAX_HEAD: usize = 1024 * 1024 + 64 * 1024;
/// Bytes that one read yields at most. hyper's buffer grows with what a read yields, up to
/// [`MAX_HEAD`], and stays that large while a client does not read.
const MAX_READ: usize = 64 * 1024 - 1;

/// An HTTP/1.1 connection, which carries one request at a time.
pub(in crate::upstream) struct Connection {
    sender: SendRequest<SmallFrames>,
    state: Arc<ConnectionState>,
}

/// What a pool knows of an HTTP/1.1 connection, also while a request has it.
pub(in crate::upstream) struct ConnectionState {
    activity: Arc<Activity>,
    /// It has carried a request before.
    used: AtomicBool,
    /// It carries a request.
    in_use: AtomicBool,
    /// It is kept for the next request.
    idle: AtomicBool,
    /// Its request waits for the head of the response.
    awaited_heads: AwaitedHeads,
    /// Tells that request that the server is unresponsive.
    unresponsive: Notify,
    /// The client of the request, where a pool counts the connections of each.
    client: Mutex<Option<Client>>,
    /// It was made for one upgrade. What is sent on it is unknown, so it counts as silent only
    /// where something was sent and nothing was received since.
    is_upgrade: bool,
    /// How many header lines of a response it takes.
    max_headers: usize,
}

/// The address of a client, where it is known.
struct Client(Option<HeaderValue>);

/// The head of a response is larger than a connection takes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "the response has more than {max_headers} header lines or more than {MAX_HEAD} bytes of them"
)]
pub(in crate::upstream) struct HeadTooLarge {
    pub(in crate::upstream) max_headers: usize,
}

impl Connection {
    /// Starts HTTP/1.1 on `io`. The connection takes up to `max_headers` header lines.
    pub(in crate::upstream) async fn handshake(
        io: dial::Connection,
        max_headers: usize,
        last_disconnect: Arc<LastDisconnect>,
    ) -> hyper::Result<Self> {
        let state = Arc::new(ConnectionState::new(max_headers, false));
        let io = monitored(io, &state);
        let (mut sender, driver) = builder(max_headers).handshake(io).await?;
        let task_state = Arc::clone(&state);
        tokio::spawn(async move {
            let ended = driver.await;
            if task_state.is_wanted() {
                last_disconnect.record();
            }
            if let Err(error) = ended {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "upstream connection ended"
                );
            }
        });
        // It takes no request before its task has begun.
        sender.ready().await?;
        Ok(Self { sender, state })
    }

    pub(in crate::upstream) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }

    /// Whether it can take a request now.
    pub(in crate::upstream) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    pub(in crate::upstream) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Waits until it can take a request.
    pub(in crate::upstream) async fn ready(&mut self) -> hyper::Result<()> {
        self.sender.ready().await
    }

    /// Sends a request for `uri`, and waits for the head of the response. `reused` says that the
    /// connection has carried a request before.
    pub(in crate::upstream) async fn send(
        &mut self,
        mut request: Request<RequestBody>,
        uri: &Uri,
        host: &HeaderValue,
        reused: bool,
    ) -> Result<Response<Incoming>, SendFailure> {
        let replayable = replayable_copy(&request);
        to_origin_form(&mut request, uri, host);
        let max_headers = self.state.max_headers;
        let _awaiting = self.state.awaited_heads.begin();
        tokio::select! {
            biased;
            sent = self.sender.try_send_request(request.map(SmallFrames::new)) => {
                sent.map_err(|mut error| {
                    let unsent = error.take_message().map(|m| m.map(SmallFrames::into_inner));
                    let error = error.into_error();
                    if error.is_parse_too_large() {
                        // A connection that takes more may be made.
                        let replayable = replayable.filter(|_| max_headers < MORE_HEADERS);
                        return SendFailure::broken(HeadTooLarge { max_headers }, replayable);
                    }
                    // A server may close an idle connection at any time, also while a request is
                    // on its way. A safe one may then be sent again (RFC 9112 section 9.3.1).
                    let replayable = replayable.filter(|_| reused);
                    SendFailure::new(error, unsent.or(replayable))
                })
            }
            () = self.state.unresponsive.notified() => Err(SendFailure::unresponsive(replayable)),
        }
    }
}

/// Why an upgrade request got no response.
pub(in crate::upstream) enum UpgradeFailure {
    /// The connection broke or its response cannot be read.
    Broken(Arc<dyn std::error::Error + Send + Sync>),
    /// The server did not answer liveness probes.
    Unresponsive,
}

/// Sends one upgrade request over a connection of its own, which takes up to `max_headers` header
/// lines. `observe` is given the connection's state before anything is sent.
pub(in crate::upstream) async fn upgrade(
    io: dial::Connection,
    mut request: Request<RequestBody>,
    uri: &Uri,
    host: &HeaderValue,
    max_headers: usize,
    observe: impl FnOnce(&Arc<ConnectionState>),
) -> Result<Response<Incoming>, UpgradeFailure> {
    let broken = |error: hyper::Error| {
        UpgradeFailure::Broken(if error.is_parse_too_large() {
            Arc::new(HeadTooLarge { max_headers })
        } else {
            Arc::new(error)
        })
    };
    let state = Arc::new(ConnectionState::new(max_headers, true));
    let io = monitored(io, &state);
    observe(&state);
    let (mut sender, driver) = builder(max_headers).handshake(io).await.map_err(broken)?;
    tokio::spawn(driver.with_upgrades());
    to_origin_form(&mut request, uri, host);
    let _awaiting = state.awaited_heads.begin();
    tokio::select! {
        biased;
        response = sender.send_request(request.map(SmallFrames::new)) => response.map_err(broken),
        () = state.unresponsive.notified() => Err(UpgradeFailure::Unresponsive),
    }
}

fn monitored(io: dial::Connection, state: &ConnectionState) -> MonitoredIo<dial::Connection> {
    MonitoredIo::new(io, Arc::clone(&state.activity)).max_read(MAX_READ)
}

/// How responses are parsed. What older servers and bad gateways do to a head is mended where it
/// has only one meaning (RFC 9112 sections 5.1 and 5.2).
fn builder(max_headers: usize) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_headers(max_headers)
        .max_buf_size(MAX_HEAD)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true);
    builder
}

impl ConnectionState {
    fn new(max_headers: usize, is_upgrade: bool) -> Self {
        Self {
            activity: Arc::new(Activity::new()),
            used: AtomicBool::new(false),
            in_use: AtomicBool::new(false),
            idle: AtomicBool::new(false),
            awaited_heads: AwaitedHeads::default(),
            unresponsive: Notify::new(),
            client: Mutex::new(None),
            is_upgrade,
            max_headers,
        }
    }

    pub(in crate::upstream) fn activity(&self) -> &Activity {
        &self.activity
    }

    pub(in crate::upstream) fn is_upgrade(&self) -> bool {
        self.is_upgrade
    }

    pub(in crate::upstream) fn max_headers(&self) -> usize {
        self.max_headers
    }

    /// Records that the connection is given to a request. Returns whether it has carried one before.
    pub(in crate::upstream) fn begin_request(&self) -> bool {
        self.in_use.store(true, Ordering::Relaxed);
        self.used.swap(true, Ordering::Relaxed)
    }

    pub(in crate::upstream) fn end_request(&self) {
        self.in_use.store(false, Ordering::Relaxed);
    }

    pub(in crate::upstream) fn is_in_use(&self) -> bool {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Records whether the connection is kept for the next request.
    pub(in crate::upstream) fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::Relaxed);
    }

    pub(in crate::upstream) fn awaits_head(&self) -> bool {
        self.awaited_heads.any()
    }

    /// Has the request that waits for its response fail as unresponsive.
    pub(in crate::upstream) fn mark_unresponsive(&self) {
        self.unresponsive.notify_waiters();
    }

    /// Records the client of the request that the connection carries, as far as that is known.
    pub(in crate::upstream) fn set_client(&self, client: Option<HeaderValue>) {
        *self.lock_client() = Some(Client(client));
    }

    pub(in crate::upstream) fn clear_client(&self) {
        *self.lock_client() = None;
    }

    /// Whether it carries a recorded request of `client`.
    pub(in crate::upstream) fn serves(&self, client: Option<&HeaderValue>) -> bool {
        let by = self.lock_client();
        by.as_ref().is_some_and(|Client(by)| by.as_ref() == client)
    }

    fn lock_client(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the pool still uses or keeps the connection, so that its end is the server's doing.
    fn is_wanted(&self) -> bool {
        self.is_in_use() || self.idle.load(Ordering::Relaxed)
    }
}
