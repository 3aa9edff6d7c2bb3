//! [`HeadFilterLayer`]: the frame of every layer that looks at a request's head, may change it,
//! and either refuses it or lets it pass.

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{Request, Response};
use tower::{Layer, Service};

use super::{Body, Error, refusal::Refusal};

/// A judgement over a request's head.
pub(super) trait HeadFilter {
    /// Lets the request pass, changed or not, or refuses it.
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal>;
}

/// Makes a layer of a [`HeadFilter`].
#[derive(Debug)]
pub(super) struct HeadFilterLayer<R>(Arc<R>);

impl<R> HeadFilterLayer<R> {
    pub(super) fn new(rule: R) -> Self {
        Self(Arc::new(rule))
    }
}

impl<R, S> Layer<S> for HeadFilterLayer<R> {
    type Service = HeadFilterService<R, S>;

    fn layer(&self, inner: S) -> HeadFilterService<R, S> {
        HeadFilterService {
            rule: self.0.clone(),
            inner,
        }
    }
}

/// See [`HeadFilterLayer`].
#[derive(Debug)]
pub(super) struct HeadFilterService<R, S> {
    rule: Arc<R>,
    inner: S,
}

impl<R, S: Clone> Clone for HeadFilterService<R, S> {
    fn clone(&self) -> Self {
        Self {
            rule: self.rule.clone(),
            inner: self.inner.clone(),
        }
    }
}

impl<R, S, B> Service<Request<B>> for HeadFilterService<R, S>
where
    R: HeadFilter,
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.rule.filter(&mut request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refusal) => Either::Right(ready(Err(refusal.into()))),
        }
    }
}
