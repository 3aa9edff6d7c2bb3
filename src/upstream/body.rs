//! Bodies on their way to and from the API server. They stream; nothing here waits for an end.

mod replay;

pub use replay::Replay;

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{http2, pool::Lease};
use replay::Playback;

/// Takes off a client's trailers what may not be sent.
pub type TrailerFilter = fn(&mut HeaderMap);

/// The body of a request to the API server.
pub enum RequestBody {
    /// Nothing.
    Empty,
    /// The client's body, as it comes.
    Stream(Stream),
    /// The same, remembered in case it must be sent again.
    Replay(Playback),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Stream(Stream {
                incoming,
                sieve,
                fault,
            }) => poll_sifted(incoming, *sieve, cx).map_err(|e| fault.note(e)),
            Self::Replay(playback) => playback.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(stream) => stream.incoming.is_end_stream(),
            Self::Replay(playback) => playback.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(stream) => stream.incoming.size_hint(),
            Self::Replay(playback) => playback.size,
        }
    }
}

impl RequestBody {
    /// The client's body, as it comes.
    #[must_use]
    pub fn stream(incoming: Incoming, sieve: TrailerFilter) -> Self {
        Self::Stream(Stream {
            incoming,
            sieve,
            fault: Fault::default(),
        })
    }

    /// What will tell whether the client's body failed.
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Empty => Fault::default(),
            Self::Stream(stream) => stream.fault.clone(),
            Self::Replay(playback) => playback.fault.clone(),
        }
    }

    /// The same, remembered in case the server will not have taken it.
    pub(super) fn replayable(self) -> Self {
        match self {
            Self::Stream(stream) => Self::Replay(Replay::of(stream).pass()),
            other => other,
        }
    }

    /// Goes back to its beginning, where it can.
    pub(super) fn rewind(&mut self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(_) => false,
            Self::Replay(playback) => playback.rewind(),
        }
    }
}

fn poll_sifted(
    incoming: &mut Incoming,
    sieve: TrailerFilter,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    Pin::new(incoming).poll_frame(cx).map_ok(|mut frame| {
        if let Some(trailers) = frame.trailers_mut() {
            sieve(trailers);
        }
        frame
    })
}

/// See [`RequestBody::stream`].
pub struct Stream {
    incoming: Incoming,
    sieve: TrailerFilter,
    fault: Fault,
}

/// Why a request's body does not come to its end. Its request is cut off.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    /// The client broke it off, or framed it badly.
    #[error("the client's body failed")]
    Client(#[source] Arc<hyper::Error>),
    /// The API server refused the request in mid-body, and another try has the body now.
    #[error("the request is sent again")]
    SentAgain,
}

/// Remembers how the client's body failed: over HTTP/2 the error that hyper gives for the
/// request does not tell, it only says that the stream was reset.
#[derive(Clone, Default)]
pub(super) struct Fault(Arc<OnceLock<Arc<hyper::Error>>>);

impl Fault {
    fn note(&self, error: hyper::Error) -> RequestBodyError {
        RequestBodyError::Client(self.0.get_or_init(|| Arc::new(error)).clone())
    }

    pub(super) fn get(&self) -> Option<Arc<hyper::Error>> {
        self.0.get().cloned()
    }
}

/// The body of an answer. It holds its place on the connection until it ends or is dropped;
/// dropped before its end, it cancels the request at the server.
pub struct ResponseBody {
    answer: Answer,
    lease: Option<Lease>,
}

/// An answer as its protocol has it.
pub(super) enum Answer {
    Http1(Incoming),
    Http2(http2::Answer),
}

/// Why an answer's body does not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub enum ResponseBodyError {
    /// The connection broke, or the answer is malformed.
    Http1(#[from] hyper::Error),
    /// The connection or the stream broke, or the server ended it too early.
    Http2(#[from] h2::Error),
}

impl ResponseBody {
    pub(super) fn pooled(answer: Answer, lease: Lease) -> Self {
        let mut body = Self {
            answer,
            lease: Some(lease),
        };
        body.release_at_end();
        body
    }

    pub(super) fn unpooled(incoming: Incoming) -> Self {
        Self {
            answer: Answer::Http1(incoming),
            lease: None,
        }
    }

    fn release_at_end(&mut self) {
        if self.answer.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        match (self.lease.take(), &mut self.answer) {
            (Some(Lease::Http2(ride)), Answer::Http2(answer)) => answer.release(ride.into_stream()),
            (Some(Lease::Http1(exchange)), _) => exchange.release(),
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
        let frame = ready!(match &mut this.answer {
            Answer::Http1(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
            Answer::Http2(answer) => Pin::new(answer).poll_frame(cx).map_err(Into::into),
        });
        match &frame {
            Some(Ok(_)) => this.release_at_end(),
            Some(Err(_)) => this.lease = None,
            None => this.release(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.answer {
            Answer::Http1(incoming) => incoming.size_hint(),
            Answer::Http2(answer) => answer.size_hint(),
        }
    }
}

impl Answer {
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(incoming) => incoming.is_end_stream(),
            Self::Http2(answer) => answer.is_end_stream(),
        }
    }
}
