//! [`SmallFrames`]: a request's body in small frames.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::upstream::body::{RequestBody, RequestBodyError};

/// hyper buffers up to sixteen frames that the server has not taken yet, whatever their size, as
/// its buffer must have room for the head of a response.
const MAX_FRAME: usize = 4 * 1024;

/// A request's body of which little is buffered while the server takes nothing.
pub(super) struct SmallFrames {
    body: RequestBody,
    rest: Bytes,
}

impl SmallFrames {
    pub(super) fn new(body: RequestBody) -> Self {
        Self {
            body,
            rest: Bytes::new(),
        }
    }

    /// The body, of which nothing was read.
    pub(super) fn into_inner(self) -> RequestBody {
        self.body
    }
}

impl Body for SmallFrames {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            let frame = match ready!(this.body.poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => this.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let data = this.rest.split_to(this.rest.len().min(MAX_FRAME));
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    /// hyper asks for it before it reads anything.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
