//! [`ClientBody`]: a request's body as it comes from the client.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

/// Removes from a client's trailers what may not be sent.
pub type TrailerFilter = fn(&mut HeaderMap);

/// A request's body as it comes from the client.
pub struct ClientBody {
    incoming: Incoming,
    trailer_filter: TrailerFilter,
    failure: ClientBodyFailure,
}

impl ClientBody {
    pub(super) fn new(incoming: Incoming, trailer_filter: TrailerFilter) -> Self {
        Self {
            incoming,
            trailer_filter,
            failure: ClientBodyFailure::default(),
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        polled
            .map_ok(|mut frame| {
                if let Some(trailers) = frame.trailers_mut() {
                    (self.trailer_filter)(trailers);
                }
                frame
            })
            .map_err(|error| self.failure.record(error))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    pub(super) fn failure(&self) -> &ClientBodyFailure {
        &self.failure
    }
}

/// Why a request's body does not come to its end. The request is aborted.
#[derive(Debug, thiserror::Error)]
pub(in crate::upstream) enum RequestBodyError {
    /// The client aborted it, or framed it badly.
    #[error("the client's body failed")]
    Client(#[source] Arc<hyper::Error>),
    /// The API server refused the request before its body had ended, and another attempt reads
    /// the body now.
    #[error("the request is sent again")]
    SentAgain,
}

/// Remembers how the client's body failed. The error of a request over HTTP/2 does not tell: it
/// only says that the stream was reset.
#[derive(Clone, Default)]
pub(in crate::upstream) struct ClientBodyFailure(Arc<OnceLock<Arc<hyper::Error>>>);

impl ClientBodyFailure {
    fn record(&self, error: hyper::Error) -> RequestBodyError {
        RequestBodyError::Client(self.0.get_or_init(|| Arc::new(error)).clone())
    }

    pub(in crate::upstream) fn get(&self) -> Option<Arc<hyper::Error>> {
        self.0.get().cloned()
    }
}
