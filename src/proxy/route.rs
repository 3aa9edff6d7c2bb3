//! Routes requests: to a context's API under `/clusters/`, to the API under `--api-prefix`, to files
//! under `--www-prefix`.
//!
//! The API's own requests go on to the inner service, with the prefix stripped.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use http::{Request, Response};
//! use kubegate::proxy::{Body, Contexts, Error, Prefix, route::RouteLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let service = ServiceBuilder::new()
//!     .layer(RouteLayer::new(Contexts::only(None), Prefix::new("/k8s/"), None))
//!     .service(service_fn(async |request: Request<()>| {
//!         assert_eq!(request.uri(), "/api/v1/pods");
//!         Ok::<_, Error>(Response::new(Body::Empty))
//!     }));
//! let request = Request::get("/k8s/api/v1/pods").body(()).unwrap();
//! assert!(service.clone().oneshot(request).await.is_ok());
//! let elsewhere = Request::get("/other").body(()).unwrap();
//! assert!(matches!(service.oneshot(elsewhere).await, Err(Error::Refused(_))));
//! # }
//! ```

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

use super::{
    body::Body,
    context_list,
    context_path::{self, ContextPath},
    contexts::{CLUSTERS, ContextChoice, ContextEntry, ContextTable, Contexts, NamedContext, Root},
    error::Error,
    extra_route::{ExtraRoute, ToExtraRoute},
    files::StaticFiles,
    location,
    path_prefix::Prefix,
    refusal::Refusal,
    reload::Chosen,
    request_record::RequestRecord,
};
use crate::kubeconfig::Slug;

/// Answers requests for files, and passes on what is for the API.
pub struct RouteLayer(Arc<Routes>);

struct Routes {
    contexts: Contexts,
    api: Prefix,
    files: Option<StaticFiles>,
    extra: Vec<Arc<ExtraRoute>>,
}

impl RouteLayer {
    /// Serves contexts, the API of one of them under a prefix, and perhaps files under another.
    #[must_use]
    pub fn new(contexts: Contexts, api: Prefix, files: Option<StaticFiles>) -> Self {
        Self(Arc::new(Routes {
            contexts,
            api,
            files,
            extra: Vec::new(),
        }))
    }

    /// Also serves paths that lead to other servers, none of them below another.
    #[must_use]
    pub fn with_routes(self, extra: Vec<Arc<ExtraRoute>>) -> Self {
        let Routes {
            contexts,
            api,
            files,
            ..
        } = &*self.0;
        Self(Arc::new(Routes {
            contexts: contexts.clone(),
            api: api.clone(),
            files: files.clone(),
            extra,
        }))
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

/// See [`RouteLayer`].
#[derive(Clone)]
pub struct Route<S> {
    routes: Arc<Routes>,
    inner: S,
}

impl<S, B> Service<Request<B>> for Route<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<S::Future, BoxedResponse>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.routes.find(&mut request) {
            Ok(RouteMatch::Api) => Either::Left(self.inner.call(request)),
            Ok(RouteMatch::Context(slug)) => {
                let response = self.inner.call(request);
                Either::Right(Box::pin(async move {
                    let mut response = response.await?;
                    location::put_below(&slug, response.headers_mut());
                    Ok(response)
                }))
            }
            Ok(RouteMatch::File(files, uri)) => {
                *request.uri_mut() = uri;
                Either::Right(Box::pin(files.serve(request.map(|_| Body::Empty))))
            }
            Ok(RouteMatch::Local(response)) => Either::Right(Box::pin(ready(Ok(response)))),
            Err(refusal) => Either::Right(Box::pin(ready(Err(refusal.into())))),
        }
    }
}

type BoxedResponse = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

enum RouteMatch {
    /// An API, whose own path the request has now.
    Api,
    /// The same, of the context that the path named.
    Context(Slug),
    File(StaticFiles, Uri),
    /// A response of the route's own.
    Local(Response<Body>),
}

impl Routes {
    /// Finds where a request goes. One for an API gets that API's own path.
    fn find<B>(&self, request: &mut Request<B>) -> Result<RouteMatch, Refusal> {
        if let Some(choice) = request.extensions_mut().remove::<ContextChoice>() {
            self.choose_by(&choice, request)?;
            return Ok(RouteMatch::Api);
        }
        let is_below = request.uri().path().starts_with(CLUSTERS);
        // Nearly all requests of a proxy with one context.
        if self.contexts.is_only() && !is_below {
            return match self.find_extra(request)? {
                Some(found) => Ok(found),
                None => self.find_at_root(None, request),
            };
        }
        self.find_by_path(request)
    }

