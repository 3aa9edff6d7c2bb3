//! [`RequestBody`]: the body of a request to the API server.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    client::{ClientBody, ClientBodyFailure, RequestBodyError, TrailerFilter},
    recording::{Playback, Recording},
};

/// The body of a request to the API server.
pub enum RequestBody {
    /// Nothing.
    Empty,
    /// The client's body, as it comes.
    Stream(ClientBody),
    /// The client's body, recorded in case it must be sent again.
    Replay(Playback),
}

impl RequestBody {
    /// The client's body, as it comes.
    #[must_use]
    pub fn stream(incoming: Incoming, trailer_filter: TrailerFilter) -> Self {
        Self::Stream(ClientBody::new(incoming, trailer_filter))
    }

    pub(in crate::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Stream(body) => body.poll_frame(cx),
            Self::Replay(playback) => playback.poll_frame(cx),
        }
    }

    pub(in crate::upstream) fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(body) => body.is_end_stream(),
            Self::Replay(playback) => playback.is_end_stream(),
        }
    }

    pub(in crate::upstream) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(body) => body.size_hint(),
            Self::Replay(playback) => playback.size_hint(),
        }
    }

    /// Tells later whether the client's body failed; `None` where there is no body.
    pub(in crate::upstream) fn failure(&self) -> Option<ClientBodyFailure> {
        match self {
            Self::Empty => None,
            Self::Stream(body) => Some(body.failure().clone()),
            Self::Replay(playback) => Some(playback.failure().clone()),
        }
    }

    /// The same body, recorded in case the server does not process the request.
    pub(in crate::upstream) fn replayable(self) -> Self {
        match self {
            Self::Stream(body) => Self::Replay(Recording::new(body).playback()),
            other => other,
        }
    }

    /// Goes back to its beginning, where it can.
    pub(in crate::upstream) fn rewind(&mut self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(_) => false,
            Self::Replay(playback) => playback.rewind(),
        }
    }
}

/// A client's body that can be sent a second time: what was read of it is kept, up to 64 KiB, and
/// the rest is still to come from the client.
#[derive(Clone)]
pub struct Replay(Recording);

impl Replay {
    /// Begins to record `incoming`.
    #[must_use]
    pub fn new(incoming: Incoming, trailer_filter: TrailerFilter) -> Self {
        Self(Recording::new(ClientBody::new(incoming, trailer_filter)))
    }

    /// The body from its beginning, or `None` where more was read than is kept. The body that was
    /// given out before fails from here on.
    #[must_use]
    pub fn play(&self) -> Option<RequestBody> {
        self.0.replay().map(RequestBody::Replay)
    }
}
