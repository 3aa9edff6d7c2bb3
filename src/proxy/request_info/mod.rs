//! [`RequestInfo`]: what a request asks of the API server, read once, in the words of
//! k8s.io/apiserver's `RequestInfo`.
//!
//! Nothing in a request says where its path ends up: an API server may stand below a path
//! (`/k8s/clusters/c-1/api/v1/...`) or behind another one's proxy, and a proxy in front of it may
//! clean the path first. So a request has a first reading, that of an API server which gets the path
//! as it is, and may have others. What protects something asks all of them ([`RequestInfo::readings`],
//! [`Reading::resources`]); what only prepares for the response asks the first.
//!
//! [`RequestInfo::verb`] and [`RequestInfo::name`] complete k8s.io/apiserver's `RequestInfo` for
//! layers that decide by them; none of the layers here does yet.
//!
//! | subject | file |
//! |---|---|
//! | the path, decoded, in each reading | `path` |
//! | an API path as verb, resource, name, subresource | `resource` |
//! | query parameters: `watch`, `fieldSelector` | `query` |
//! | the layer that reads each request | `layer` |

mod layer;
mod path;
mod query;
mod resource;

use std::{borrow::Cow, sync::Arc};

use http::{Method, Request, uri::PathAndQuery};

pub use layer::{ReadRequestInfo, layer};
pub use path::AmbiguousPath;
pub(super) use path::has_one_reading;
use query::WatchParameter;
use resource::Spans;
pub use resource::{Resource, Verb};

/// Returns every reading of a raw path, the API server's first.
///
/// # Errors
/// The path means different things to different servers.
pub(super) fn decoded_readings(raw: &str) -> Result<Vec<Cow<'_, str>>, AmbiguousPath> {
    let path::DecodedPath { text, others } = path::decode(raw)?;
    let others = others.into_iter().map(Cow::Owned);
    Ok(std::iter::once(text).chain(others).collect())
}

/// What a request asks of the API server. Kept among the request's extensions; cheap to clone.
///
/// ```
/// use http::Request;
/// use kubegate::proxy::request_info::{RequestInfo, Verb};
///
/// let request = Request::get("/api/v1/namespaces/shop/pods?watch=1").body(()).unwrap();
/// let info = RequestInfo::read(&request).unwrap();
/// let resource = info.resource().unwrap();
/// assert_eq!(resource.verb, Verb::Watch);
/// assert_eq!((resource.namespace, resource.resource), ("shop", "pods"));
/// ```
#[derive(Clone, Debug)]
pub struct RequestInfo(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    method: Method,
    target: PathAndQuery,
    watch: WatchParameter,
    /// The decoded path, where it differs from the target's.
    decoded: Option<String>,
    resources: Resources,
    /// The other paths that a server may make of it. Ordinary requests have none.
    others: Vec<(String, Resources)>,
}

impl RequestInfo {
    /// Reads a request whose URI is the one that will be forwarded, `--api-prefix` stripped.
    ///
    /// # Errors
    /// The path means different things to different servers.
    pub fn read<B>(request: &Request<B>) -> Result<Self, AmbiguousPath> {
        let method = request.method();
        let target = request.uri().path_and_query();
        let target = target.ok_or(AmbiguousPath::NoPath)?.clone();
        let path::DecodedPath { text, others } = path::decode(target.path())?;
        let watch = WatchParameter::read(target.query());
        let read = |path: &str| Resources::read(method, path, watch);
        let resources = read(&text);
        let others = others.into_iter().map(|path| {
            let resources = read(&path);
            (path, resources)
        });
        let others = others.collect();
        let decoded = match text {
            Cow::Owned(text) => Some(text),
            Cow::Borrowed(_) => None,
        };
        Ok(Self(Arc::new(Inner {
            method: method.clone(),
            target,
            watch,
            decoded,
            resources,
            others,
        })))
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.0.method
    }

    /// The decoded path.
    #[must_use]
    pub fn path(&self) -> &str {
        let decoded = self.0.decoded.as_deref();
        decoded.unwrap_or_else(|| self.0.target.path())
    }

