//! Where a request goes: to the API under `--api-prefix`, to files under `--www-prefix`.

use std::{
    borrow::Cow,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header::LOCATION, uri::PathAndQuery};
use tower::{Layer, Service};

use super::{Body, Error, files::StaticFiles, refusal::Refusal};

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

    /// The prefix as text.
    pub(super) fn into_string(self) -> String {
        self.prefix
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
    /// As in kubectl, where Go's `ServeMux` routes: the longer prefix wins, and one without its
    /// last slash leads to the one with it, even where a shorter prefix would take it.
    fn route(&self, uri: &Uri) -> Result<Way, Refusal> {
        let given = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        // In absolute form the path may be left out; it is "/" then (RFC 9110 section 4.2.3).
        let path = match given.strip_prefix('?') {
            Some(_) => Cow::Owned(format!("/{given}")),
            None => Cow::Borrowed(given),
        };
        let files = self.files.as_ref();
        let prefixes = files.map(StaticFiles::prefix).into_iter();
        for prefix in prefixes.chain([self.api.prefix.as_str()]) {
            if prefix.strip_suffix('/') == Some(uri.path()) {
                return Ok(Way::Slash(with_slash(uri)?));
            }
        }
        let api = self.api.of_api(&path);
        let api_is_longer = |files: &str| api.is_some() && self.api.prefix.len() > files.len();
        if let Some(files) = files
            && path.starts_with(files.prefix())
            && !api_is_longer(files.prefix())
        {
            let file = origin_form(&path[files.prefix().len() - 1..])?;
            return Ok(Way::File(files.clone(), file));
        }
        match api {
            Some(api) if api.len() == given.len() => Ok(Way::Api),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::proxy::StaticFileOptions;

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

    /// `api` with the API's path, `file` with the file's, `slash`, or nothing.
    fn routed(api: &str, www: &str, path: &str) -> (&'static str, String) {
        let routes = Routes {
            api: Prefix::new(api),
            files: Some(StaticFiles::new(
                www,
                Path::new("/www"),
                StaticFileOptions::default(),
            )),
        };
        match routes.route(&path.parse().unwrap()) {
            Ok(Way::Api) => ("api", path.to_owned()),
            Ok(Way::StrippedApi(uri)) => ("api", uri.to_string()),
            Ok(Way::File(_, uri)) => ("file", uri.to_string()),
            Ok(Way::Slash(to)) => ("slash", to.to_str().unwrap().to_owned()),
            Err(_) => ("nothing", String::new()),
        }
    }

    #[test]
    fn the_longer_prefix_wins() {
        for (api, www, path, to) in [
            // A page beside the API, as kubectl's manual has it.
            (
                "/api/",
                "/",
                "/api/v1/pods?a=b",
                ("api", "/api/v1/pods?a=b"),
            ),
            ("/api/", "/", "/api/", ("api", "/api/")),
            ("/api/", "/", "/api", ("slash", "/api/")),
            ("/api/", "/", "/apis/apps/v1", ("file", "/apis/apps/v1")),
            ("/api/", "/", "/apix", ("file", "/apix")),
            ("/api/", "/", "/", ("file", "/")),
            ("/api/", "/", "/?/api/", ("file", "/?/api/")),
            ("/", "/static/", "/static/a", ("file", "/a")),
            ("/", "/static/", "/static?a", ("slash", "/static/?a")),
            ("/", "/static/", "/statics", ("api", "/statics")),
            ("/", "/static/", "/", ("api", "/")),
            // Absolute form, without a path.
            ("/", "/static/", "http://localhost?a=b", ("api", "/?a=b")),
            ("/static/", "/", "http://localhost?a=b", ("file", "/?a=b")),
            ("/one", "/two", "http://localhost?a=b", ("nothing", "")),
            ("/k8s", "/", "/k8s/api/v1", ("api", "/api/v1")),
            ("/k8s", "/", "/k8s", ("slash", "/k8s/")),
            ("/k8s", "/k8s/ui", "/k8s/ui/a", ("file", "/a")),
            ("/k8s", "/k8s/ui", "/k8s/ui", ("slash", "/k8s/ui/")),
            ("/k8s", "/k8s/ui", "/k8s/api", ("api", "/api")),
            ("/ui/k8s", "/ui", "/ui/k8s/api", ("api", "/api")),
            ("/ui/k8s", "/ui", "/ui/a", ("file", "/a")),
            ("/ui/k8s", "/ui", "/api", ("nothing", "")),
            ("/one", "/two", "/one/a", ("api", "/a")),
            ("/one", "/two", "/two/a", ("file", "/a")),
            ("/one", "/two", "/", ("nothing", "")),
        ] {
            let got = routed(api, www, path);
            assert_eq!((got.0, got.1.as_str()), to, "{api} {www} {path}");
        }
    }

    #[test]
    fn the_default_prefix_leaves_every_path_alone() {
        assert_eq!(api_path("/", "//api/../x"), Some("//api/../x".to_owned()));
    }
}
