//! [`RequestBody`]: the body of a request, which is drained if it is dropped early.

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

/// How much of a body is drained after its response, in bytes, and for how long. A client that
/// sends more is told to stop by a reset without an error (RFC 9113, section 8.1).
const DRAIN_LIMIT: usize = 3 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of a request. If it is dropped before its end, the rest is read and discarded: some
/// clients treat a stream that is reset while they send as failed, and lose its response.
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
            runtime.spawn(drain(body));
        }
    }
}

async fn drain(body: Incoming) {
    let mut body = Limited::new(body, DRAIN_LIMIT);
    let drained = async { while let Some(Ok(_)) = body.frame().await {} };
    // After the timeout the rest of the body is not read.
    let _ = timeout(DRAIN_TIMEOUT, drained).await;
}
