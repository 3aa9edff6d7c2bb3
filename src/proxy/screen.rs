//! [`ScreenLayer`]: the frame of every layer that looks at a request's head, may change it,
//! and either refuses it or lets it pass.

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{Request, Response};
use tower::{Layer, Service};

use super::{Body, Error, guard::Refusal};

/// A judgement over a request's head.
pub(super) trait Screen {
    /// Lets the request pass, changed or not, or refuses it.
    fn screen<B>(&self, request: &mut Request<B>) -> Result<(), Refusal>;
}

/// Makes a layer of a [`Screen`].
#[derive(Debug)]
pub(super) struct ScreenLayer<R>(Arc<R>);

impl<R> ScreenLayer<R> {
    pub(super) fn new(rule: R) -> Self {
        Self(Arc::new(rule))
    }
}

impl<R, S> Layer<S> for ScreenLayer<R> {
    type Service = Screened<R, S>;

    fn layer(&self, inner: S) -> Screened<R, S> {
        Screened {
            rule: self.0.clone(),
            inner,
        }
    }
}

/// See [`ScreenLayer`].
#[derive(Debug)]
pub(super) struct Screened<R, S> {
    rule: Arc<R>,
    inner: S,
}

impl<R, S: Clone> Clone for Screened<R, S> {
    fn clone(&self) -> Self {
        Self {
            rule: self.rule.clone(),
            inner: self.inner.clone(),
        }
    }
}

impl<R, S, B> Service<Request<B>> for Screened<R, S>
where
    R: Screen,
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.rule.screen(&mut request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(refusal) => Either::Right(ready(Err(refusal.into()))),
        }
    }
}
