//! A watch's answer, written by ourselves.
//!
//! A watch may be quiet for an hour, and there are thousands of them. hyper keeps two buffers of
//! 8 KiB for a connection whatever happens on it, so a watch leaves hyper when its answer begins
//! and keeps no buffer at all. It is then the last exchange on its connection, and says so.

use std::{
    collections::VecDeque,
    error::Error as StdError,
    fmt,
    future::poll_fn,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes};
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING},
    response::Parts,
};
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::BoxError;
use crate::proxy::{TracedBody, WatchResponse};

/// Frames that are written together, at most.
const TOGETHER: usize = 16;

type Watch = Response<TracedBody>;

/// Takes an answer away from hyper, which ends for it as with an error.
pub(super) struct Taken(Mutex<Option<Box<Watch>>>);

/// Whether a watch that answers `request` could leave hyper: its framing is then ours. A body
/// that is still to come would be lost.
pub(super) fn may_leave(request: &Request<impl Body>) -> bool {
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.body().is_end_stream()
}

/// Leaves an answer with hyper, unless it is a watch and `free`: nothing is to be written on its
/// connection before it.
pub(super) fn leave(answer: Watch, free: bool) -> Result<Watch, Taken> {
    let headers = answer.headers();
    let takes = free
        && answer.extensions().get::<WatchResponse>().is_some()
        // Others may have no body at all.
        && answer.status() == StatusCode::OK
        // hyper would put one there (RFC 9110 section 6.6.1).
        && headers.contains_key(DATE)
        && !headers.contains_key(CONTENT_LENGTH);
    if takes {
        return Err(Taken(Mutex::new(Some(Box::new(answer)))));
    }
    Ok(answer)
}

/// The watch for which hyper ended with `error`.
pub(super) fn taken(error: &hyper::Error) -> Option<Watch> {
    let taken = error.source()?.downcast_ref::<Taken>()?;
    let mut watch = taken.0.lock().unwrap_or_else(PoisonError::into_inner);
    watch.take().map(|watch| *watch)
}

/// Writes the answer until it ends or breaks, or the client leaves. What is still read of a
/// client is none of its answer's business; only its end is.
///
/// # Errors
/// The connection broke, or the answer did: its last chunk is missing then.
pub(super) async fn serve<S>(mut stream: S, watch: Watch) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (head, body) = watch.into_parts();
    stream.write_all(&text(head)).await?;
    let mut events = Events {
        body,
        pieces: VecDeque::new(),
        end: None,
    };
    let left = poll_fn(|cx| {
        if let Poll::Ready(written) = events.poll_write(&mut stream, cx) {
            return Poll::Ready(written.map(|()| false));
        }
        poll_left(&mut stream, cx).map(|()| Ok(true))
    });
    if !left.await? {
        stream.shutdown().await?;
    }
    Ok(())
}

fn text(mut head: Parts) -> Vec<u8> {
    let headers = &mut head.headers;
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    let status = head.status;
    let reason = status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &*headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// A body in chunks (RFC 9112 section 7.1).
struct Events<B> {
    body: B,
    /// To be written next.
    pieces: VecDeque<Bytes>,
    /// How the body ended, once it has.
    end: Option<Result<(), BoxError>>,
}

impl<B> Events<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Ready when all is written, to the last chunk.
    fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), BoxError>> {
        loop {
            while !self.pieces.is_empty() {
                ready!(self.poll_pieces(stream, cx))?;
            }
            ready!(Pin::new(&mut *stream).poll_flush(cx))?;
            if let Some(end) = self.end.take() {
                return Poll::Ready(end);
            }
            self.take_frames(cx);
            if self.pieces.is_empty() && self.end.is_none() {
                // A quiet watch holds nothing.
                self.pieces = VecDeque::new();
                return Poll::Pending;
            }
        }
    }

    /// Takes what has come, and asks to be woken where that is not enough to be written at once.
    fn take_frames(&mut self, cx: &mut Context<'_>) {
        while self.pieces.len() < 3 * TOGETHER {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    self.pieces.push_back(Bytes::from_static(b"0\r\n\r\n"));
                    self.end = Some(Ok(()));
                    break;
                }
                // What came before it is written all the same.
                Poll::Ready(Some(Err(error))) => {
                    self.end = Some(Err(error.into()));
                    break;
                }
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are for clients that ask for them (RFC 9110 section 6.5.1).
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        let size = format!("{:x}\r\n", data.len());
                        let end = Bytes::from_static(b"\r\n");
                        self.pieces.extend([size.into(), data, end]);
                    }
                }
            }
        }
    }

    fn poll_pieces(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); 3 * TOGETHER];
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
        }
        let count = self.pieces.len().min(slices.len());
        let written = Pin::new(stream).poll_write_vectored(cx, &slices[..count]);
        let mut written = ready!(written)?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        while let Some(piece) = self.pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                break;
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

/// Ready when the client has closed its end, or is gone.
fn poll_left(stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
    loop {
        let mut read = [MaybeUninit::uninit(); 512];
        let mut read = ReadBuf::uninit(&mut read);
        let polled = ready!(Pin::new(&mut *stream).poll_read(cx, &mut read));
        if polled.is_err() || read.filled().is_empty() {
            return Poll::Ready(());
        }
    }
}

impl StdError for Taken {}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Taken")
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a watch has left hyper")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tokio::{
        io::{AsyncReadExt as _, duplex},
        sync::mpsc,
    };

    use super::*;

    type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, io::Error>>;

    /// Events that are written to `stream` as they are sent.
    async fn written(
        mut stream: impl AsyncWrite + Unpin,
        frames: impl FnOnce(Frames),
    ) -> Result<(), BoxError> {
        let (send, mut receive) = mpsc::unbounded_channel();
        frames(send);
        let mut events = Events {
            body: StreamBody::new(futures_util::stream::poll_fn(move |cx| {
                receive.poll_recv(cx)
            })),
            pieces: VecDeque::new(),
            end: None,
        };
        poll_fn(|cx| events.poll_write(&mut stream, cx)).await
    }

    #[tokio::test]
    async fn every_frame_is_a_chunk_however_little_the_client_takes_at_a_time() {
        let long = "x".repeat(300);
        for narrow in [1, 7, 100_000] {
            let (mut client, stream) = duplex(narrow);
            let frames = |send: Frames| {
                for n in 0..40 {
                    let data = format!("{n}{long}");
                    send.send(Ok(Frame::data(data.into()))).unwrap();
                }
            };
            let mut got = String::new();
            let (wrote, read) =
                tokio::join!(written(stream, frames), client.read_to_string(&mut got));
            wrote.unwrap();
            read.unwrap();
            let chunks = (0..40).map(|n| {
                let data = format!("{n}{long}");
                format!("{:x}\r\n{data}\r\n", data.len())
            });
            assert!(got == chunks.collect::<String>() + "0\r\n\r\n", "{narrow}");
        }
    }

    #[tokio::test]
    async fn events_that_break_off_have_no_last_chunk() {
        let (mut client, stream) = duplex(1000);
        let frames = |send: Frames| {
            send.send(Ok(Frame::data("one".into()))).unwrap();
            send.send(Err(io::ErrorKind::ConnectionReset.into()))
                .unwrap();
        };
        let mut got = String::new();
        let (wrote, read) = tokio::join!(written(stream, frames), client.read_to_string(&mut got));
        assert!(wrote.is_err());
        read.unwrap();
        assert_eq!(got, "3\r\none\r\n");
    }
}
