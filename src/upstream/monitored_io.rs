//! [`MonitoredIo`]: a connection that records in its [`Activity`] what passes over it, and that
//! can be aborted.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::time::Instant;

/// What passed over a connection. Times are those of [`clock`].
#[derive(Debug)]
pub(super) struct Activity {
    /// When something was last received, or the connection was opened.
    last_read: AtomicU64,
    /// Number of write attempts.
    writes: AtomicU64,
    /// When something was first sent after the last read; 0 where nothing was.
    unanswered_since: AtomicU64,
    aborted: AtomicBool,
    closed: AtomicBool,
    waker: AtomicWaker,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            last_read: AtomicU64::new(clock::now()),
            writes: AtomicU64::new(0),
            unanswered_since: AtomicU64::new(0),
            aborted: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Fails everything that runs on the connection, as if the network had.
    pub(super) fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// When something was last received, or the connection was opened.
    pub(super) fn last_read(&self) -> Instant {
        clock::instant(self.last_read.load(Ordering::Relaxed))
    }

    /// While this stays the same, nothing was sent.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Since when nothing has been received after something was sent.
    pub(super) fn unanswered_since(&self) -> Option<Instant> {
        let since = self.unanswered_since.load(Ordering::Relaxed);
        (since > 0).then(|| clock::instant(since))
    }

    /// Whether the connection was dropped.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn record_read(&self) {
        self.last_read.store(clock::now(), Ordering::Relaxed);
        self.unanswered_since.store(0, Ordering::Relaxed);
    }

    /// Called before each attempt, since one that fails may have sent a part.
    fn record_write(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    fn record_sent(&self) {
        if self.unanswered_since.load(Ordering::Relaxed) == 0 {
            self.unanswered_since.store(clock::now(), Ordering::Relaxed);
        }
    }

    /// Fails if the connection was aborted. Otherwise the task is woken when it is.
    fn check_aborted(&self, cx: &Context<'_>) -> io::Result<()> {
        self.waker.register(cx.waker());
        if self.aborted.load(Ordering::Acquire) {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the API server did not answer liveness probes",
            ));
        }
        Ok(())
    }
}

/// A connection with its [`Activity`]. One task reads and writes it.
pub(super) struct MonitoredIo<T> {
    io: T,
    activity: Arc<Activity>,
    max_read: usize,
    ignores_lost_writes: bool,
}

impl<T> MonitoredIo<T> {
    pub(super) fn new(io: T, activity: Arc<Activity>) -> Self {
        Self {
            io,
            activity,
            max_read: usize::MAX,
            ignores_lost_writes: false,
        }
    }

    /// Limits what one read yields.
    pub(super) fn max_read(mut self, max_read: usize) -> Self {
        self.max_read = max_read;
        self
    }

    /// Lets writes succeed after the server has closed the connection. What is written is lost, and
    /// the reader finds the end. Over HTTP/2 it must get that far: a GOAWAY may precede the end
    /// and say which requests were not processed.
    pub(super) fn ignore_lost_writes(mut self) -> Self {
        self.ignores_lost_writes = true;
        self
    }

    /// What a write or flush yields, given what the connection yields. `lost` gives the
    /// result to report for one whose failure is ignored.
    fn written<R>(
        &self,
        cx: &Context<'_>,
        polled: Poll<io::Result<R>>,
        lost: impl FnOnce() -> R,
    ) -> Poll<io::Result<R>> {
        match polled {
            Poll::Pending => {
                self.activity.check_aborted(cx)?;
                Poll::Pending
            }
            Poll::Ready(Err(error))
                if self.ignores_lost_writes
                    && matches!(
                        error.kind(),
                        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                    ) =>
            {
                Poll::Ready(Ok(lost()))
            }
            Poll::Ready(result) => Poll::Ready(result),
        }
    }
}

impl<T> Drop for MonitoredIo<T> {
    fn drop(&mut self) {
        self.activity.closed.store(true, Ordering::Relaxed);
    }
}

impl<T: Read + Unpin> Read for MonitoredIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let max_read = self.max_read;
        let polled = read_at_most(max_read, Pin::new(&mut self.io), cx, buffer);
        match &polled {
            Poll::Pending => self.activity.check_aborted(cx)?,
            Poll::Ready(Ok(())) => self.activity.record_read(),
            Poll::Ready(Err(_)) => {}
        }
        polled
    }
}

#[allow(unsafe_code)]
fn read_at_most<T: Read>(
    max_read: usize,
    io: Pin<&mut T>,
    cx: &mut Context<'_>,
    mut buffer: ReadBufCursor<'_>,
) -> Poll<io::Result<()>> {
    if buffer.remaining() <= max_read {
        return io.poll_read(cx, buffer);
    }
    // SAFETY: only `ReadBuf` writes to the part, and it uninitialises nothing.
    let part = unsafe { &mut buffer.as_mut()[..max_read] };
    let mut part = ReadBuf::uninit(part);
    let polled = io.poll_read(cx, part.unfilled());
    let read = part.filled().len();
    // SAFETY: the first `read` bytes were just filled.
    unsafe { buffer.advance(read) };
    polled
}

impl<T: Write + Unpin> Write for MonitoredIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.activity.record_write();
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        if polled.is_ready() {
            self.activity.record_sent();
        }
        self.written(cx, polled, || bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.written(cx, polled, || ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        if polled.is_pending() {
            self.activity.check_aborted(cx)?;
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.activity.record_write();
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        if polled.is_ready() {
            self.activity.record_sent();
        }
        self.written(cx, polled, || slices.iter().map(|slice| slice.len()).sum())
    }
}

/// Time as a number that an atomic holds.
mod clock {
    use std::{sync::LazyLock, time::Duration};

    use tokio::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    /// Milliseconds since the first use, plus 1, so that it is never 0.
    pub(super) fn now() -> u64 {
        u64::try_from(START.elapsed().as_millis()).map_or(u64::MAX, |now| now + 1)
    }

    pub(super) fn instant(time: u64) -> Instant {
        *START + Duration::from_millis(time - 1)
    }
}
