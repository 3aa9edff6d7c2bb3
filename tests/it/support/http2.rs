//! A scripted API server over HTTP/2, in which hyper does the framing.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;

use super::{Connection, Upstream, tls_config};

impl Upstream {
    /// Speaks only HTTP/2, with at most 100 streams per connection like real API servers.
    pub async fn http2<S, F>(response: S) -> Self
    where
        S: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Frames>> + Send + 'static,
    {
        let script = move |connection: Connection| connection.serve_http2(response.clone());
        Self::with(tls_config("localhost", &[b"h2"]), script).await
    }
}

impl Connection {
    /// Responds to every request over HTTP/2, at most 100 at once.
    pub async fn serve_http2<S, F>(self, response: S)
    where
        S: Fn(Request<Incoming>) -> F,
        F: Future<Output = Response<Frames>> + Send + 'static,
    {
        let service = service_fn(move |request| {
            let response = response(request);
            async { Ok::<_, Infallible>(response.await) }
        });
        // An error means that the client has disconnected.
        let _ = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(100)
            .serve_connection(TokioIo::new(self.into_stream()), service)
            .await;
    }

    /// Reads the head of the first request, as a server with empty SETTINGS. The test writes the
    /// response as frames of stream 1. Returns `None` if there is no request.
    pub async fn first_http2_request(&mut self) -> Option<()> {
        let preface = self.exactly(24).await?;
        assert!(preface.starts_with(b"PRI * HTTP/2.0"));
        // Empty SETTINGS.
        self.write(b"\0\0\0\x04\0\0\0\0\0").await;
        loop {
            let frame = self.exactly(9).await?;
            let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
            self.exactly(length as usize).await?;
            // HEADERS
            if frame[3] == 1 {
                return Some(());
            }
        }
    }
}

/// A body whose frames a test sends. It ends when its sender is dropped.
pub struct Frames(mpsc::UnboundedReceiver<Frame<Bytes>>);

impl Frames {
    pub fn channel() -> (mpsc::UnboundedSender<Frame<Bytes>>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Self(receiver))
    }

    /// A complete body.
    pub fn of(text: impl Into<Bytes>) -> Self {
        let (sender, frames) = Self::channel();
        sender.send(Frame::data(text.into())).unwrap();
        frames
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}
