//! Where a request goes: to the API under `--api-prefix`, to files under `--www-prefix`.

use std::{
    convert::Infallible,
    future::{Future, ready},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header::LOCATION, uri::PathAndQuery};
use tower::{Layer, Service, ServiceExt as _};
use tower_http::services::ServeDir;

use super::{Body, Error, guard::Refusal};

/// `--api-prefix`. As in kubectl, one that begins with `/api` belongs to the API server's own
/// paths and stays on the request; any other is taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Begins and ends with a slash.
    prefix: String,
    strip: bool,
}

impl Prefix {
    /// Reads the flag; slashes at both ends are added where they are missing, as kubectl does.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let mut prefix = prefix.to_owned();
        if !prefix.starts_with('/') {
            prefix.insert(0, '/');
        }
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let strip = prefix != "/" && !prefix.starts_with("/api");
        Self { prefix, strip }
    }

    /// The API server's path and query, byte for byte, or `None` for a path that is not under
    /// the prefix.
    fn of_api<'a>(&self, path_and_query: &'a str) -> Option<&'a str> {
        if !path_and_query.starts_with(&self.prefix) {
            return None;
        }
        Some(if self.strip {
            &path_and_query[self.prefix.len() - 1..]
        } else {
            path_and_query
        })
    }
}

/// `--www` under `--www-prefix`.
#[derive(Clone, Debug)]
pub struct StaticFiles {
    /// Begins and ends with a slash.
    prefix: String,
    folder: ServeDir,
}

impl StaticFiles {
    /// Serves `folder` under `prefix`.
    #[must_use]
    pub fn new(prefix: &str, folder: &Path) -> Self {
        Self {
            prefix: Prefix::new(prefix).prefix,
            folder: ServeDir::new(folder),
        }
    }

    async fn serve(self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let served = self.folder.oneshot(request).await;
        let response = served.unwrap_or_else(|never: Infallible| match never {});
        Ok(under(&self.prefix, response.map(Body::file)))
    }
}

/// Sends requests for files to the files, and hands on what is for the API.
#[derive(Debug)]
pub(super) struct RouteLayer(Arc<Routes>);

#[derive(Debug)]
struct Routes {
    api: Prefix,
    files: Option<StaticFiles>,
}

impl RouteLayer {
    pub(super) fn new(api: Prefix, files: Option<StaticFiles>) -> Self {
        Self(Arc::new(Routes { api, files }))
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Route<S> {
        Route {
            routes: self.0.clone(),
            inner,
        }
    }
}

/// An answer that does not come from the API.
type Elsewhere = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

/// See [`RouteLayer`].
#[derive(Clone, Debug)]
pub(super) struct Route<S> {
    routes: Arc<Routes>,
    inner: S,
}

impl<S, B> Service<Request<B>> for Route<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, Elsewhere>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.routes.route(request.uri()) {
            Ok(Way::Api) => Either::Left(self.inner.call(request)),
            Ok(Way::StrippedApi(uri)) => {
                *request.uri_mut() = uri;
                Either::Left(self.inner.call(request))
            }
            Ok(Way::File(files, uri)) => {
                *request.uri_mut() = uri;
                Either::Right(Box::pin(files.serve(request.map(|_| Body::Empty))))
            }
            Ok(Way::Slash(location)) => Either::Right(Box::pin(ready(Ok(redirect(location))))),
            Err(refusal) => Either::Right(Box::pin(ready(Err(refusal.into())))),
        }
    }
}

enum Way {
    Api,
    StrippedApi(Uri),
    File(StaticFiles, Uri),
    /// To a prefix without its last slash: as in kubectl, sent on to the one with it.
    Slash(HeaderValue),
}

impl Routes {
    fn route(&self, uri: &Uri) -> Result<Way, Refusal> {
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        if let Some(files) = &self.files
            && path.starts_with(&files.prefix)
        {
            let file = origin_form(&path[files.prefix.len() - 1..])?;
            return Ok(Way::File(files.clone(), file));
        }
        let files = self.files.as_ref().map(|files| &files.prefix);
        for prefix in files.into_iter().chain([&self.api.prefix]) {
            if prefix.strip_suffix('/') == Some(uri.path()) {
                return Ok(Way::Slash(with_slash(uri)?));
            }
        }
        match self.api.of_api(path) {
            Some(api) if api.len() == path.len() => Ok(Way::Api),
            Some(api) => Ok(Way::StrippedApi(origin_form(api)?)),
            None => Err(Refusal::not_found(format!(
                "nothing is served at this path; the API is at {} (--api-prefix)",
                self.api.prefix
            ))),
        }
    }
}

fn origin_form(path: &str) -> Result<Uri, Refusal> {
    let path = PathAndQuery::try_from(path).map_err(|e| Refusal::malformed(e.to_string()))?;
    Ok(Uri::from(path))
}

fn with_slash(uri: &Uri) -> Result<HeaderValue, Refusal> {
    let query = uri
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let location = format!("{}/{query}", uri.path());
    HeaderValue::try_from(location).map_err(|e| Refusal::malformed(e.to_string()))
}

fn redirect(location: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    response
}

/// The files know nothing of their prefix: where they lead elsewhere, as from a folder's name
/// to the folder, it is put back.
fn under(prefix: &str, mut response: Response<Body>) -> Response<Body> {
    if let Some(location) = response.headers().get(LOCATION)
        && let Ok(path) = location.to_str()
        && let Ok(location) = format!("{prefix}{}", path.trim_start_matches('/')).try_into()
    {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn api_path(prefix: &str, path: &str) -> Option<String> {
        Prefix::new(prefix).of_api(path).map(str::to_owned)
    }

    #[test]
    fn a_prefix_of_our_own_is_taken_off_byte_for_byte() {
        assert_eq!(
            api_path("/k8s", "/k8s/api//v1/%2F?x=%20"),
            Some("/api//v1/%2F?x=%20".to_owned())
        );
        assert_eq!(api_path("k8s/", "/k8s/"), Some("/".to_owned()));
        assert_eq!(api_path("/k8s", "/k8sx/api"), None);
        assert_eq!(api_path("/k8s", "/api"), None);
    }

    #[test]
    fn a_prefix_that_begins_with_api_stays_on() {
        assert_eq!(
            api_path("/api/v1", "/api/v1/pods"),
            Some("/api/v1/pods".to_owned())
        );
        assert_eq!(
            api_path("/apis", "/apis/apps/v1"),
            Some("/apis/apps/v1".to_owned())
        );
        assert_eq!(api_path("/api/v1", "/version"), None);
    }

    #[test]
    fn the_default_prefix_leaves_every_path_alone() {
        assert_eq!(api_path("/", "//api/../x"), Some("//api/../x".to_owned()));
    }
}
