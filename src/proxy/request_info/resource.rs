//! [`Resource`]: a path in the API server's own terms: verb, group, resource, name, subresource.

use http::Method;

use super::query::WatchParameter;

/// The verb that the API server authorises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    /// The legacy `/api/v1/proxy/...` form, by whatever method.
    Proxy,
    /// The empty verb, by which the API server authorises every other method.
    Empty,
}

impl Verb {
    /// The verb as the API server writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Proxy => "proxy",
            Self::Empty => "",
        }
    }
}

/// What an API path asks of a resource. Empty text stands for a part that the path has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// The verb by method, name, `watch` parameter and path.
    pub verb: Verb,
    /// Whether a segment of the path, `watch` or `proxy`, is the verb: a legacy form.
    pub has_verb_in_path: bool,
    /// Whether `watch` is spelled without escapes. Only the guard asks: what an API server decodes,
    /// another server may not.
    pub is_plain_watch: bool,
    /// The API group; empty for `/api`.
    pub api_group: &'a str,
    /// Such as `v1`.
    pub api_version: &'a str,
    /// The namespace; empty for what has none.
    pub namespace: &'a str,
    /// Such as `pods`.
    pub resource: &'a str,
    /// The object's name in the path. It may hold a scheme and a port: `https:node:10250`.
    pub name: &'a str,
    /// Such as `exec`.
    pub subresource: &'a str,
    /// What follows the subresource; for `proxy` the path of the proxied request, without slashes
    /// at its end.
    pub rest: &'a str,
    /// What precedes the API path: empty, or the path under which another API server is reached.
    pub base_path: &'a str,
}

impl Resource<'_> {
    /// The path that asks for the same in today's form, without slashes at its end: for
    /// `/api/v1/watch/secrets` it is `/api/v1/secrets`.
    #[must_use]
    pub fn canonical_path(&self) -> String {
        let (root, group) = match self.api_group {
            "" => ("/api", ""),
            group => ("/apis", group),
        };
        let in_namespace = !self.namespace.is_empty() && self.resource != "namespaces";
        let namespaces = if in_namespace { "namespaces" } else { "" };
        let namespace = if in_namespace { self.namespace } else { "" };
        let subresource = match self.verb {
            Verb::Proxy => "proxy",
            _ => self.subresource,
        };
        let parts = [
            group,
            self.api_version,
            namespaces,
            namespace,
            self.resource,
            self.name,
            subresource,
            self.rest,
        ];
        let mut path = [self.base_path, root].concat();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            path.push('/');
            path.push_str(part);
        }
        path
    }
}

/// Where in a path the parts of a [`Resource`] are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spans {
    verb: Verb,
    has_verb_in_path: bool,
    is_plain_watch: bool,
    /// The length of what precedes the API path.
    pub(super) begin: usize,
    api_group: Span,
    api_version: Span,
    namespace: Span,
    resource: Span,
    name: Span,
    subresource: Span,
    rest: Span,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn of(self, path: &str) -> &str {
        &path[self.start..self.end]
    }

    fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl Spans {
    /// Reads the API path that begins at byte `begin` of a decoded path, by the rules of
    /// `RequestInfoFactory.NewRequestInfo` in k8s.io/apiserver/pkg/endpoints/request. `None` is a
    /// non-resource request. Slashes at the end of the path must have been trimmed.
    pub(super) fn read(
        method: &Method,
        path: &str,
        begin: usize,
        watch: WatchParameter,
    ) -> Option<Self> {
        let mut segments = Segments::new(path, begin);
        let first = segments.next()?;
        let mut api_group = Span::default();
        match first.of(path) {
            "api" => {}
            "apis" => api_group = segments.next()?,
            _ => return None,
        }
        let api_version = segments.next()?;
        let mut resource = segments.next()?;
        let verb_in_path = match resource.of(path) {
            "proxy" => Some(Verb::Proxy),
            "watch" => Some(Verb::Watch),
            _ => None,
        };
        if verb_in_path.is_some() {
            resource = segments.next()?;
        }
        let mut name = segments.next().unwrap_or_default();
        let mut namespace = Span::default();
        if resource.of(path) == "namespaces" {
            namespace = name;
            // A segment behind a namespace is a resource in it, unless it is a subresource of
            // namespaces.
            let inner = segments.peek();
            if let Some(inner) =
                inner.filter(|part| !matches!(part.of(path), "status" | "finalize"))
            {
                segments.next();
                resource = inner;
                name = segments.next().unwrap_or_default();
            }
        }
        let subresource = match verb_in_path {
            Some(Verb::Proxy) => Span::default(),
            _ => segments.next().unwrap_or_default(),
        };
        let verb = verb_in_path.unwrap_or_else(|| verb(method, name.is_empty(), watch));
        let is_plain_watch =
            verb == Verb::Watch && (verb_in_path.is_some() || watch == WatchParameter::PlainlyOn);
        Some(Self {
            verb,
            has_verb_in_path: verb_in_path.is_some(),
            is_plain_watch,
            begin: first.start - 1,
            api_group,
            api_version,
            namespace,
            resource,
            name,
            subresource,
            rest: segments.rest(),
        })
    }

    /// The parts as text of the path that was read.
    pub(super) fn resource<'a>(&self, path: &'a str) -> Resource<'a> {
        Resource {
            verb: self.verb,
            has_verb_in_path: self.has_verb_in_path,
            is_plain_watch: self.is_plain_watch,
            api_group: self.api_group.of(path),
            api_version: self.api_version.of(path),
            namespace: self.namespace.of(path),
            resource: self.resource.of(path),
            name: self.name.of(path),
            subresource: self.subresource.of(path),
            rest: self.rest.of(path),
            base_path: &path[..self.begin],
        }
    }
}

