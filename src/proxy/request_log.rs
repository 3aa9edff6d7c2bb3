//! One log line for each request at its end, and one more where a watch begins (`-v 2`).
//!
//! A line never has the query: that of an exec holds the command.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::Either;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use tower::{Layer, Service};
use tracing::Level;

use super::Body;
use crate::error::BoxError;

/// The target of these lines, by which a log leaves them out or takes them.
const TARGET: &str = "kubegate::requests";

/// Follows requests where somebody reads of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLogLayer;

impl<S> Layer<S> for RequestLogLayer {
    type Service = RequestLog<S>;

    fn layer(&self, inner: S) -> RequestLog<S> {
        RequestLog { inner }
    }
}

/// See [`RequestLogLayer`].
#[derive(Clone, Debug)]
pub(super) struct RequestLog<S> {
    inner: S,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S, B> Service<Request<B>> for RequestLog<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Answering>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Where nobody reads of it, nothing is done for it.
        if !tracing::enabled!(target: TARGET, Level::INFO) {
            return Either::Left(self.inner.call(request));
        }
        let exchange = RequestRecord::begin(&request);
        request.extensions_mut().insert(exchange.clone());
        let answering = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let response = answering.await?;
            Ok(exchange.followed(response))
        }))
    }
}

/// A request on its way, among its extensions. Its line is written when the last clone is gone.
#[derive(Clone)]
pub(super) struct RequestRecord(Arc<Record>);

struct Record {
    method: Method,
    path: String,
    began: Instant,
    /// 0 before the answer.
    status: AtomicU16,
    is_watch: AtomicBool,
    /// To the client.
    bytes: AtomicU64,
    /// To the server, on an upgraded connection.
    sent: AtomicU64,
    broke: AtomicBool,
}

impl RequestRecord {
    fn begin<B>(request: &Request<B>) -> Self {
        Self(Arc::new(Record {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            began: Instant::now(),
            status: AtomicU16::new(0),
            is_watch: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            broke: AtomicBool::new(false),
        }))
    }

    fn followed(self, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        self.0.status.store(status.as_u16(), Ordering::Relaxed);
        // What becomes of the connection is known elsewhere.
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        response.map(|body| {
            Body::Followed(Box::new(FollowedBody {
                body,
                exchange: self,
            }))
        })
    }

    /// Events are about to come.
    pub(super) fn watch_begins(&self) {
        self.0.is_watch.store(true, Ordering::Relaxed);
        let Record { method, path, .. } = &*self.0;
        tracing::info!(target: TARGET, "watch begins: {method} {path}");
    }

    /// So much was moved so far on an upgraded connection.
    pub(super) fn moved(&self, to_server: u64, to_client: u64) {
        self.0.sent.store(to_server, Ordering::Relaxed);
        self.0.bytes.store(to_client, Ordering::Relaxed);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Self { method, path, .. } = self;
        let begin = match self.is_watch.get_mut() {
            true => "watch ends: ",
            false => "",
        };
        let time = shown(self.began.elapsed());
        let bytes = *self.bytes.get_mut();
        let end = match (*self.sent.get_mut(), *self.broke.get_mut()) {
            (_, true) => ", broken off".to_owned(),
            (0, false) => String::new(),
            (sent, false) => format!(", {sent} bytes sent"),
        };
        match *self.status.get_mut() {
            0 => tracing::info!(target: TARGET, "{method} {path} left by its client after {time}"),
            status => tracing::info!(
                target: TARGET,
                "{begin}{method} {path} {status} {time} {bytes} bytes{end}"
            ),
        }
    }
}

/// Milliseconds, and seconds where it takes longer.
fn shown(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f32())
    }
}

/// The body of an answer whose bytes are counted.
pub struct FollowedBody {
    body: Body,
    exchange: RequestRecord,
}

impl FollowedBody {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let record = &self.exchange.0;
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                record.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Poll::Ready(Some(Err(_))) => record.broke.store(true, Ordering::Relaxed),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_long_as_they_are() {
        for (milliseconds, text) in [(0, "0 ms"), (9999, "9999 ms"), (12_340, "12.3 s")] {
            assert_eq!(shown(Duration::from_millis(milliseconds)), text);
        }
    }
}
