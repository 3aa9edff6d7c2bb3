//! [`Body`]: what an answer to the client may be made of.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

use super::{request_log::FollowedBody, watch::WatchBody};
use crate::{error::BoxError, upstream::ResponseBody};

/// The body of an answer. An enum, so that what streams through costs no allocation.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// A text of our own, until it was taken.
    Text(Option<Bytes>),
    /// The API server's answer, byte for byte.
    Upstream(ResponseBody),
    /// The same for a watch, which ends between two events when we drain.
    Watch(Box<WatchBody>),
    /// Any of them, counted for the log.
    Followed(Box<FollowedBody>),
    /// A file.
    File(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body {
    /// A text of our own.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::Text(Some(text.into()))
    }

    /// A file's content.
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
            Self::Followed(body) => body.poll_frame(cx),
            Self::File(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Text(None) => true,
            Self::Text(Some(_)) => false,
            Self::Upstream(body) => body.is_end_stream(),
            Self::Watch(body) => body.is_end_stream(),
            Self::Followed(body) => body.is_end_stream(),
            Self::File(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Text(None) => SizeHint::with_exact(0),
            Self::Text(Some(text)) => SizeHint::with_exact(text.len() as u64),
            Self::Upstream(body) => body.size_hint(),
            Self::Watch(_) => SizeHint::default(),
            Self::Followed(body) => body.size_hint(),
            Self::File(body) => body.size_hint(),
        }
    }
}
