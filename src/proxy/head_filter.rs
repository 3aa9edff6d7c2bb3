//! [`HeadFilterLayer`]: the frame of every layer that looks at a request's head, may change it,
//! and either refuses it or lets it pass.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use http::{Method, Request, Response};
//! use kubegate::proxy::{
//!     Body, Error, Refusal,
//!     head_filter::{HeadFilter, HeadFilterLayer},
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! struct NoDelete;
//!
//! impl HeadFilter for NoDelete {
//!     fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
//!         if request.method() == Method::DELETE {
//!             return Err(Refusal::forbidden("no DELETE", "nothing is deleted here"));
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let service = ServiceBuilder::new()
//!     .layer(HeadFilterLayer::new(NoDelete))
//!     .service(service_fn(async |_: Request<()>| {
//!         Ok::<_, Error>(Response::new(Body::Empty))
//!     }));
//! let (get, delete) = (Request::get("/"), Request::delete("/"));
//! assert!(service.clone().oneshot(get.body(()).unwrap()).await.is_ok());
//! assert!(service.oneshot(delete.body(()).unwrap()).await.is_err());
//! # }
//! ```

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{Request, Response};
use tower::{Layer, Service};

use super::{body::Body, error::Error, refusal::Refusal};

/// A check of a request's head.
pub trait HeadFilter {
    /// Lets the request pass, changed or not, or refuses it.
    ///
    /// # Errors
    /// The reason for the refusal.
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal>;
}

/// Turns a [`HeadFilter`] into a layer.
#[derive(Debug)]
pub struct HeadFilterLayer<F>(Arc<F>);

impl<F> HeadFilterLayer<F> {
    /// Filters every request by `filter`.
    pub fn new(filter: F) -> Self {
        Self(Arc::new(filter))
    }
}

impl<F, S> Layer<S> for HeadFilterLayer<F> {
    type Service = HeadFilterService<F, S>;

    fn layer(&self, inner: S) -> HeadFilterService<F, S> {
        HeadFilterService {
            filter: self.0.clone(),
            inner,
        }
    }
}

/// See [`HeadFilterLayer`].
#[derive(Debug)]
pub struct HeadFilterService<F, S> {
    filter: Arc<F>,
    inner: S,
}

impl<F, S: Clone> Clone for HeadFilterService<F, S> {
    fn clone(&self) -> Self {
        Self {
            filter: self.filter.clone(),
            inner: self.inner.clone(),
        }
    }
}

impl<F, S, B> Service<Request<B>> for HeadFilterService<F, S>
where
    F: HeadFilter,
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.filter.filter(&mut request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refusal) => Either::Right(ready(Err(refusal.into()))),
        }
    }
}
