//! [`ConnectionState`]: what is known about the current request of a connection.
//!
//! The stream below hyper, hyper's timer and the service above hyper each know a part of it and
//! share it here. All three run in one task, so the atomics order nothing; they only make the state
//! `Send`.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
};

use http::{Request, Uri, header::UPGRADE};

use super::{head_memory::Reservation, unencoded_hash::CutLines};

/// See the module. Clones share one state.
#[derive(Clone, Default)]
pub(super) struct ConnectionState(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Whether a head is awaited: [`SERVING`], [`AWAITED`] or [`STARTED`].
    head: AtomicU8,
    /// The memory that this head holds.
    memory: Reservation,
    /// The bytes received after the head that is being read.
    next: Received,
    /// How many requests have started.
    request_number: AtomicU64,
    /// The bytes received after the head of the current request. Its body comes first.
    current: Received,
    /// The length of that body, or [`CHUNKED`].
    body_length: AtomicU64,
    /// Whether the current request may upgrade the connection.
    upgrade: AtomicBool,
    /// Whether the last bytes received end with an empty line.
    empty_line: AtomicBool,
    /// Whether a response is being written.
    writing: AtomicBool,
    /// Whether the request line of the next request was percent-encoded.
    line_encoded: AtomicBool,
    /// Whether [`Shared::cut_lines`] has any.
    hash_received: AtomicBool,
    /// The lines that may be request lines with a raw `#` since the last encoded request line.
    cut_lines: Mutex<CutLines>,
}

/// A number of bytes received after a head.
#[derive(Default)]
struct Received {
    /// Or [`UNKNOWN`].
    bytes: AtomicU64,
    exact: AtomicBool,
}

/// How many bytes were received after the end of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BytesAfterHead {
    Exactly(usize),
    /// The usual number. It is wrong if the head ended earlier.
    Probably(usize),
    /// The head may not have ended.
    Unknown,
}

/// How much of a request's body was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyProgress {
    /// All of it, or there is no body.
    Complete,
    /// Only a part.
    Incomplete,
    /// This cannot be told without parsing the body.
    Unknown,
}

/// What the next bytes belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextBytes {
    /// A head, which starts with them.
    StartOfHead,
    /// A head whose start is not known.
    Head,
    /// A body, or a protocol other than HTTP.
    Other,
}

/// The number of bytes after the head is not known.
const UNKNOWN: u64 = u64::MAX;

/// The body's length in chunked transfer coding, where it is not known beforehand.
const CHUNKED: u64 = u64::MAX - 1;

/// A request is being served.
const SERVING: u8 = 0;
/// A head is awaited, and no byte of it was received.
const AWAITED: u8 = 1;
/// A part of the head was received.
const STARTED: u8 = 2;

/// Set by hyper's timer.
impl ConnectionState {
    /// hyper starts to wait for a head.
    pub(super) fn await_head(&self) {
        self.0.head.store(AWAITED, Relaxed);
    }

    /// The awaited head is complete, or hyper no longer waits for it.
    pub(super) fn end_head(&self) {
        self.0.head.store(SERVING, Relaxed);
        self.0.memory.release();
    }

    /// Bytes were read.
    pub(super) fn start_head(&self) {
        if self.0.head.load(Relaxed) == AWAITED {
            self.0.head.store(STARTED, Relaxed);
        }
    }

    pub(super) fn is_head_awaited(&self) -> bool {
        self.0.head.load(Relaxed) != SERVING
    }

    pub(super) fn has_head_started(&self) -> bool {
        self.0.head.load(Relaxed) == STARTED
    }
}

/// Set by the service.
impl ConnectionState {
    /// The head was parsed as `request`.
    pub(super) fn start_request(&self, request: &Request<impl http_body::Body>) {
        let shared = &*self.0;
        let body = request.body();
        let length = match body.size_hint().exact() {
            _ if body.is_end_stream() => 0,
            Some(length) => length.min(CHUNKED - 1),
            None => CHUNKED,
        };
        shared.body_length.store(length, Relaxed);
        let upgrade = request.headers().contains_key(UPGRADE);
        shared.upgrade.store(upgrade, Relaxed);
        shared.current.set(
            shared.next.bytes.load(Relaxed),
            shared.next.exact.load(Relaxed),
        );
        let number = shared.request_number.load(Relaxed);
        shared.request_number.store(number.wrapping_add(1), Relaxed);
    }

    /// Returns whether the request that has just been parsed with `target` may have lost the rest of
    /// it: its request line was not percent-encoded, and may have a `#`, where hyper ends the target.
    /// Called once for each request.
    pub(super) fn may_have_cut_target(&self, target: &Uri) -> bool {
        let encoded = self.0.line_encoded.swap(false, Relaxed);
        !encoded && self.0.hash_received.load(Relaxed) && self.cut_lines().may_be_of(target)
    }

