//! [`Guarded`]: a connection that can be broken from outside, and that tells whether it lives.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::time::Instant;

/// Breaks a connection: whatever runs on it fails, as if the network had.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    broken: AtomicBool,
    arrivals: AtomicU32,
    /// Since when something was sent and nothing has arrived, in milliseconds of [`clock`]; 0
    /// where all was followed by something.
    owed: AtomicU64,
    gone: AtomicBool,
    waker: AtomicWaker,
}

impl Breaker {
    pub(super) fn trip(&self) {
        self.broken.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Changes whenever something arrived.
    pub(super) fn arrivals(&self) -> u32 {
        self.arrivals.load(Ordering::Relaxed)
    }

    /// Since when nothing has arrived behind what was sent.
    pub(super) fn owed_since(&self) -> Option<Instant> {
        let since = self.owed.load(Ordering::Relaxed);
        (since > 0).then(|| clock::at(since))
    }

    /// The connection is no more.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn arrived(&self) {
        self.arrivals.fetch_add(1, Ordering::Relaxed);
        self.owed.store(0, Ordering::Relaxed);
    }

    fn sent(&self) {
        if self.owed.load(Ordering::Relaxed) == 0 {
            self.owed.store(clock::now(), Ordering::Relaxed);
        }
    }

    /// Fails where it was tripped; else the task is woken when it is.
    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        self.waker.register(cx.waker());
        if self.broken.load(Ordering::Acquire) {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the API server gave no sign of life",
            ));
        }
        Ok(())
    }
}

/// A connection with its breaker. It is read and written by one task.
pub(super) struct Guarded<T> {
    io: T,
    breaker: Arc<Breaker>,
}

impl<T> Guarded<T> {
    pub(super) fn new(io: T, breaker: Arc<Breaker>) -> Self {
        Self { io, breaker }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        self.breaker.gone.store(true, Ordering::Relaxed);
    }
}

impl<T: Read + Unpin> Read for Guarded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = read_some(Pin::new(&mut self.io), cx, buffer);
        match &polled {
            Poll::Pending => self.breaker.check(cx)?,
            Poll::Ready(_) => self.breaker.arrived(),
        }
        polled
    }
}

/// Bytes that are read at once. hyper's buffer grows with what a read gives, up to what an answer's
/// head may have, and keeps that for a client that does not read.
const READ: usize = 64 * 1024 - 1;

#[allow(unsafe_code)]
fn read_some<T: Read>(
    io: Pin<&mut T>,
    cx: &mut Context<'_>,
    mut buffer: ReadBufCursor<'_>,
) -> Poll<io::Result<()>> {
    if buffer.remaining() <= READ {
        return io.poll_read(cx, buffer);
    }
    // SAFETY: what is taken out is written to by `ReadBuf` alone, which uninitialises nothing.
    let part = unsafe { &mut buffer.as_mut()[..READ] };
    let mut part = ReadBuf::uninit(part);
    let polled = io.poll_read(cx, part.unfilled());
    let read = part.filled().len();
    // SAFETY: the first `read` bytes were just filled.
    unsafe { buffer.advance(read) };
    polled
}

impl<T: Write + Unpin> Write for Guarded<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        match polled {
            Poll::Pending => self.breaker.check(cx)?,
            Poll::Ready(_) => self.breaker.sent(),
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        if polled.is_pending() {
            self.breaker.check(cx)?;
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        if polled.is_pending() {
            self.breaker.check(cx)?;
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, buffers);
        match polled {
            Poll::Pending => self.breaker.check(cx)?,
            Poll::Ready(_) => self.breaker.sent(),
        }
        polled
    }
}

/// Time as a number.
mod clock {
    use std::{sync::LazyLock, time::Duration};

    use tokio::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    /// Milliseconds, never 0.
    pub(super) fn now() -> u64 {
        u64::try_from(START.elapsed().as_millis()).map_or(u64::MAX, |now| now + 1)
    }

    pub(super) fn at(time: u64) -> Instant {
        *START + Duration::from_millis(time - 1)
    }
}
