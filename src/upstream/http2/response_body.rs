//! [`ResponseBody`]: the body of a response on its way from the server.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::{Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::{connection::Stream, request_body::BodySender};

/// The body of a response over HTTP/2. Dropped before its end, it cancels the request at the server.
pub(in crate::upstream) struct ResponseBody {
    body: RecvStream,
    expected: Expected,
    /// Bytes that are still to come, where the server has announced the length.
    remaining: Option<u64>,
    /// Sends the rest of the request's body.
    sending: Option<JoinHandle<()>>,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Data,
    Trailers,
    Nothing,
}

impl ResponseBody {
    pub(super) fn of(
        response: Response<RecvStream>,
        request_body: Option<BodySender>,
    ) -> Response<Self> {
        let (head, body) = response.into_parts();
        let ended = body.is_end_stream();
        // h2 has parsed it too, and compares it with what arrives.
        let length = head.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|v| v.to_str().ok()?.parse().ok());
        let request_body = request_body.filter(|body| !body.is_done());
        let body = Self {
            body,
            expected: if ended {
                Expected::Nothing
            } else {
                Expected::Data
            },
            remaining: length.or(ended.then_some(0)),
            // In a task, since a client may read no response until it has sent all of its request.
            sending: request_body.map(|body| tokio::spawn(body.finish())),
        };
        Response::from_parts(head, body)
    }

    /// Gives `stream` back after the response has ended: at once, or when the request's body has
    /// ended too.
    pub(in crate::upstream) fn release(&mut self, stream: Stream) {
        if let Some(sending) = self.sending.take()
            && !sending.is_finished()
        {
            tokio::spawn(async move {
                let _ = sending.await;
                drop(stream);
            });
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        while self.expected == Expected::Data {
            let Some(data) = ready!(self.body.poll_data(cx)?) else {
                self.expected = Expected::Trailers;
                break;
            };
            self.body.flow_control().release_capacity(data.len())?;
            if self.body.is_end_stream() {
                self.expected = Expected::Nothing;
            }
            if !data.is_empty() {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                self.remaining = self.remaining.map(|bytes| bytes.saturating_sub(length));
                return Poll::Ready(Some(Ok(data)));
            }
        }
        Poll::Ready(None)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        if let Some(data) = ready!(this.poll_data(cx)?) {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if this.expected != Expected::Trailers {
            return Poll::Ready(None);
        }
        let trailers = ready!(this.body.poll_trailers(cx)?);
        this.expected = Expected::Nothing;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.expected == Expected::Nothing
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // Once nothing holds the stream any more, h2 resets it.
        if let Some(sending) = self.sending.take() {
            sending.abort();
        }
    }
}
