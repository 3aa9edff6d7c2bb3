//! [`RequestBody`]: what a client sends, read on for a while where it was answered early.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::timeout};

/// What of a body is read behind its answer, in bytes, and for how long. Who sends more is told to
/// stop, by a reset without an error (RFC 9113 section 8.1).
const LIMIT: usize = 3 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// The body of a request. Dropped before its end, it is read on: some clients take a stream that
/// is reset while they send for one that failed, and lose its answer.
pub(crate) struct RequestBody(Option<Incoming>);

impl From<Incoming> for RequestBody {
    fn from(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.get_mut().0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.is_end_stream() {
            return;
        }
        if let (Some(body), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(read_on(body));
        }
    }
}

async fn read_on(body: Incoming) {
    let mut body = Limited::new(body, LIMIT);
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
    // What does not end in time is left.
    let _ = timeout(PATIENCE, reading).await;
}
