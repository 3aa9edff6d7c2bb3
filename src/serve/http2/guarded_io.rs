//! [`GuardedIo`]: a client's stream below hyper's HTTP/2 server, which ends when the client floods it or
//! leaves it with something unfinished.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{
    flood_limits::{Flood, FloodLimits},
    frame_scanner::{FrameScanner, Kind},
};
use crate::serve::head_memory::Reservation;

/// How long the preface, a head or a frame of another kind than DATA may take, from its first byte to its
/// end.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take until its first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The number of the first request among unfinished parts, once the client's SETTINGS have arrived.
const FIRST_REQUEST: u64 = u64::MAX;

/// Why the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum End {
    #[error(transparent)]
    Flood(#[from] Flood),
    #[error("the client did not complete a head or another frame within {} s", TIMEOUT.as_secs())]
    Late,
    #[error("too many requests with large heads are coming at once")]
    Memory,
    #[error("the client sent no request within {} s", FIRST_REQUEST_TIMEOUT.as_secs())]
    NoRequest,
}

impl End {
    /// The error code for the client (RFC 9113 section 7).
    fn code(self) -> u8 {
        match self {
            Self::Flood(_) | Self::Late | Self::Memory => 0xb, // ENHANCE_YOUR_CALM
            Self::NoRequest => 0,                              // NO_ERROR
        }
    }
}

/// See the module.
pub(super) struct GuardedIo<S> {
    stream: S,
    received: FrameScanner,
    sent: FrameScanner,
    limits: FloodLimits,
    /// The memory of a head that is not complete.
    head: Reservation,
    /// The stream of the last request that began.
    last_stream: u32,
    /// Runs out for the unfinished part of this number.
    deadline: Option<(u64, Pin<Box<Sleep>>)>,
    ending: Option<Ending>,
}

/// The connection ends when a GOAWAY frame is sent.
struct Ending {
    why: End,
    go_away: [u8; 17],
    written: usize,
}

impl<S> GuardedIo<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            received: FrameScanner::of_client(),
            sent: FrameScanner::of_server(),
            limits: FloodLimits::new(Instant::now()),
            head: Reservation::default(),
            last_stream: 0,
            deadline: None,
            ending: None,
        }
    }

    fn scan_received(&mut self, bytes: &[u8]) -> Result<(), End> {
        let mut outcome = Ok(());
        let (limits, last_stream) = (&mut self.limits, &mut self.last_stream);
        self.received.scan(bytes, |frame| {
            if frame.kind == Kind::Headers {
                *last_stream = frame.stream.max(*last_stream);
            }
            if outcome.is_ok() {
                outcome = limits.receive(frame, Instant::now);
            }
        });
        outcome?;
        match self.received.unfinished_head() {
            0 => self.head.release(),
            held if !self.head.grow(held) => return Err(End::Memory),
            _ => {}
        }
        Ok(())
    }

    fn scan_sent(&mut self, bytes: &[u8]) {
        let limits = &mut self.limits;
        self.sent.scan(bytes, |frame| limits.send(frame));
    }

    /// Returns `Ready` when the client has left something unfinished for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let (number, limit, end) = match self.received.unfinished() {
            Some(number) => (number, TIMEOUT, End::Late),
            None if self.last_stream == 0 => (FIRST_REQUEST, FIRST_REQUEST_TIMEOUT, End::NoRequest),
            None => {
                self.deadline = None;
                return Poll::Pending;
            }
        };
        if self.deadline.as_ref().is_none_or(|(of, _)| *of != number) {
            self.deadline = Some((number, Box::pin(sleep(limit))));
        }
        match &mut self.deadline {
            Some((_, timer)) => timer.as_mut().poll(cx).map(|()| end),
            None => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> GuardedIo<S> {
    /// Sends the GOAWAY frame (RFC 9113 section 6.8), unless that would be inside of another frame.
    fn poll_end(&mut self, why: End, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ending = self.ending.get_or_insert_with(|| {
            if why == End::NoRequest {
                tracing::debug!("a connection was closed: {why}");
            } else {
                tracing::warn!(repeats = "HTTP/2 flood", "a connection was closed: {why}");
            }
            let [a, b, c, d] = self.last_stream.to_be_bytes();
            Ending {
                why,
                go_away: [0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, why.code()],
                written: 0,
            }
        });
        if self.sent.is_between_frames() {
            while ending.written < ending.go_away.len() {
                let rest = &ending.go_away[ending.written..];
                match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                    Ok(written) if written > 0 => ending.written += written,
                    _ => break,
                }
            }
            // The client is told why, if it still reads.
            let _ = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        }
        Poll::Ready(Err(io::Error::other(ending.why)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for GuardedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(ending) = &this.ending {
            let why = ending.why;
            return this.poll_end(why, cx);
        }
        let before = buffer.filled().len();
        if Pin::new(&mut this.stream)
            .poll_read(cx, buffer)?
            .is_pending()
        {
            let why = ready!(this.poll_late(cx));
            return this.poll_end(why, cx);
        }
        match this.scan_received(&buffer.filled()[before..]) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(why) => {
                buffer.set_filled(before);
                this.poll_end(why, cx)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.ending.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.scan_sent(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.ending.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let of_slice = slice.len().min(left);
            self.scan_sent(&slice[..of_slice]);
            left -= of_slice;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
