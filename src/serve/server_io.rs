//! [`ServerIo`]: a client's stream below hyper's server.
//!
//! hyper answers a head that it refuses by itself, with an empty body. This stream withholds such a
//! response, so that a response with a message can be sent in its place.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::StatusCode;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    connection_state::ConnectionState,
    encoding_io::EncodingIo,
    head_memory,
    head_timeout::{self, HeadTimer},
    lingering_close::LingeringClose,
};
use crate::proxy::guard::Refusal;

/// The limit on a head in bytes, the request line included.
pub(super) const MAX_HEAD_SIZE: usize = 64 * 1024;

/// `Retry-After` for a head that exceeds the memory for all heads.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct ServerIo<S> {
    io: TokioIo<EncodingIo<S>>,
    state: ConnectionState,
    /// Whether hyper wrote a response of its own, which was not sent.
    withheld: bool,
    /// Set while the connection is shut down and the client still sends.
    lingering: Option<LingeringClose>,
}

/// The response to a head that hyper refused, and the stream to send it to.
pub(super) struct RefusedHead<S> {
    pub(super) stream: S,
    pub(super) refusal: Refusal,
    pub(super) retry_after: Option<Duration>,
}

impl<S> ServerIo<S> {
    pub(super) fn new(stream: S) -> Self {
        let state = ConnectionState::default();
        Self {
            io: TokioIo::new(EncodingIo::new(stream, state.clone())),
            state,
            withheld: false,
            lingering: None,
        }
    }

    /// Returns the timer that hyper must be given.
    pub(super) fn timer(&self) -> HeadTimer {
        HeadTimer::new(self.state.clone())
    }

    pub(super) fn state(&self) -> ConnectionState {
        self.state.clone()
    }

    /// Returns the client's stream once hyper has ended.
    pub(super) fn into_inner(self) -> S {
        self.io.into_inner().into_inner()
    }

    /// Returns the response for the client after hyper ended with `error`. Returns `None` if another
    /// response has been started, or if the client is gone.
    pub(super) fn refused_head(self, error: &hyper::Error) -> Option<RefusedHead<S>> {
        let lacks_memory = self.io.inner().lacks_memory();
        let can_respond =
            self.withheld || ((lacks_memory || error.is_timeout()) && !self.state.is_writing());
        if !can_respond {
            return None;
        }
        let (refusal, retry_after) = if lacks_memory {
            (memory_refusal(), Some(RETRY_AFTER))
        } else {
            let io = self.io.inner();
            let refusal =
                if io.has_hash_before_path() && error.is_parse() && !error.is_parse_too_large() {
                    hash_refusal()
                } else {
                    refusal(error, io.head_lengths())
                };
            (refusal, None)
        };
        Some(RefusedHead {
            stream: self.into_inner(),
            refusal,
            retry_after,
        })
    }

    /// Returns whether what hyper writes now is withheld. It is hyper's own response to a head if a
    /// head is awaited and no response has been started.
    fn withholds(&mut self) -> bool {
        self.withheld |= !self.state.is_writing() && self.state.is_head_awaited();
        if !self.withheld {
            self.state.set_writing(true);
        }
        self.withheld
    }
}

fn memory_refusal() -> Refusal {
    Refusal {
        rule: "memory for heads",
        status: StatusCode::SERVICE_UNAVAILABLE,
        message: format!(
            "too many requests with large heads are coming at once; send less than {} KiB of \
             header fields, or try again",
            head_memory::FREE_PER_HEAD / 1024
        ),
        close: true,
    }
}

fn hash_refusal() -> Refusal {
    let message =
        "the request target has a # before its path; it must begin with / or http://HOST/";
    Refusal::malformed("raw # before the path", message).and_close()
}

/// `lengths` are those of the head as it was received and as it is percent-encoded.
fn refusal(error: &hyper::Error, lengths: Option<(usize, usize)>) -> Refusal {
    let (rule, status, message) = if error.is_timeout() {
        (
            "late head",
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "the head of the request did not arrive within {} s",
                head_timeout::TIMEOUT.as_secs()
            ),
        )
    } else if error.is_parse_too_large() {
        (
            "large head",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            too_large(lengths),
        )
    } else {
        let message = format!("the request cannot be understood: {error}");
        ("malformed head", StatusCode::BAD_REQUEST, message)
    };
    Refusal {
        rule,
        status,
        message,
        close: true,
    }
}

fn too_large(lengths: Option<(usize, usize)>) -> String {
    let limit = MAX_HEAD_SIZE / 1024;
    match lengths {
        Some((received, encoded)) if received <= MAX_HEAD_SIZE && encoded > MAX_HEAD_SIZE => {
            format!(
                "the head of the request has more than {limit} KiB once its target is \
                 percent-encoded ({received} bytes received, {encoded} bytes encoded); send a \
                 shorter target"
            )
        }
        _ => format!(
            "the head of the request has more than 100 fields or {limit} KiB; send fewer or \
             shorter header fields (each impersonated group is one field)"
        ),
    }
}

impl<S: AsyncRead + Unpin> Read for ServerIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buffer));
        self.state.start_head();
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for ServerIo<S> {
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
        self.state.set_writing(false);
        Poll::Ready(Ok(()))
    }

    /// Closes the writing end. If the request's body is still being sent, it is read on for a while,
    /// so that the client does not lose the response to a reset.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.withheld {
            return Poll::Ready(Ok(()));
        }
        let this = &mut *self;
        if let Some(lingering) = &mut this.lingering {
            return lingering.poll(this.io.inner_mut().get_mut(), cx).map(Ok);
        }
        ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        if !this.state.may_send_more() {
            return Poll::Ready(Ok(()));
        }
        let lingering = this.lingering.insert(LingeringClose::new());
        lingering.poll(this.io.inner_mut().get_mut(), cx).map(Ok)
    }
}

#[cfg(test)]
mod tests;