fn verb(method: &Method, is_nameless: bool, watch: WatchParameter) -> Verb {
    match *method {
        Method::GET | Method::HEAD if !is_nameless => Verb::Get,
        Method::GET | Method::HEAD if watch != WatchParameter::Off => Verb::Watch,
        Method::GET | Method::HEAD => Verb::List,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE if is_nameless => Verb::DeleteCollection,
        Method::DELETE => Verb::Delete,
        _ => Verb::Empty,
    }
}

/// The segments of a path that are still to be read. Slashes at the start belong to none.
struct Segments<'a> {
    path: &'a str,
    /// Where the next segment starts; `None` after the last.
    next: Option<usize>,
}

impl<'a> Segments<'a> {
    fn new(path: &'a str, begin: usize) -> Self {
        let segments = path[begin..].trim_start_matches('/');
        Self {
            path,
            next: Some(path.len() - segments.len()),
        }
    }

    fn next(&mut self) -> Option<Span> {
        let segment = self.peek()?;
        self.next = (segment.end < self.path.len()).then_some(segment.end + 1);
        Some(segment)
    }

    fn peek(&self) -> Option<Span> {
        let start = self.next?;
        let length = self.path[start..].find('/');
        let end = length.map_or(self.path.len(), |length| start + length);
        Some(Span { start, end })
    }

