//! [`Body`]: what the body of a response to the client is made of.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

use super::{request_record::RequestRecord, watch::WatchBody};
use crate::{error::BoxError, upstream::ResponseBody};

/// The body of a response. An enum, so that a streamed body costs no allocation.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// A text of our own, until it has been sent.
    Text(Option<Bytes>),
    /// The API server's body, byte for byte.
    Upstream(ResponseBody),
    /// The same for a watch, which ends between two events when the proxy drains.
    Watch(Box<WatchBody>),
    /// Any of them, counted for the log.
    Logged(Box<LoggedBody>),
    /// A file.
    File(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// Returns a body that holds a text.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::Text(Some(text.into()))
    }

    /// Returns a body that streams a file.
    pub fn file<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::File(body.map_err(Into::into).boxed_unsync())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(text.take().map(|t| Ok(Frame::data(t)))),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Watch(body) => Pin::new(body.as_mut()).poll_frame(cx).map_err(Into::into),
            Self::Logged(body) => body.poll_frame(cx),
            Self::File(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Text(None) => true,
            Self::Text(Some(_)) => false,
            Self::Upstream(body) => body.is_end_stream(),
            Self::Watch(body) => body.is_end_stream(),
            Self::Logged(body) => body.body.is_end_stream(),
            Self::File(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Text(None) => SizeHint::with_exact(0),
            Self::Text(Some(text)) => SizeHint::with_exact(text.len() as u64),
            Self::Upstream(body) => body.size_hint(),
            Self::Watch(_) => SizeHint::default(),
            Self::Logged(body) => body.body.size_hint(),
            Self::File(body) => body.size_hint(),
        }
    }
}

/// A body whose bytes are counted for the log.
pub struct LoggedBody {
    body: Body,
    record: RequestRecord,
}

impl LoggedBody {
    pub(super) fn new(body: Body, record: RequestRecord) -> Self {
        Self { body, record }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.record
                    .add_bytes(frame.data_ref().map_or(0, Bytes::len));
            }
            Poll::Ready(Some(Err(_))) => self.record.set_broken(),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }
}
