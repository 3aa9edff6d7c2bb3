//! [`Guarded`]: a connection that can be broken from outside, and that tells whether it lives.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use hyper::rt::{Read, ReadBufCursor, Write};

/// Breaks a connection: whatever runs on it fails, as if the network had.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    broken: AtomicBool,
    arrivals: AtomicU32,
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

impl<T: Read + Unpin> Read for Guarded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        match &polled {
            Poll::Pending => self.breaker.check(cx)?,
            Poll::Ready(_) => {
                self.breaker.arrivals.fetch_add(1, Ordering::Relaxed);
            }
        }
        polled
    }
}

impl<T: Write + Unpin> Write for Guarded<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        if polled.is_pending() {
            self.breaker.check(cx)?;
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
        if polled.is_pending() {
            self.breaker.check(cx)?;
        }
        polled
    }
}
