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
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use http::StatusCode;
use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{exchange::Exchange, farewell::Linger, head_memory, inbound::Inbound};
use crate::proxy::guard::Refusal;

/// From a head's first byte to its end.
const TIME: Duration = Duration::from_secs(10);

/// Bytes of a head, the request line included.
pub(super) const SIZE: usize = 64 * 1024;

/// When a client may ask again whose head found no memory.
const RETRY: Duration = Duration::from_secs(1);

/// A client's stream, under hyper's server.
pub(super) struct Heads<S> {
    io: TokioIo<Inbound<S>>,
    exchange: Exchange,
    /// Whether hyper had something of its own to say, which was not sent.
    withheld: bool,
    /// Reads what still comes at the end.
    linger: Option<Linger>,
}

impl<S> Heads<S> {
    pub(super) fn new(stream: S) -> Self {
        let exchange = Exchange::default();
        Self {
            io: TokioIo::new(Inbound::new(stream, exchange.clone())),
            exchange,
            withheld: false,
            linger: None,
        }
    }

    /// The timer for hyper's `header_read_timeout`, whose value does not matter then.
    pub(super) fn timer(&self) -> HeadTimer {
        HeadTimer {
            exchange: self.exchange.clone(),
            now: Instant::now(),
        }
    }

    /// What is known of the request that is under way.
    pub(super) fn exchange(&self) -> Exchange {
        self.exchange.clone()
    }

    /// The stream, when hyper has ended.
    pub(super) fn into_inner(self) -> S {
        self.io.into_inner().into_inner()
    }

    /// What to tell the client, now that hyper gave up with `error`, when it may ask again, and
    /// over which stream; unless an answer is under way, or nobody is there to be told.
    pub(super) fn refused(self, error: &hyper::Error) -> Option<(S, Refusal, Option<Duration>)> {
        let crowded = self.io.inner().is_crowded();
        let told =
            self.withheld || ((crowded || error.is_timeout()) && !self.exchange.is_writing());
        let (refusal, retry) = if crowded {
            (crowded_out(), Some(RETRY))
        } else {
            (refusal(error, self.io.inner().head_lengths()), None)
        };
        told.then(|| (self.into_inner(), refusal, retry))
    }

    /// Whether what hyper writes now is its own answer to a head: no request of this connection
    /// is being answered.
    fn withholds(&mut self) -> bool {
        self.withheld |= !self.exchange.is_writing() && self.exchange.is_head_awaited();
        if !self.withheld {
            self.exchange.set_writing(true);
        }
        self.withheld
    }
}

fn crowded_out() -> Refusal {
    Refusal {
        status: StatusCode::SERVICE_UNAVAILABLE,
        message: format!(
            "too many requests with large heads are coming at once; send less than {} KiB of \
             header fields, or try again",
            head_memory::FREE / 1024
        ),
        close: true,
    }
}

fn refusal(error: &hyper::Error, lengths: Option<(usize, usize)>) -> Refusal {
    let (status, message) = if error.is_timeout() {
        (
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "the head of the request did not come within {} s",
                TIME.as_secs()
            ),
        )
    } else if error.is_parse_too_large() {
        let message = match lengths {
            Some((received, encoded)) if received <= SIZE && encoded > SIZE => format!(
                "the head of the request has more than {} KiB once its target is percent-encoded \
                 ({received} bytes received, {encoded} bytes encoded); send a shorter target",
                SIZE / 1024
            ),
            _ => format!(
                "the head of the request has more than 100 fields or {} KiB; send less in it \
                 (each group to act as is a field)",
                SIZE / 1024
            ),
        };
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message)
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
        self.exchange.begin_head();
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Heads<S> {
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
        self.exchange.set_writing(false);
        Poll::Ready(Ok(()))
    }

    /// A request whose body is still coming when its answer has been written is read on for a
    /// while, so that the answer is not lost in a reset.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.withheld {
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        if let Some(linger) = &mut this.linger {
            return linger.poll(this.io.inner_mut().get_mut(), cx).map(Ok);
        }
        ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        if !this.exchange.may_send_more() {
            return Poll::Ready(Ok(()));
        }
        let linger = this.linger.insert(Linger::new());
        linger.poll(this.io.inner_mut().get_mut(), cx).map(Ok)
    }
}

/// hyper asks it for a sleep when it begins to wait for a head, polls that whenever the head is
/// not whole, and drops it when it is.
pub(super) struct HeadTimer {
    exchange: Exchange,
    /// Any time: hyper only computes with it, and asks for it with each request.
    now: Instant,
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        self.exchange.await_head();
        Box::pin(UntilLate {
            exchange: self.exchange.clone(),
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
    exchange: Exchange,
    /// Made when the first bytes are not the whole head.
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Sleep for UntilLate {}

impl Future for UntilLate {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.exchange.has_head_begun() {
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
        self.exchange.end_head();
    }
}