    fn rest(&self) -> Span {
        let end = self.path.len();
        Span {
            start: self.next.unwrap_or(end),
            end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(method: &Method, target: &'a str) -> Option<Resource<'a>> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let trimmed = path.trim_end_matches('/');
        let spans = Spans::read(method, trimmed, 0, WatchParameter::read(query))?;
        Some(spans.resource(path))
    }

    #[test]
    fn a_resource_path_is_read_as_the_api_server_reads_it() {
        for (path, parts_of_it) in [
            ("/api/v1/namespaces", "- - namespaces - - -"),
            ("/api/v1/namespaces/x", "- x namespaces x - -"),
            ("/api/v1/namespaces/x/status", "- x namespaces x status -"),
            (
                "/api/v1/namespaces/x/finalize",
                "- x namespaces x finalize -",
            ),
            ("/api/v1/namespaces/x/pods", "- x pods - - -"),
            ("/api/v1/namespaces/x/pods/p", "- x pods p - -"),
            ("/api/v1/namespaces/x/pods/p/", "- x pods p - -"),
            ("/api/v1/namespaces/x/pods/p/exec", "- x pods p exec -"),
            ("/api/v1/namespaces/x/pods/p/exec/", "- x pods p exec -"),
            ("/api/v1/pods/p/exec/y/z", "- - pods p exec y/z"),
            ("/api/v1/nodes/n/proxy/a/b", "- - nodes n proxy a/b"),
            ("/api/v1/proxy/nodes/n/a/b", "- - nodes n - a/b"),
            ("/api/v1/proxy/namespaces/x/pods/p/a", "- x pods p - a"),
            ("/api/v1/watch/namespaces/x/pods", "- x pods - - -"),
            ("/api/v1/watch/pods/p", "- - pods p - -"),
            ("/apis/apps/v1/deployments", "apps - deployments - - -"),
            (
                "/apis/apps/v1/namespaces/x/deployments/d/scale",
                "apps x deployments d scale -",
            ),
        ] {
            let read = read(&Method::GET, path).expect(path);
            let parts = [
                read.api_group,
                read.namespace,
                read.resource,
                read.name,
                read.subresource,
                read.rest,
            ];
            let parts = parts.map(|part| if part.is_empty() { "-" } else { part });
            assert_eq!(parts.join(" "), parts_of_it, "{path}");
        }
    }

    #[test]
    fn every_form_of_a_request_has_one_path() {
        for (legacy, path) in [
            ("/api/v1/secrets/", "/api/v1/secrets"),
            ("/api/v1/watch/secrets", "/api/v1/secrets"),
            ("/api/v1/watch/namespaces/x", "/api/v1/namespaces/x"),
            (
                "/api/v1/namespaces/x/finalize",
                "/api/v1/namespaces/x/finalize",
            ),
            ("/api/v1/namespaces//secrets", "/api/v1/secrets"),
            (
                "/apis/apps/v1/watch/namespaces/x/deployments/d//",
                "/apis/apps/v1/namespaces/x/deployments/d",
            ),
            (
                "/api/v1/proxy/namespaces/x/services/s/a/b",
                "/api/v1/namespaces/x/services/s/proxy/a/b",
            ),
        ] {
            let read = read(&Method::GET, legacy).expect(legacy);
            assert_eq!(read.canonical_path(), path, "{legacy}");
        }
    }

    #[test]
    fn other_paths_are_non_resource_requests() {
        for path in [
            "/",
            "/api",
            "/api/",
            "/api/v1",
            "/apis",
            "/apis/apps",
            "/apis/apps/v1",
            "/version",
            "/API/v1/pods",
            "/apiz/v1/pods",
            "/healthz/ping/x/y",
            "/openapi/v3/apis/apps/v1",
            "/api/v1/proxy",
            "/api/v1/watch/",
        ] {
            assert_eq!(read(&Method::GET, path), None, "{path}");
        }
    }

    #[test]
    fn the_verb_follows_method_name_and_watch() {
        for (method, target, verb) in [
            (Method::GET, "/api/v1/pods", Verb::List),
            (Method::HEAD, "/api/v1/pods", Verb::List),
            (Method::GET, "/api/v1/pods/p", Verb::Get),
            (Method::GET, "/api/v1/pods/p?watch=1", Verb::Get),
            (Method::GET, "/api/v1/pods?watch=1", Verb::Watch),
            (Method::GET, "/api/v1/pods?limit=5&watch=true", Verb::Watch),
            (Method::GET, "/api/v1/pods?watch", Verb::Watch),
            (Method::GET, "/api/v1/pods?watch=", Verb::Watch),
            (Method::GET, "/api/v1/pods?watch=0", Verb::List),
            (Method::GET, "/api/v1/pods?watch=False", Verb::List),
            (
                Method::GET,
                "/api/v1/pods?watch=false&watch=true",
                Verb::List,
            ),
            (
                Method::GET,
                "/api/v1/pods?fieldSelector=watch%3D1",
                Verb::List,
            ),
            (Method::GET, "/api/v1/watch/pods", Verb::Watch),
            (Method::POST, "/api/v1/pods", Verb::Create),
            (Method::PUT, "/api/v1/pods/p", Verb::Update),
            (Method::PATCH, "/api/v1/pods/p", Verb::Patch),
            (Method::DELETE, "/api/v1/pods/p", Verb::Delete),
            (Method::DELETE, "/api/v1/pods", Verb::DeleteCollection),
            (Method::OPTIONS, "/api/v1/pods", Verb::Empty),
            (Method::POST, "/api/v1/proxy/nodes/n", Verb::Proxy),
        ] {
            assert_eq!(
                read(&method, target).expect(target).verb,
                verb,
                "{method} {target}"
            );
        }
    }
}
