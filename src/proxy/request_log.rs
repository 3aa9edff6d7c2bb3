//! Writes one log line for each request at its end, and one where a watch begins (`-v 2`).
//!
//! A line never has the query: that of an exec holds the command.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use kubegate::proxy::{Body, request_log::RequestLogLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let service = ServiceBuilder::new()
//!     .layer(RequestLogLayer)
//!     .service(service_fn(async |_: Request<()>| {
//!         Ok::<_, Infallible>(Response::new(Body::text("pong")))
//!     }));
//! // Logs `GET /ping 200 0 ms 4 bytes` once the body has been read.
//! let response = service.oneshot(Request::get("/ping").body(()).unwrap()).await;
//! # assert!(response.is_ok());
//! # }
//! ```

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{Request, Response, StatusCode};
use tower::{Layer, Service};
use tracing::Level;

use super::{
    body::{Body, LoggedBody},
    request_record::{RequestRecord, TARGET},
};

/// Logs requests, if the log takes their lines.
#[derive(Clone, Copy, Debug)]
pub struct RequestLogLayer;

impl<S> Layer<S> for RequestLogLayer {
    type Service = RequestLog<S>;

    fn layer(&self, inner: S) -> RequestLog<S> {
        RequestLog { inner }
    }
}

/// See [`RequestLogLayer`].
#[derive(Clone, Debug)]
pub struct RequestLog<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for RequestLog<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, LoggedFuture>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // A log without these lines costs nothing more than this.
        if !tracing::enabled!(target: TARGET, Level::INFO) {
            return Either::Left(self.inner.call(request));
        }
        let record = RequestRecord::new(&request);
        request.extensions_mut().insert(record.clone());
        let response = self.inner.call(request);
        Either::Right(Box::pin(async move { Ok(logged(response.await?, record)) }))
    }
}

type LoggedFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn logged(response: Response<Body>, record: RequestRecord) -> Response<Body> {
    let status = response.status();
    record.set_status(status);
    // The upgraded connection counts its bytes itself.
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    response.map(|body| Body::Logged(Box::new(LoggedBody::new(body, record))))
}
