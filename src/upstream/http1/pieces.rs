//! [`Pieces`]: a request's body in small pieces.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::upstream::{RequestBody, body::RequestBodyError};

/// hyper keeps up to sixteen pieces that the server has not taken yet, whatever their size, as its
/// buffer must have room for an answer's head.
const PIECE: usize = 4 * 1024;

/// A body of which little waits while the server takes nothing.
pub(in crate::upstream) struct Pieces {
    body: RequestBody,
    rest: Bytes,
}

impl Pieces {
    pub(super) fn of(body: RequestBody) -> Self {
        Self {
            body,
            rest: Bytes::new(),
        }
    }

    /// The body, of which nothing was taken.
    pub(super) fn into_body(self) -> RequestBody {
        self.body
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => this.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    /// Asked for before anything is taken.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
