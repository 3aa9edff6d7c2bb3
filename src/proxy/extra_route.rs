//! [`ExtraRoute`]: a path below which requests go to another server than the API server, with the
//! credential of a context.
//!
//! The route layer marks such requests ([`ToExtraRoute`]), so that the layers between judge the path as it
//! was asked for and sandbox the response. The innermost layers replace the prefix.

use std::sync::Arc;

use http::{Request, Uri, uri::PathAndQuery};

use super::{
    head_filter::HeadFilter, header_names::canonical, header_names::remove_where, refusal::Refusal,
};
use crate::{credential::Cache, upstream::Upstream};

/// A path, and the server that it leads to.
pub struct ExtraRoute {
    prefix: String,
    context: Option<String>,
    upstreams: Arc<[Arc<Upstream>]>,
}

impl ExtraRoute {
    /// Leads from `prefix`, which begins and ends with a slash, to a server with one upstream for each
    /// worker. `context` is the one whose credential it gets, by its name; `None` means the only one.
    #[must_use]
    pub fn new(prefix: String, context: Option<String>, upstreams: Arc<[Arc<Upstream>]>) -> Self {
        Self {
            prefix,
            context,
            upstreams,
        }
    }

    /// The path, with slashes at both ends.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The context whose credential the server gets.
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.context.as_deref()
    }

    pub(super) fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }
}

/// A route with the credential that its server gets.
#[derive(Clone)]
pub struct RouteDestination {
    /// The route.
    pub route: Arc<ExtraRoute>,
    /// The credential.
    pub credentials: Arc<Cache>,
    /// Whether the credential is for this server alone. Only then does a 401 say something about it.
    pub has_own_credential: bool,
}

/// Among the extensions of a request that goes to the server of a route.
#[derive(Clone, Copy, Debug)]
pub(super) struct ToExtraRoute;

/// Takes the prefix off the path, and identities that only an API server may be told off the head.
pub(super) struct RouteHead(pub(super) Arc<ExtraRoute>);

impl HeadFilter for RouteHead {
    fn filter<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let given = request
            .uri()
            .path_and_query()
            .map_or("/", PathAndQuery::as_str);
        let path = given.strip_prefix(self.0.prefix.trim_end_matches('/'));
        let path = path.filter(|path| path.starts_with('/')).ok_or_else(|| {
            Refusal::bug(
                "wrong route",
                "a request came to the server of another route",
            )
        })?;
        let path = PathAndQuery::try_from(path)
            .map_err(|error| Refusal::malformed("malformed path", error.to_string()))?;
        *request.uri_mut() = Uri::from(path);
        remove_where(request.headers_mut(), |name| {
            canonical(name).starts_with("impersonate-")
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_prefix_is_taken_off_byte_for_byte() {
        let route = ExtraRoute::new("/a/b/".to_owned(), None, Arc::new([]));
        let head = RouteHead(Arc::new(route));
        for (given, sent) in [
            ("/a/b/", "/"),
            ("/a/b/?x=/a/b/", "/?x=/a/b/"),
            ("/a/b/a/b/%2F?x=%20", "/a/b/%2F?x=%20"),
        ] {
            let request = Request::get(given).header("Impersonate-User", "root");
            let mut request = request.header("impersonate_group", "g").body(()).unwrap();
            head.filter(&mut request).unwrap();
            assert_eq!(request.uri(), sent);
            assert!(request.headers().is_empty());
        }
        let mut other = Request::get("/a/bc").body(()).unwrap();
        assert!(head.filter(&mut other).is_err());
    }
}
