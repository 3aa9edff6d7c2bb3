//! [`Heads`]: what becomes of a request's head that comes too slowly or cannot be taken.
//!
//! hyper has a time limit for heads, which starts before the first byte and so ends connections
//! that are merely idle, and answers of its own to what it cannot take, which are empty. Here its
//! timer is ours, and starts with the first byte; and its answers are withheld, so that the client
//! is told why.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use http::StatusCode;
use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::proxy::guard::Refusal;

/// From a head's first byte to its end.
const TIME: Duration = Duration::from_secs(10);

/// Bytes of a head, the request line included.
pub(super) const SIZE: usize = 64 * 1024;

/// A client's stream, under hyper's server.
pub(super) struct Heads<S> {
    io: TokioIo<S>,
    awaited: Awaited,
    writing: Writing,
    /// Whether hyper had something of its own to say, which was not sent.
    withheld: bool,
}

impl<S> Heads<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            io: TokioIo::new(stream),
            awaited: Awaited::default(),
            writing: Writing::default(),
            withheld: false,
        }
    }

    /// The timer for hyper's `header_read_timeout`, whose value does not matter then.
    pub(super) fn timer(&self) -> HeadTimer {
        HeadTimer {
            awaited: self.awaited.clone(),
            now: Instant::now(),
        }
    }

    /// Whether something of an answer is being written.
    pub(super) fn writing(&self) -> Writing {
        self.writing.clone()
    }

    /// The stream, when hyper has ended.
    pub(super) fn into_inner(self) -> S {
        self.io.into_inner()
    }

    /// What to tell the client, now that hyper gave up with `error`, and over which stream; unless
    /// an answer is under way, or nobody is there to be told.
    pub(super) fn refused(self, error: &hyper::Error) -> Option<(S, Refusal)> {
        let told = self.withheld || (error.is_timeout() && !self.writing.is_under_way());
        told.then(|| (self.io.into_inner(), refusal(error)))
    }

    /// Whether what hyper writes now is its own answer to a head: no request of this connection
    /// is being answered.
    fn withholds(&mut self) -> bool {
        self.withheld |= !self.writing.is_under_way() && self.awaited.is_awaited();
        if !self.withheld {
            self.writing.set(true);
        }
        self.withheld
    }
}

fn refusal(error: &hyper::Error) -> Refusal {
    let (status, message) = if error.is_timeout() {
        (
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "the head of the request did not come within {} s",
                TIME.as_secs()
            ),
        )
    } else if error.is_parse_too_large() {
        (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!(
                "the head of the request has more than 100 fields or {} KiB; send less in it \
                 (each group to act as is a field)",
                SIZE / 1024
            ),
        )
    } else {
        let message = format!("the request cannot be understood: {error}");
        (StatusCode::BAD_REQUEST, message)
    };
    Refusal {
        status,
        message,
        close: true,
    }
}

impl<S: AsyncRead + Unpin> Read for Heads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buffer));
        self.awaited.begin();
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> Write for Heads<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.withholds() {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.withholds() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    /// hyper flushes when it has nothing more to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.writing.set(false);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.withheld {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Whether hyper may have more to write of what it has begun to write. As with [`Awaited`], one
/// task alone knows it.
#[derive(Clone, Default)]
pub(super) struct Writing(Arc<AtomicBool>);

impl Writing {
    pub(super) fn is_under_way(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, under_way: bool) {
        self.0.store(under_way, Ordering::Relaxed);
    }
}

/// Which head is awaited on a connection, as its stream and hyper's timer know it. Both belong to
/// one task, so nothing else is ordered by it.
#[derive(Clone, Default)]
struct Awaited(Arc<AtomicU8>);

impl Awaited {
    /// A request is being served.
    const NONE: u8 = 0;
    /// The next head, of which nothing has come.
    const WHOLE: u8 = 1;
    /// The rest of a head.
    const REST: u8 = 2;

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::Relaxed);
    }

    fn begin(&self) {
        if self.0.load(Ordering::Relaxed) == Self::WHOLE {
            self.set(Self::REST);
        }
    }

    fn is_awaited(&self) -> bool {
        self.0.load(Ordering::Relaxed) != Self::NONE
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::REST
    }
}

/// hyper asks it for a sleep when it begins to wait for a head, polls that whenever the head is
/// not whole, and drops it when it is.
pub(super) struct HeadTimer {
    awaited: Awaited,
    /// Any time: hyper only computes with it, and asks for it with each request.
    now: Instant,
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        self.awaited.set(Awaited::WHOLE);
        Box::pin(UntilLate {
            awaited: self.awaited.clone(),
            timer: None,
        })
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(TIME)
    }

    fn now(&self) -> Instant {
        self.now
    }
}

/// Ends when the head that is awaited is late. Bytes of it that came behind the request before,
/// while that was served, count only when more of them come: until then the connection costs no
/// more than an idle one.
struct UntilLate {
    awaited: Awaited,
    /// Made when the first bytes are not the whole head.
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Sleep for UntilLate {}

impl Future for UntilLate {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.awaited.has_begun() {
            // The first byte wakes the connection, which polls this again.
            return Poll::Pending;
        }
        let timer = self.timer.get_or_insert_with(|| {
            let timer = tokio::time::sleep(TIME);
            Box::pin(timer)
        });
        timer.as_mut().poll(cx)
    }
}

impl Drop for UntilLate {
    fn drop(&mut self) {
        self.awaited.set(Awaited::NONE);
    }
}
