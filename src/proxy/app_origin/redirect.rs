//! Sends browsers that open an app in the API's origin on to the app's own.

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CACHE_CONTROL, HOST, LOCATION},
};
use tower::{Layer, Service};

use super::app::{App, AppOrigin};
use crate::proxy::{
    body::Body,
    contexts::NamedContext,
    error::Error,
    guard::{self, LocalAccess},
    navigation, reserved,
};

/// Redirects navigations to `/api/v1/namespaces/NS/services|pods/*/proxy/...` with 307. Belongs inside
/// of the guard: what it refuses is not redirected.
///
/// Only for hosts that are loopback names, since the names of apps lead to the browser's own machine.
///
/// Where the proxy requires tokens, the redirect takes the browser through a one-use address of the app's
/// origin, which gives it a cookie there.
#[derive(Clone, Debug)]
pub struct RedirectToAppLayer {
    enabled: bool,
    access: Arc<LocalAccess>,
}

impl RedirectToAppLayer {
    /// Without `enabled` requests pass as if this layer were not there.
    #[must_use]
    pub fn new(enabled: bool, access: Arc<LocalAccess>) -> Self {
        Self { enabled, access }
    }
}

impl<S> Layer<S> for RedirectToAppLayer {
    type Service = RedirectToApp<S>;

    fn layer(&self, inner: S) -> RedirectToApp<S> {
        RedirectToApp {
            enabled: self.enabled,
            access: self.access.clone(),
            inner,
        }
    }
}

/// See [`RedirectToAppLayer`].
#[derive(Clone, Debug)]
pub struct RedirectToApp<S> {
    enabled: bool,
    access: Arc<LocalAccess>,
    inner: S,
}

impl<S, B> Service<Request<B>> for RedirectToApp<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.enabled
            && let Some(location) = location(&self.access, &request)
        {
            return Either::Right(ready(Ok(redirect(location))));
        }
        Either::Left(self.inner.call(request))
    }
}

/// Returns the URL of an app's own origin for a navigation that opens the app in the API's.
fn location<B>(access: &LocalAccess, request: &Request<B>) -> Option<HeaderValue> {
    let uri = request.uri();
    // The path first: nearly every request ends here, without a look-up of headers.
    let (app, rest) = App::split_path(uri.path())?;
    if !navigation::is_top_level(request) || request.extensions().get::<AppOrigin>().is_some() {
        return None;
    }
    let host = request.headers().get(HOST)?.to_str().ok()?;
    let port = guard::loopback_port_suffix(host)?;
    let named = request.extensions().get::<NamedContext>();
    let slug = named.map(|named| named.0.clone());
    let name = AppOrigin { app, slug }.host()?;
    let path = if rest.is_empty() { "/" } else { rest };
    let query = uri
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    let (host, path) = (format!("{name}{port}"), format!("{path}{query}"));
    let path = reserved::one_use_path(access, request, &host, &path).unwrap_or(path);
    // Without a scheme the browser keeps its own.
    let mut location = HeaderValue::try_from(format!("//{host}{path}")).ok()?;
    location.set_sensitive(true);
    Some(location)
}

fn redirect(location: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sent_on(host: &str, path: &str, dest: &str) -> Option<String> {
        let request = Request::get(path)
            .header("host", host)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", dest);
        let access = LocalAccess::default();
        let location = location(&access, &request.body(()).unwrap())?;
        Some(location.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_page_of_an_app_is_sent_on_to_its_own_origin() {
        const DASHBOARD: &str =
            "/api/v1/namespaces/kubernetes-dashboard/services/https:kubernetes-dashboard:/proxy/";
        for (host, path, location) in [
            (
                "localhost:8001",
                &*format!("{DASHBOARD}?a=b"),
                "//https-0.kubernetes-dashboard.kubernetes-dashboard.svc.localhost:8001/?a=b",
            ),
            (
                "127.0.0.1:8001",
                "/api/v1/namespaces/m/services/grafana:80/proxy",
                "//80.grafana.m.svc.localhost:8001/",
            ),
            (
                "[::1]",
                "/api/v1/namespaces/m/pods/p/proxy/a//b",
                "//p.m.pod.localhost/a//b",
            ),
            (
                "x.localhost",
                "/api/v1/namespaces/m/pods/p/proxy/a",
                "//p.m.pod.localhost/a",
            ),
        ] {
            assert_eq!(sent_on(host, path, "document").unwrap(), location);
            // A frame would be one of the API's page.
            assert_eq!(sent_on(host, path, "iframe"), None);
            // There the app's name leads to another machine.
            assert_eq!(sent_on("kg.example:8001", path, "document"), None);
        }
        for path in ["/api/v1/pods", "/api/v1/nodes/n/proxy/metrics", "/"] {
            assert_eq!(sent_on("localhost:8001", path, "document"), None, "{path}");
        }
    }
}
