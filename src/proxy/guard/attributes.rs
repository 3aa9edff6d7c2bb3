//! A request in the API server's own terms: verb, group, resource, name, subresource.

use http::Method;

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
    /// A method that the API server gives no verb.
    Other,
}

/// What a path and method ask of a resource. Empty text stands for what is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// The verb by method, name, `watch` parameter and legacy prefix.
    pub verb: Verb,
    /// The API group; empty for `/api`.
    pub group: &'a str,
    /// Such as `v1`.
    pub version: &'a str,
    /// `watch` or `proxy`, where the legacy form is used.
    pub prefix: &'a str,
    /// The namespace; empty for what has none.
    pub namespace: &'a str,
    /// Such as `pods`.
    pub resource: &'a str,
    /// The object's name; behind it a scheme and port may hide: `https:node:10250`.
    pub name: &'a str,
    /// Such as `exec`.
    pub subresource: &'a str,
    /// What follows, for `proxy` the path behind it, without slashes at its ends.
    pub rest: &'a str,
}

impl<'a> Attributes<'a> {
    /// Reads a decoded path by the rules of `RequestInfoFactory.NewRequestInfo` in
    /// `k8s.io/apiserver/pkg/endpoints/request`. `None` is a non-resource request.
    #[must_use]
    pub fn parse(method: &Method, path: &'a str, query: Option<&str>) -> Option<Self> {
        let mut segments = Segments(Some(path.trim_matches('/')));
        let group = match segments.next()? {
            "api" => "",
            "apis" => segments.next()?,
            _ => return None,
        };
        let version = segments.next()?;
        let mut resource = segments.next()?;
        let prefix = resource;
        let legacy = match resource {
            "proxy" => Some(Verb::Proxy),
            "watch" => Some(Verb::Watch),
            _ => None,
        };
        if legacy.is_some() {
            resource = segments.next()?;
        }
        let mut name = segments.next().unwrap_or_default();
        let mut namespace = "";
        if resource == "namespaces" {
            namespace = name;
            // What follows a namespace is a resource in it, unless it is one of its own parts.
            if let Some(inner) = segments
                .peek()
                .filter(|part| !matches!(*part, "status" | "finalize"))
            {
                segments.next();
                resource = inner;
                name = segments.next().unwrap_or_default();
            }
        }
        let subresource = match legacy {
            Some(Verb::Proxy) => "",
            _ => segments.next().unwrap_or_default(),
        };
        let verb = legacy.unwrap_or_else(|| verb(method, name, query));
        let rest = segments.0.unwrap_or_default();
        Some(Self {
            verb,
            group,
            version,
            prefix: legacy.map_or("", |_| prefix),
            namespace,
            resource,
            name,
            subresource,
            rest,
        })
    }

    /// The path that asks for the same in today's form, without slashes at its end: that of
    /// `/api/v1/watch/secrets` is `/api/v1/secrets`.
    #[must_use]
    pub fn path(&self) -> String {
        let (root, group) = match self.group {
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
            self.version,
            namespaces,
            namespace,
            self.resource,
            self.name,
            subresource,
            self.rest,
        ];
        let mut path = String::from(root);
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            path.push('/');
            path.push_str(part);
        }
        path
    }
}

fn verb(method: &Method, name: &str, query: Option<&str>) -> Verb {
    match *method {
        Method::GET | Method::HEAD if !name.is_empty() => Verb::Get,
        Method::GET | Method::HEAD if asks_to_watch(query) => Verb::Watch,
        Method::GET | Method::HEAD => Verb::List,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE if name.is_empty() => Verb::DeleteCollection,
        Method::DELETE => Verb::Delete,
        _ => Verb::Other,
    }
}

/// The first `watch` counts, and anything but `false` and `0` is true, a bare `watch` too
/// (`Convert_Slice_string_To_bool` in apimachinery). An encoded spelling of the word is
/// not looked for: taking a watch for a list only ever refuses more.
fn asks_to_watch(query: Option<&str>) -> bool {
    let pairs = query.unwrap_or_default().split('&');
    let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .find(|(key, _)| *key == "watch")
        .is_some_and(|(_, value)| !value.eq_ignore_ascii_case("false") && value != "0")
}

/// The segments of a path still to be read; `None` after the last.
struct Segments<'a>(Option<&'a str>);

impl<'a> Segments<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (segment, rest) = match self.0?.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (self.0?, None),
        };
        self.0 = rest;
        Some(segment)
    }

    fn peek(&self) -> Option<&'a str> {
        Segments(self.0).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(method: &Method, target: &'a str) -> Option<Attributes<'a>> {
        match target.split_once('?') {
            Some((path, query)) => Attributes::parse(method, path, Some(query)),
            None => Attributes::parse(method, target, None),
        }
    }

    #[test]
    fn a_resource_path_is_read_as_the_api_server_reads_it() {
        for (path, told) in [
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
            let read = parse(&Method::GET, path).expect(path);
            let parts = [
                read.group,
                read.namespace,
                read.resource,
                read.name,
                read.subresource,
                read.rest,
            ];
            let parts = parts.map(|part| if part.is_empty() { "-" } else { part });
            assert_eq!(parts.join(" "), told, "{path}");
        }
    }

    #[test]
    fn every_form_of_a_request_has_one_path() {
        for (told, path) in [
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
            let read = parse(&Method::GET, told).expect(told);
            assert_eq!(read.path(), path, "{told}");
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
            assert_eq!(parse(&Method::GET, path), None, "{path}");
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
            (Method::OPTIONS, "/api/v1/pods", Verb::Other),
            (Method::POST, "/api/v1/proxy/nodes/n", Verb::Proxy),
        ] {
            assert_eq!(
                parse(&method, target).expect(target).verb,
                verb,
                "{method} {target}"
            );
        }
    }
}
