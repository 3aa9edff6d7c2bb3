//! A connection's bytes, and what they tell of it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::dial::Connection;

/// What passed over a connection.
pub(super) struct Pulse {
    opened: Instant,
    /// When something was last received, in milliseconds since `opened`.
    heard: AtomicU64,
    /// How often something was to be sent.
    writes: AtomicU64,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            heard: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        }
    }

    pub(super) fn heard(&self) -> Instant {
        self.opened + Duration::from_millis(self.heard.load(Ordering::Relaxed))
    }

    /// While it stays the same, nothing was sent.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    fn hear(&self) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(since, Ordering::Relaxed);
    }

    /// Also of what then fails: a part of it may have gone.
    fn write(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }
}

/// Notes what passes.
pub(super) struct Line {
    io: TokioIo<Connection>,
    pulse: Arc<Pulse>,
}

impl Line {
    pub(super) fn new(connection: Connection, pulse: Arc<Pulse>) -> Self {
        Self {
            io: TokioIo::new(connection),
            pulse,
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.pulse.hear();
        }
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pulse.write();
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        unless_gone(polled, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pulse.write();
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        unless_gone(polled, slices.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        unless_gone(Pin::new(&mut self.io).poll_flush(cx), ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Where the server has closed the connection, what is written is lost, and the reader finds the
/// end. It must come to that: before the end may stand the GOAWAY that says which requests were
/// not processed.
fn unless_gone<T>(polled: Poll<io::Result<T>>, lost: T) -> Poll<io::Result<T>> {
    match polled {
        Poll::Ready(Err(error))
            if matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) =>
        {
            Poll::Ready(Ok(lost))
        }
        polled => polled,
    }
}
