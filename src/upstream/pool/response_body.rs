//! [`ResponseBody`]: the body of a response, and the lease that it holds until its end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::lease::{Lease, WireBody};

/// The body of a response. It keeps its stream or connection until it ends or is dropped. Dropped
/// before its end, it cancels the request at the server.
pub struct ResponseBody {
    body: WireBody,
    lease: Option<Lease>,
}

/// Why a response's body does not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("the response ended early")]
pub enum ResponseBodyError {
    /// The connection broke, or the response is malformed.
    Http1(#[from] hyper::Error),
    /// The connection or the stream broke, or the server ended it too early.
    Http2(#[from] h2::Error),
}

impl ResponseBody {
    pub(super) fn leased(body: WireBody, lease: Lease) -> Self {
        let mut body = Self {
            body,
            lease: Some(lease),
        };
        body.release_at_end();
        body
    }

    /// The body of a response on a connection of its own.
    pub(super) fn unpooled(incoming: Incoming) -> Self {
        Self {
            body: WireBody::Http1(incoming),
            lease: None,
        }
    }

    fn release_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        match (self.lease.take(), &mut self.body) {
            (Some(Lease::Http2(lease)), WireBody::Http2(body)) => body.release(lease.into_stream()),
            (Some(Lease::Http1(lease)), _) => lease.release(),
            _ => {}
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let this = self.get_mut();
        let frame = ready!(match &mut this.body {
            WireBody::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            WireBody::Http2(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        });
        match &frame {
            Some(Ok(_)) => this.release_at_end(),
            Some(Err(_)) => this.lease = None,
            None => this.release(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            WireBody::Http1(body) => body.size_hint(),
            WireBody::Http2(body) => body.size_hint(),
        }
    }
}
