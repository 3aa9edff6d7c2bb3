//! Writes the response of a watch, on a connection taken from hyper.
//!
//! There may be thousands of watches, and each may be quiet for an hour. hyper keeps two buffers of
//! 8 KiB for a connection as long as it lasts. A watch is therefore hijacked from hyper when its
//! response begins, and holds no buffer while it is quiet. It is the last response on its connection,
//! and carries `Connection: close`.

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

use crate::{
    error::BoxError,
    proxy::{TracedBody, WatchResponse},
};

/// The most frames that are written at once.
const MAX_FRAMES: usize = 16;

/// Each frame becomes a chunk: its size, its data and a line break.
const PIECES_PER_FRAME: usize = 3;

type Watch = Response<TracedBody>;

/// A response that is taken from hyper. hyper gets it as an error and ends.
pub(super) struct Hijacked(Mutex<Option<Box<Watch>>>);

/// Returns whether the response to `request` may be hijacked. It is then sent in chunks, which
/// HTTP/1.0 does not know. The rest of a request body would be lost.
pub(super) fn can_hijack(request: &Request<impl Body>) -> bool {
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.body().is_end_stream()
}

/// Returns the response of a watch as an error, which ends hyper, and any other response as it is.
/// `is_allowed` must be false while hyper still has to write something else on the connection.
pub(super) fn hijack(response: Watch, is_allowed: bool) -> Result<Watch, Hijacked> {
    let headers = response.headers();
    let is_hijacked = is_allowed
        && response.extensions().get::<WatchResponse>().is_some()
        // Other statuses may have no body.
        && response.status() == StatusCode::OK
        // hyper adds a Date where it is missing (RFC 9110 section 6.6.1).
        && headers.contains_key(DATE)
        && !headers.contains_key(CONTENT_LENGTH);
    if is_hijacked {
        return Err(Hijacked(Mutex::new(Some(Box::new(response)))));
    }
    Ok(response)
}

/// Returns the watch for which hyper ended with `error`, if that is the reason.
pub(super) fn hijacked(error: &hyper::Error) -> Option<Watch> {
    let hijacked = error.source()?.downcast_ref::<Hijacked>()?;
    let mut watch = hijacked.0.lock().unwrap_or_else(PoisonError::into_inner);
    watch.take().map(|watch| *watch)
}

/// Writes the response until it ends or breaks off, or until the client closes its end. Bytes that
/// the client still sends are discarded.
///
/// # Errors
/// The connection or the response broke. The last chunk is missing then.
pub(super) async fn serve<S>(mut stream: S, watch: Watch) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (head, body) = watch.into_parts();
    stream.write_all(&head_bytes(head)).await?;
    let mut body = ChunkedBody {
        body,
        pieces: VecDeque::new(),
        end: None,
    };
    let client_closed = poll_fn(|cx| {
        if let Poll::Ready(written) = body.poll_write(&mut stream, cx) {
            return Poll::Ready(written.map(|()| false));
        }
        poll_closed(&mut stream, cx).map(|()| Ok(true))
    });
    if !client_closed.await? {
        stream.shutdown().await?;
    }
    Ok(())
}

fn head_bytes(mut head: Parts) -> Vec<u8> {
    let headers = &mut head.headers;
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    let status = head.status;
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &*headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Writes a body in chunked transfer coding (RFC 9112 section 7.1).
struct ChunkedBody<B> {
    body: B,
    /// The bytes to be written next.
    pieces: VecDeque<Bytes>,
    /// How the body ended, once it has.
    end: Option<Result<(), BoxError>>,
}

impl<B> ChunkedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Returns `Ready` when everything is written, the last chunk included.
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
            self.read_frames(cx);
            if self.pieces.is_empty() && self.end.is_none() {
                // A quiet watch holds no memory.
                self.pieces = VecDeque::new();
                return Poll::Pending;
            }
        }
    }

    /// Reads the frames that are available. Registers for a wakeup if there are fewer than can be
    /// written at once.
    fn read_frames(&mut self, cx: &mut Context<'_>) {
        while self.pieces.len() < PIECES_PER_FRAME * MAX_FRAMES {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    self.pieces.push_back(Bytes::from_static(b"0\r\n\r\n"));
                    self.end = Some(Ok(()));
                    break;
                }
                // The frames before the error are still written.
                Poll::Ready(Some(Err(error))) => {
                    self.end = Some(Err(error.into()));
                    break;
                }
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are dropped: only a client that asks for them may be sent any (RFC 9110
                    // section 6.5.1).
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
        let mut slices = [IoSlice::new(&[]); PIECES_PER_FRAME * MAX_FRAMES];
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

/// Returns `Ready` when the client has closed its end or the connection is broken.
fn poll_closed(stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
    loop {
        let mut read = [MaybeUninit::uninit(); 512];
        let mut read = ReadBuf::uninit(&mut read);
        let polled = ready!(Pin::new(&mut *stream).poll_read(cx, &mut read));
        if polled.is_err() || read.filled().is_empty() {
            return Poll::Ready(());
        }
    }
}

impl StdError for Hijacked {}

impl fmt::Debug for Hijacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hijacked")
    }
}

impl fmt::Display for Hijacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response of a watch was taken from hyper")
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

    /// Writes the frames that `frames` sends to `stream`.
    async fn written(
        mut stream: impl AsyncWrite + Unpin,
        frames: impl FnOnce(Frames),
    ) -> Result<(), BoxError> {
        let (send, mut receive) = mpsc::unbounded_channel();
        frames(send);
        let mut body = ChunkedBody {
            body: StreamBody::new(futures_util::stream::poll_fn(move |cx| {
                receive.poll_recv(cx)
            })),
            pieces: VecDeque::new(),
            end: None,
        };
        poll_fn(|cx| body.poll_write(&mut stream, cx)).await
    }

    #[tokio::test]
    async fn every_frame_is_a_chunk_however_slowly_the_client_reads() {
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
    async fn a_body_that_breaks_off_has_no_last_chunk() {
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
