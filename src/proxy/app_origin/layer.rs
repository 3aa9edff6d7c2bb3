//! The layer that makes the headers of an app's requests and responses consistent with its origin.
//! Belongs to one destination, whose origin it needs.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{HeaderMap, HeaderValue, Request, Response, header::HOST};
use tower::{Layer, Service};

use super::{app::AppOrigin, headers::Origins};
use crate::proxy::{body::Body, error::Error};

/// Changes the headers of requests that came to the origin of an app, and of their responses.
#[derive(Clone, Debug)]
pub struct AppHeadersLayer {
    server: HeaderValue,
}

impl AppHeadersLayer {
    /// For the API server at the origin `server`.
    #[must_use]
    pub fn new(server: HeaderValue) -> Self {
        Self { server }
    }
}

impl<S> Layer<S> for AppHeadersLayer {
    type Service = AppHeaders<S>;

    fn layer(&self, inner: S) -> AppHeaders<S> {
        AppHeaders {
            server: self.server.clone(),
            inner,
        }
    }
}

/// See [`AppHeadersLayer`].
#[derive(Clone, Debug)]
pub struct AppHeaders<S> {
    server: HeaderValue,
    inner: S,
}

impl<S, B> Service<Request<B>> for AppHeaders<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, ChangedFuture>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(origin) = request.extensions().get::<AppOrigin>().cloned() else {
            return Either::Left(self.inner.call(request));
        };
        let own = own_host(request.headers());
        let server = self.server.clone();
        origins(&origin, &own, &server).change_request(request.headers_mut());
        let response = self.inner.call(request);
        Either::Right(Box::pin(async move {
            let mut response = response.await?;
            origins(&origin, &own, &server).change_response(response.headers_mut());
            Ok(response)
        }))
    }
}

type ChangedFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

fn origins<'a>(origin: &'a AppOrigin, own: &'a str, server: &'a HeaderValue) -> Origins<'a> {
    Origins {
        app: &origin.app,
        own,
        server,
    }
}

/// The guard has read the one `Host` already.
fn own_host(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    host.unwrap_or_default().to_owned()
}
