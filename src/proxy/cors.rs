//! CORS for the origins of `--allow-origin`, and for no others.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use std::convert::Infallible;
//!
//! use http::{HeaderValue, Request, Response};
//! use kubegate::proxy::{Body, cors::CorsLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let origin = HeaderValue::from_static("https://dashboard.example");
//! let service = ServiceBuilder::new()
//!     .layer(CorsLayer::new(vec![origin.clone()]))
//!     .service(service_fn(async |_: Request<()>| {
//!         Ok::<_, Infallible>(Response::new(Body::Empty))
//!     }));
//! let request = Request::get("/api").header("origin", &origin).body(()).unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! assert_eq!(response.headers()["access-control-allow-origin"], origin);
//! # }
//! ```

use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{
    HeaderValue, Method, Request, Response,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
};
use tower::{Layer, Service};
use tower_http::cors::{self, AllowHeaders, AllowMethods, AllowOrigin, Any};

use super::body::Body;

/// Answers the preflights of allowed origins, and marks responses as readable for them.
#[derive(Clone, Debug)]
pub struct CorsLayer {
    cors: Option<cors::CorsLayer>,
}

impl CorsLayer {
    /// Allows these origins. Without any, requests pass as if this layer were not there.
    #[must_use]
    pub fn new(origins: Vec<HeaderValue>) -> Self {
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
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Cors<S> {
        Cors {
            cors: self.cors.as_ref().map(|cors| cors.layer(inner.clone())),
            inner,
        }
    }
}

/// See [`CorsLayer`].
#[derive(Clone, Debug)]
pub struct Cors<S> {
    cors: Option<cors::Cors<S>>,
    inner: S,
}

impl<S, B> Service<Request<B>> for Cors<S>
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
            Some(cors) if is_cors(&request) => Either::Left(cors.call(request)),
            _ => Either::Right(self.inner.call(request)),
        }
    }
}

/// Whether CORS applies. tower-http takes every `OPTIONS` for a preflight, but a preflight has both
/// headers (Fetch standard, "CORS-preflight request").
fn is_cors<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    headers.contains_key(ORIGIN)
        && (request.method() != Method::OPTIONS
            || headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD))
}