    /// The resource that the API server reads in the path; `None` for a non-resource request.
    #[must_use]
    pub fn resource(&self) -> Option<Resource<'_>> {
        self.first_reading().resource()
    }

    /// The verb that the API server authorises: for a non-resource request the method in lower case.
    #[must_use]
    pub fn verb(&self) -> Cow<'_, str> {
        match self.resource() {
            Some(resource) => resource.verb.as_str().into(),
            None => self.0.method.as_str().to_ascii_lowercase().into(),
        }
    }

    /// The name of the object: that in the path or, for a list or watch, the one that the field
    /// selector `metadata.name=` requires. Empty where there is none.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self.resource() {
            None => "".into(),
            Some(Resource {
                verb: Verb::List | Verb::Watch,
                has_verb_in_path: false,
                name: "",
                ..
            }) => query::selected_name(self.0.target.query())
                .unwrap_or_default()
                .into(),
            Some(resource) => resource.name.into(),
        }
    }

    /// Whether the request is a watch in any reading.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        let is_watch = |resource: Resource<'_>| {
            resource.verb == Verb::Watch && resource.subresource.is_empty()
        };
        self.readings()
            .any(|reading| reading.resources().any(is_watch))
    }

    /// Whether a boolean query parameter is on, by the API server's rules.
    #[must_use]
    pub fn is_on(&self, parameter: &str) -> bool {
        query::is_on(self.0.target.query(), parameter)
    }

    /// All readings of the path, the API server's first.
    pub fn readings(&self) -> impl Iterator<Item = Reading<'_>> {
        let others = self.0.others.iter();
        let others = others.map(|(path, resources)| Reading {
            info: &self.0,
            path,
            resources,
        });
        std::iter::once(self.first_reading()).chain(others)
    }

    fn first_reading(&self) -> Reading<'_> {
        Reading {
            info: &self.0,
            path: self.path(),
            resources: &self.0.resources,
        }
    }
}

/// One reading of a request's path.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    info: &'a Inner,
    path: &'a str,
    resources: &'a Resources,
}

impl<'a> Reading<'a> {
    /// The decoded path.
    #[must_use]
    pub fn path(self) -> &'a str {
        self.path
    }

    /// The resource that the path as a whole asks for.
    #[must_use]
    pub fn resource(self) -> Option<Resource<'a>> {
        let spans = self.resources.whole.as_ref()?;
        Some(spans.resource(self.path))
    }

    /// The resources that the path asks for, wherever in it an API path begins.
    pub fn resources(self) -> impl Iterator<Item = Resource<'a>> {
        let Inner { method, watch, .. } = self.info;
        let trimmed = self.path.trim_end_matches('/');
        let nested = self.resources.nested.iter();
        let nested = nested.filter_map(|begin| {
            let spans = Spans::read(method, trimmed, *begin as usize, *watch)?;
            Some(spans.resource(self.path))
        });
        self.resource().into_iter().chain(nested)
    }
}

/// The resources of one path.
#[derive(Debug)]
struct Resources {
    /// That of the path as a whole.
    whole: Option<Spans>,
    /// Where further API paths may begin. They are rare, and a path can have thousands, so they are
    /// read when they are asked for.
    nested: Vec<u32>,
}

impl Resources {
    fn read(method: &Method, path: &str, watch: WatchParameter) -> Self {
        const ROOT: &[u8] = b"/api";
        let whole = Spans::read(method, path.trim_end_matches('/'), 0, watch);
        let begin = whole.as_ref().map_or(0, |spans| spans.begin) + 1;
        let begins = path.bytes().enumerate().skip(begin);
        let nested = begins
            .filter(|(at, byte)| *byte == b'/' && path.as_bytes()[*at..].starts_with(ROOT))
            .filter_map(|(at, _)| u32::try_from(at).ok())
            .collect();
        Self { whole, nested }
    }
}

#[cfg(test)]
mod tests;
