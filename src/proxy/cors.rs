//! CORS for the origins of `--allow-origin`, and for nobody else.

use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{
    HeaderValue, Method, Request, Response,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
};
use tower::{Layer, Service};
use tower_http::cors::{self, AllowHeaders, AllowMethods, AllowOrigin, Any, Cors};

use super::Body;

/// Answers preflights and marks answers as readable for allowed origins.
#[derive(Clone, Debug)]
pub(super) struct CorsLayer {
    cors: Option<cors::CorsLayer>,
}

impl CorsLayer {
    /// For these origins; for none, requests pass as if this layer were not there.
    pub(super) fn new(origins: Vec<HeaderValue>) -> Self {
        let cors = (!origins.is_empty()).then(|| {
            cors::CorsLayer::new()
                .allow_origin(AllowOrigin::list(origins))
                .allow_methods(AllowMethods::mirror_request())
                .allow_headers(AllowHeaders::mirror_request())
                .expose_headers(Any)
        });
        Self { cors }
    }
}

impl<S: Clone> Layer<S> for CorsLayer {
    type Service = WithCors<S>;

    fn layer(&self, inner: S) -> WithCors<S> {
        WithCors {
            cors: self.cors.as_ref().map(|cors| cors.layer(inner.clone())),
            inner,
        }
    }
}

/// See [`CorsLayer`].
#[derive(Clone, Debug)]
pub(super) struct WithCors<S> {
    cors: Option<Cors<S>>,
    inner: S,
}

impl<S, B> Service<Request<B>> for WithCors<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<cors::ResponseFuture<S::Future>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match &mut self.cors {
            Some(cors) if concerns(&request) => Either::Left(cors.call(request)),
            _ => Either::Right(self.inner.call(request)),
        }
    }
}

/// tower-http takes every `OPTIONS` for a preflight; one is a preflight only with both
/// headers (Fetch standard, CORS-preflight request).
fn concerns<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    headers.contains_key(ORIGIN)
        && (request.method() != Method::OPTIONS
            || headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD))
}
