//! [`Exchange`]: what is known of the request that a connection is busy with.
//!
//! The stream under hyper, hyper's timer and the service above it know a part each, and tell one
//! another here. All three belong to one task, so nothing is ordered by the atomics: they only
//! make the whole of it `Send`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
};

use http::{Request, header::UPGRADE};

use super::head_memory::Share;

/// See the module. Clones are one exchange.
#[derive(Clone, Default)]
pub(super) struct Exchange(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Which head is awaited.
    awaited: AtomicU8,
    /// What that head holds of the memory for heads.
    share: Share,
    /// What has come behind the head that is being read.
    next: Came,
    /// How many requests there were.
    number: AtomicU64,
    /// What has come behind the head of the last one, its body foremost.
    behind: Came,
    /// The length of its body.
    length: AtomicU64,
    /// Whether it may become something else than HTTP.
    upgrade: AtomicBool,
    /// Whether the last bytes were an empty line.
    empty_line: AtomicBool,
    /// Whether something of an answer is being written.
    writing: AtomicBool,
}

/// Bytes that have come behind a head.
#[derive(Default)]
struct Came {
    bytes: AtomicU64,
    exact: AtomicBool,
}

/// How many bytes have come behind a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    /// Certainly so many.
    Known(usize),
    /// As many as that, as a rule.
    Guessed(usize),
    /// The head may not have ended.
    Unknown,
}

/// How much of a request's body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// All of it, or there is none.
    Whole,
    /// A part.
    Coming,
    /// Nobody can tell without reading it.
    Unclear,
}

/// No request's body is as long.
const UNKNOWN: u64 = u64::MAX;

/// The length of a body in chunks.
const CHUNKED: u64 = u64::MAX - 1;

/// A request is being served.
const NONE: u8 = 0;
/// The next head is awaited, and nothing of it has come.
const WHOLE: u8 = 1;
/// The rest of a head is awaited.
const REST: u8 = 2;

/// What hyper's timer says: which head is awaited.
impl Exchange {
    /// hyper begins to wait for a head.
    pub(super) fn await_head(&self) {
        self.0.awaited.store(WHOLE, Relaxed);
    }

    /// The head that was awaited is whole, or given up.
    pub(super) fn end_head(&self) {
        self.0.awaited.store(NONE, Relaxed);
        self.0.share.release();
    }

    /// Something was read.
    pub(super) fn begin_head(&self) {
        if self.0.awaited.load(Relaxed) == WHOLE {
            self.0.awaited.store(REST, Relaxed);
        }
    }

    pub(super) fn is_head_awaited(&self) -> bool {
        self.0.awaited.load(Relaxed) != NONE
    }

    pub(super) fn has_head_begun(&self) -> bool {
        self.0.awaited.load(Relaxed) == REST
    }
}

/// What the service says: how the request goes on.
impl Exchange {
    /// The head has become `request`.
    pub(super) fn begin(&self, request: &Request<impl http_body::Body>) {
        let shared = &*self.0;
        let body = request.body();
        let length = match body.size_hint().exact() {
            _ if body.is_end_stream() => 0,
            Some(length) => length.min(CHUNKED - 1),
            None => CHUNKED,
        };
        shared.length.store(length, Relaxed);
        let upgrade = request.headers().contains_key(UPGRADE);
        shared.upgrade.store(upgrade, Relaxed);
        shared.behind.set(
            shared.next.bytes.load(Relaxed),
            shared.next.exact.load(Relaxed),
        );
        let number = shared.number.load(Relaxed);
        shared.number.store(number.wrapping_add(1), Relaxed);
    }

    /// How much of the request's body has come. One in chunks ends with an empty line, as other
    /// things do.
    pub(super) fn body(&self) -> Body {
        let Shared { behind, length, .. } = &*self.0;
        let (came, exact) = (behind.bytes.load(Relaxed), behind.exact.load(Relaxed));
        match length.load(Relaxed) {
            0 => Body::Whole,
            _ if !exact => Body::Unclear,
            CHUNKED if came > 0 && self.0.empty_line.load(Relaxed) => Body::Unclear,
            length if length != CHUNKED && came >= length => Body::Whole,
            _ => Body::Coming,
        }
    }

    /// Whether the client may still send what nobody will read as a request.
    pub(super) fn may_send_more(&self) -> bool {
        let behind = &self.0.behind;
        match self.body() {
            _ if self.may_upgrade() => false,
            Body::Whole => false,
            Body::Coming => true,
            // Most probably it has ended, if it was in chunks.
            Body::Unclear => !behind.exact.load(Relaxed),
        }
    }

    /// Whether what comes may be no HTTP.
    pub(super) fn may_upgrade(&self) -> bool {
        self.0.upgrade.load(Relaxed)
    }
}

/// What the stream says: what has come.
impl Exchange {
    /// How many requests there were.
    pub(super) fn number(&self) -> u64 {
        self.0.number.load(Relaxed)
    }

    /// Whether what comes next belongs to a head, and then whether that begins with it;
    /// `after_empty_line` tells how what came before ended.
    pub(super) fn begins_head(&self, after_empty_line: bool) -> Option<bool> {
        let Shared { behind, length, .. } = &*self.0;
        let (length, exact) = (length.load(Relaxed), behind.exact.load(Relaxed));
        let behind = behind.bytes.load(Relaxed);
        if self.is_head_awaited() {
            return Some(after_empty_line || (exact && behind == length));
        }
        if self.may_upgrade() || length == CHUNKED {
            return None;
        }
        // hyper looks for the client's end only while it holds nothing.
        let begins = length == 0 || (exact && behind == length);
        (begins || (exact && behind > length)).then_some(begins)
    }

    /// Whether there is memory for a head of which `length` bytes have come.
    pub(super) fn head_may_hold(&self, length: usize) -> bool {
        // Of what comes before it is awaited hyper takes one read.
        !self.is_head_awaited() || self.0.share.grow(length)
    }

    /// Bytes of a head have come, and `behind` it so many.
    pub(super) fn head_came(&self, behind: Pending, empty_line: bool) {
        let (bytes, exact) = match behind {
            Pending::Known(bytes) => (bytes as u64, true),
            Pending::Guessed(bytes) => (bytes as u64, false),
            Pending::Unknown => (UNKNOWN, false),
        };
        self.0.next.set(bytes, exact);
        self.0.empty_line.store(empty_line, Relaxed);
    }

    /// Bytes have come that belong to no head, as far as is known.
    pub(super) fn body_came(&self, bytes: usize, empty_line: bool) {
        let behind = &self.0.behind;
        let came = behind.bytes.load(Relaxed);
        if came != UNKNOWN {
            behind
                .bytes
                .store(came.saturating_add(bytes as u64), Relaxed);
        }
        self.0.empty_line.store(empty_line, Relaxed);
    }
}

/// What hyper writes.
impl Exchange {
    /// Whether hyper may have more to write of what it has begun to write.
    pub(super) fn is_writing(&self) -> bool {
        self.0.writing.load(Relaxed)
    }

    pub(super) fn set_writing(&self, under_way: bool) {
        self.0.writing.store(under_way, Relaxed);
    }
}

impl Came {
    fn set(&self, bytes: u64, exact: bool) {
        self.bytes.store(bytes, Relaxed);
        self.exact.store(exact, Relaxed);
    }
}