    /// Returns how much of the current request's body was received. A chunked body ends with an
    /// empty line, but its content may hold empty lines too.
    pub(super) fn body_progress(&self) -> BodyProgress {
        let Shared {
            current,
            body_length,
            ..
        } = &*self.0;
        let (received, exact) = (current.bytes.load(Relaxed), current.exact.load(Relaxed));
        match body_length.load(Relaxed) {
            0 => BodyProgress::Complete,
            _ if !exact => BodyProgress::Unknown,
            CHUNKED if received > 0 && self.0.empty_line.load(Relaxed) => BodyProgress::Unknown,
            length if length != CHUNKED && received >= length => BodyProgress::Complete,
            _ => BodyProgress::Incomplete,
        }
    }

    /// Returns whether the client may still send bytes that will not be read as a request.
    pub(super) fn may_send_more(&self) -> bool {
        match self.body_progress() {
            _ if self.may_upgrade() => false,
            BodyProgress::Complete => false,
            BodyProgress::Incomplete => true,
            // An empty line at the end of a chunked body most probably is its end.
            BodyProgress::Unknown => !self.0.current.exact.load(Relaxed),
        }
    }

    /// Returns whether the next bytes may belong to a protocol other than HTTP.
    pub(super) fn may_upgrade(&self) -> bool {
        self.0.upgrade.load(Relaxed)
    }
}

/// Set by the stream as it reads.
impl ConnectionState {
    /// Returns how many requests have started.
    pub(super) fn request_number(&self) -> u64 {
        self.0.request_number.load(Relaxed)
    }

    /// Returns what the next bytes belong to, given whether the bytes before them end with an empty
    /// line.
    pub(super) fn next_bytes(&self, after_empty_line: bool) -> NextBytes {
        let Shared {
            current,
            body_length,
            ..
        } = &*self.0;
        let (length, exact) = (body_length.load(Relaxed), current.exact.load(Relaxed));
        let received = current.bytes.load(Relaxed);
        let is_body_complete = exact && received == length;
        if self.is_head_awaited() {
            return if after_empty_line || is_body_complete {
                NextBytes::StartOfHead
            } else {
                NextBytes::Head
            };
        }
        if self.may_upgrade() || length == CHUNKED {
            return NextBytes::Other;
        }
        // During a request, hyper reads ahead only while it holds nothing unread.
        if length == 0 || is_body_complete {
            NextBytes::StartOfHead
        } else if exact && received > length {
            NextBytes::Head
        } else {
            NextBytes::Other
        }
    }

    /// A request line starts that is percent-encoded. hyper has parsed all bytes before it.
    pub(super) fn start_encoded_line(&self) {
        self.0.line_encoded.store(true, Relaxed);
        if self.0.hash_received.swap(false, Relaxed) {
            *self.cut_lines() = CutLines::default();
        }
    }

    /// A line was received that may be a request line with a raw `#` after `before`.
    pub(super) fn received_hash(&self, before: &[u8]) {
        self.0.hash_received.store(true, Relaxed);
        self.cut_lines().add(before);
    }

    fn cut_lines(&self) -> MutexGuard<'_, CutLines> {
        let lines = self.0.cut_lines.lock();
        lines.unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves memory for a head of which `length` bytes were received. Returns whether there is
    /// enough.
    pub(super) fn reserve_for_head(&self, length: usize) -> bool {
        // hyper reads at most once before it awaits a head, which needs no reservation.
        !self.is_head_awaited() || self.0.memory.grow(length)
    }

    /// Bytes of a head were received, and others after its end.
    pub(super) fn head_received(&self, after_head: BytesAfterHead, ends_with_empty_line: bool) {
        let (bytes, exact) = match after_head {
            BytesAfterHead::Exactly(bytes) => (bytes as u64, true),
            BytesAfterHead::Probably(bytes) => (bytes as u64, false),
            BytesAfterHead::Unknown => (UNKNOWN, false),
        };
        self.0.next.set(bytes, exact);
        self.0.empty_line.store(ends_with_empty_line, Relaxed);
    }

    /// Bytes were received that are [`NextBytes::Other`].
    pub(super) fn body_received(&self, bytes: usize, ends_with_empty_line: bool) {
        let current = &self.0.current.bytes;
        let received = current.load(Relaxed);
        if received != UNKNOWN {
            current.store(received.saturating_add(bytes as u64), Relaxed);
        }
        self.0.empty_line.store(ends_with_empty_line, Relaxed);
    }
}

/// Set by the stream as it writes.
impl ConnectionState {
    /// Returns whether hyper has started to write a response and may have more of it.
    pub(super) fn is_writing(&self) -> bool {
        self.0.writing.load(Relaxed)
    }

    pub(super) fn set_writing(&self, writing: bool) {
        self.0.writing.store(writing, Relaxed);
    }
}

impl Received {
    fn set(&self, bytes: u64, exact: bool) {
        self.bytes.store(bytes, Relaxed);
        self.exact.store(exact, Relaxed);
    }
}