    /// Sends a request to the context that a layer above has chosen.
    fn choose_by<B>(
        &self,
        choice: &ContextChoice,
        request: &mut Request<B>,
    ) -> Result<(), Refusal> {
        // The only target gets it without a look-up, and may belong to no context: the flags name it then.
        if self.contexts.is_only() && *choice == ContextChoice::Default {
            return Ok(());
        }
        choose(request, chosen(&self.contexts.load(), choice)?);
        Ok(())
    }

    /// Finds where a request goes whose path may name a context.
    fn find_by_path<B>(&self, request: &mut Request<B>) -> Result<RouteMatch, Refusal> {
        let table = self.contexts.load();
        let uri = request.uri();
        let given = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        match context_path::read(&table, given)? {
            ContextPath::List => {
                let list = context_list::respond(&table, request.method())?;
                Ok(RouteMatch::Local(list))
            }
            ContextPath::Context(entry, begin) => {
                if !given[begin..].starts_with('/') {
                    return Ok(RouteMatch::Local(redirect(with_slash(uri)?)));
                }
                let path = origin_form(&given[begin..])?;
                *request.uri_mut() = path;
                choose(request, &entry);
                let slug = entry.slug().clone();
                request.extensions_mut().insert(NamedContext(slug.clone()));
                Ok(RouteMatch::Context(slug))
            }
            ContextPath::Other if self.contexts.is_only() => self.find_at_root(None, request),
            ContextPath::Other => match self.find_extra(request)? {
                Some(found) => Ok(found),
                None => self.find_at_root(Some(&table), request),
            },
        }
    }

    /// Finds the route to another server. The path stays as it is until the layers below have judged it.
    fn find_extra<B>(&self, request: &mut Request<B>) -> Result<Option<RouteMatch>, Refusal> {
        let path = request.uri().path();
        let leads = |route: &&Arc<ExtraRoute>| {
            let rest = path.strip_prefix(route.prefix().trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let Some(route) = self.extra.iter().find(leads) else {
            return Ok(None);
        };
        if path.len() < route.prefix().len() {
            let location = with_slash(request.uri())?;
            return Ok(Some(RouteMatch::Local(redirect(location))));
        }
        let mut chosen = Chosen {
            handle: None,
            route: Some(Arc::clone(route)),
        };
        if !self.contexts.is_only() {
            let table = self.contexts.load();
            let name = route.context().unwrap_or_default();
            let entry = table.entries().iter().find(|e| e.summary().name == name);
            let entry = entry.ok_or_else(|| {
                let prefix = route.prefix();
                Refusal::not_found(
                    "route of another context",
                    format!("{prefix} is a route of the context {name:?}, which is not served now"),
                )
            })?;
            note_choice(request, entry);
            chosen.handle = Some(entry.handle().clone());
        }
        let uri = path_alone(request.uri())?;
        *request.uri_mut() = uri;
        let extensions = request.extensions_mut();
        extensions.insert(chosen);
        extensions.insert(ToExtraRoute);
        Ok(Some(RouteMatch::Api))
    }

    /// Finds the route as kubectl does by Go's `ServeMux`: the longer prefix wins, and a path that is a
    /// prefix without its last slash is redirected even where a shorter prefix matches. `table` is given
    /// where there are several contexts.
    fn find_at_root<B>(
        &self,
        table: Option<&ContextTable>,
        request: &mut Request<B>,
    ) -> Result<RouteMatch, Refusal> {
        let uri = request.uri();
        let given = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        // The absolute form may omit the path, which is "/" then (RFC 9110 section 4.2.3).
        let path = match given.strip_prefix('?') {
            Some(_) => Cow::Owned(format!("/{given}")),
            None => Cow::Borrowed(given),
        };
        let files = self.files.as_ref();
        let prefixes = files.map(StaticFiles::prefix).into_iter();
        for prefix in prefixes.chain([self.api.as_str()]) {
            if prefix.strip_suffix('/') == Some(uri.path()) {
                return Ok(RouteMatch::Local(redirect(with_slash(uri)?)));
            }
        }
        let api = self.api.strip(&path);
        let api_is_longer = |files: &str| api.is_some() && self.api.as_str().len() > files.len();
        if let Some(files) = files
            && path.starts_with(files.prefix())
            && !api_is_longer(files.prefix())
        {
            let file = origin_form(&path[files.prefix().len() - 1..])?;
            return Ok(RouteMatch::File(files.clone(), file));
        }
        let Some(api) = api else {
            return Err(Refusal::not_found(
                "--api-prefix",
                format!(
                    "nothing is served at this path; the API is at {} (--api-prefix)",
                    self.api.as_str()
                ),
            ));
        };
        let is_stripped = api.len() != given.len();
        let stripped = is_stripped.then(|| origin_form(api)).transpose()?;
        if let Some(table) = table {
            choose(request, default_entry(table)?);
        }
        if let Some(uri) = stripped {
            *request.uri_mut() = uri;
        }
        Ok(RouteMatch::Api)
    }
}

/// Sends a request to a context.
fn choose<B>(request: &mut Request<B>, entry: &ContextEntry) {
    note_choice(request, entry);
    request.extensions_mut().insert(Chosen {
        handle: Some(entry.handle().clone()),
        route: None,
    });
}

fn note_choice<B>(request: &Request<B>, entry: &ContextEntry) {
    entry.note_request();
    if let Some(record) = request.extensions().get::<RequestRecord>() {
        record.set_context(entry.slug().clone());
    }
}

/// Returns the path and query of a request in any form.
fn path_alone(uri: &Uri) -> Result<Uri, Refusal> {
    origin_form(uri.path_and_query().map_or("/", PathAndQuery::as_str))
}

/// Returns the context that a layer above has chosen.
fn chosen<'a>(
    table: &'a ContextTable,
    choice: &ContextChoice,
) -> Result<&'a ContextEntry, Refusal> {
    let ContextChoice::Slug(slug) = choice else {
        return default_entry(table);
    };
    let entry = table.by_slug(slug).map(AsRef::as_ref);
    entry.ok_or_else(|| {
        let addresses = table.addresses();
        Refusal::not_found(
            "unknown context",
            format!("no context {slug} is served; the contexts are at {addresses}"),
        )
    })
}

