//! [`LingeringClose`]: reads what a client still sends after its last response.
//!
//! The system resets a connection that is closed while bytes still arrive, and the client then loses
//! the part of the response that it has not read yet (RFC 9112 section 9.6).

use std::{
    future::Future as _,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// How long the client may send nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the client may go on sending.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes are read: more than any API server accepts in a body.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Reads and discards until the client closes its end, for a limited time.
pub(super) struct LingeringClose {
    idle: Pin<Box<Sleep>>,
    deadline: Instant,
    bytes_left: usize,
}

impl LingeringClose {
    pub(super) fn new() -> Self {
        Self {
            idle: Box::pin(sleep(IDLE_TIMEOUT)),
            deadline: Instant::now() + TIMEOUT,
            bytes_left: MAX_BYTES,
        }
    }

    /// Returns `Ready` when the client has closed or a limit is reached.
    pub(super) fn poll<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncRead + Unpin,
    {
        let mut scratch = [MaybeUninit::uninit(); 16 * 1024];
        loop {
            let mut read = ReadBuf::uninit(&mut scratch);
            let Poll::Ready(result) = Pin::new(&mut *stream).poll_read(cx, &mut read) else {
                return self.idle.as_mut().poll(cx);
            };
            let length = read.filled().len();
            self.bytes_left = self.bytes_left.saturating_sub(length);
            let now = Instant::now();
            if result.is_err() || length == 0 || self.bytes_left == 0 || now >= self.deadline {
                return Poll::Ready(());
            }
            self.idle
                .as_mut()
                .reset(self.deadline.min(now + IDLE_TIMEOUT));
        }
    }
}
