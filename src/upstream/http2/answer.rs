//! An answer on its way from the server.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::{Response, header::CONTENT_LENGTH};
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::{Stream, sending::Sending};

/// The body of an answer; dropped before its end, it cancels the request at the server.
pub(in crate::upstream) struct Answer {
    body: RecvStream,
    awaited: Awaited,
    /// What is left of it, where the server has said how much it is.
    left: Option<u64>,
    /// Goes on with the request's body.
    sending: Option<JoinHandle<()>>,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Data,
    Trailers,
    Nothing,
}

impl Answer {
    pub(super) fn of(response: Response<RecvStream>, sending: Option<Sending>) -> Response<Self> {
        let (head, body) = response.into_parts();
        let ended = body.is_end_stream();
        // h2 has read it before, and compares it with what comes.
        let length = head.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|v| v.to_str().ok()?.parse().ok());
        let sending = sending.filter(|sending| !sending.is_done());
        let answer = Self {
            body,
            awaited: if ended {
                Awaited::Nothing
            } else {
                Awaited::Data
            },
            left: length.or(ended.then_some(0)),
            // On its own: a client may read nothing of an answer until it has sent all.
            sending: sending.map(|sending| tokio::spawn(sending.finish())),
        };
        Response::from_parts(head, answer)
    }

    /// It has ended, but its stream only when the request has ended too.
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
        while self.awaited == Awaited::Data {
            let Some(data) = ready!(self.body.poll_data(cx)?) else {
                self.awaited = Awaited::Trailers;
                break;
            };
            self.body.flow_control().release_capacity(data.len())?;
            if self.body.is_end_stream() {
                self.awaited = Awaited::Nothing;
            }
            if !data.is_empty() {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                self.left = self.left.map(|left| left.saturating_sub(length));
                return Poll::Ready(Some(Ok(data)));
            }
        }
        Poll::Ready(None)
    }
}

impl Body for Answer {
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
        if this.awaited != Awaited::Trailers {
            return Poll::Ready(None);
        }
        let trailers = ready!(this.body.poll_trailers(cx)?);
        this.awaited = Awaited::Nothing;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.awaited == Awaited::Nothing
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // Without it h2 has nobody left on the stream, and resets it.
        if let Some(sending) = self.sending.take() {
            sending.abort();
        }
    }
}