/// Returns the context that is served at `/`.
fn default_entry(table: &ContextTable) -> Result<&ContextEntry, Refusal> {
    let entry = table.default_entry().map(AsRef::as_ref);
    entry.ok_or_else(|| {
        let addresses = table.addresses();
        let message = match table.root() {
            Root::Default(name) => format!(
                "the context {name:?} of --default-context is gone from the kubeconfig; the contexts \
                 are at {addresses}"
            ),
            Root::Only | Root::Nothing => format!(
                "several contexts are served, so no API is at /; the contexts are at {addresses}, and \
                 --default-context serves one of them here too"
            ),
        };
        Refusal::not_found("no default context", message)
    })
}

fn origin_form(path: &str) -> Result<Uri, Refusal> {
    let path = PathAndQuery::try_from(path)
        .map_err(|e| Refusal::malformed("malformed path", e.to_string()))?;
    Ok(Uri::from(path))
}

fn with_slash(uri: &Uri) -> Result<HeaderValue, Refusal> {
    let query = uri
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let location = format!("{}/{query}", uri.path());
    HeaderValue::try_from(location).map_err(|e| Refusal::malformed("malformed path", e.to_string()))
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
    use crate::proxy::{Prefix, StaticFileOptions};

    /// `api` with the API's path, `file` with the file's, `slash` for a redirect, or nothing.
    fn routed(api: &str, www: &str, path: &str) -> (&'static str, String) {
        let routes = Routes {
            contexts: Contexts::only(None),
            api: Prefix::new(api),
            files: Some(StaticFiles::new(
                www,
                Path::new("/www"),
                StaticFileOptions::default(),
            )),
            extra: Vec::new(),
        };
        let mut request = Request::get(path).body(()).unwrap();
        match routes.find(&mut request) {
            Ok(RouteMatch::Api | RouteMatch::Context(_)) => {
                let path = request.uri().path_and_query();
                ("api", path.map_or("", PathAndQuery::as_str).to_owned())
            }
            Ok(RouteMatch::File(_, uri)) => ("file", uri.to_string()),
            Ok(RouteMatch::Local(response)) => {
                let to = response.headers()[LOCATION].to_str().unwrap();
                ("slash", to.to_owned())
            }
            Err(_) => ("nothing", String::new()),
        }
    }

    #[test]
    fn the_longer_prefix_wins() {
        for (api, www, path, to) in [
            // A page beside the API, as in kubectl's manual.
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
            // The absolute form without a path.
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
}
