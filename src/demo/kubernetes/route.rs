//! Parses the path of a request into a [`Route`].

use percent_encoding::percent_decode_str;

use crate::demo::kubernetes::{
    encoding::status::Status,
    objects::resources::{self, REVIEWS, Resource, Review},
};

/// The meaning of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/`: the list of paths.
    Index,
    Version,
    /// `healthz`, `livez` or `readyz`.
    Health(String),
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/apps`.
    Group(String),
    /// `/api/v1`, `/apis/apps/v1`.
    Kinds {
        group: String,
        version: String,
    },
    OpenApiV2,
    OpenApiIndex,
    /// `/openapi/v3/apis/apps/v1`, as the part after `v3/`.
    OpenApi(String),
    Review(&'static Review),
    Object(Target),
}

/// A collection of objects, one object by name, or a subresource of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Target {
    /// The namespace of the objects; empty for cluster-scoped resources.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }
}

impl Route {
    /// Parses a path that is still percent-encoded. `%2F` is part of a name, not a separator.
    pub(crate) fn parse(path: &str) -> Result<Self, Status> {
        let segments: Vec<String> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let owned = |text: &str| text.to_owned();
        match segments[..] {
            [] => Ok(Self::Index),
            ["version"] => Ok(Self::Version),
            ["healthz" | "livez" | "readyz"] => Ok(Self::Health(owned(segments[0]))),
            ["openapi", "v2"] => Ok(Self::OpenApiV2),
            ["openapi", "v3"] => Ok(Self::OpenApiIndex),
            ["openapi", "v3", ..] => Ok(Self::OpenApi(segments[2..].join("/"))),
            ["api"] => Ok(Self::CoreVersions),
            ["api", version] => Ok(Self::Kinds {
                group: String::new(),
                version: owned(version),
            }),
            ["api", version, ref rest @ ..] => object("", version, rest),
            ["apis"] => Ok(Self::Groups),
            ["apis", group] => Ok(Self::Group(owned(group))),
            ["apis", group, version] => Ok(Self::Kinds {
                group: owned(group),
                version: owned(version),
            }),
            ["apis", group, version, ref rest @ ..] => object(group, version, rest),
            _ => Err(Status::no_such_path()),
        }
    }
}

fn object(group: &str, version: &str, rest: &[&str]) -> Result<Route, Status> {
    if let [plural] = rest
        && version == "v1"
        && let Some(review) = REVIEWS
            .iter()
            .find(|review| review.group == group && review.plural == *plural)
    {
        return Ok(Route::Review(review));
    }
    // `namespaces/x/pods` are the pods in x, but `namespaces/x/status` is the status of x.
    let (namespace, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..]
            if resources::find(group, version, plural).is_some_and(|r| r.namespaced) =>
        {
            (Some((*namespace).to_owned()), [&[*plural], rest].concat())
        }
        rest => (None, rest.to_vec()),
    };
    let (plural, name, subresource) = match rest[..] {
        [plural] => (plural, None, None),
        [plural, name] => (plural, Some(name), None),
        [plural, name, subresource] => (plural, Some(name), Some(subresource)),
        _ => return Err(Status::no_such_path()),
    };
    let resource = resources::find(group, version, plural).ok_or_else(Status::no_such_path)?;
    // The name of a namespaced object needs its namespace.
    let lacks_namespace = resource.namespaced && namespace.is_none() && name.is_some();
    let is_unknown = subresource.is_some_and(|name| resource.subresource(name).is_none());
    if lacks_namespace || is_unknown {
        return Err(Status::no_such_path());
    }
    Ok(Route::Object(Target {
        resource,
        namespace,
        name: name.map(str::to_owned),
        subresource: subresource.map(str::to_owned),
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn target(path: &str) -> (String, Option<String>, Option<String>, Option<String>) {
        match Route::parse(path).unwrap() {
            Route::Object(target) => (
                target.resource.qualified(),
                target.namespace,
                target.name,
                target.subresource,
            ),
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn a_path_is_parsed_into_resource_namespace_name_and_subresource() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(target("/api/v1/pods"), ("pods".into(), None, None, None));
        assert_eq!(
            target("/apis/apps/v1/namespaces/demo/deployments/web/scale"),
            (
                "deployments.apps".into(),
                some("demo"),
                some("web"),
                some("scale")
            )
        );
        assert_eq!(
            target("/api/v1/namespaces/demo"),
            ("namespaces".into(), None, some("demo"), None)
        );
        assert_eq!(
            target("/api/v1/namespaces/demo/status"),
            ("namespaces".into(), None, some("demo"), some("status"))
        );
    }

    #[test]
    fn an_encoded_slash_is_part_of_a_name() {
        let (_, _, name, subresource) = target("/api/v1/namespaces/demo/pods/a%2Flog");
        assert_eq!((name.as_deref(), subresource), (Some("a/log"), None));
    }

    #[test]
    fn unknown_versions_resources_and_subresources_are_not_found() {
        for path in [
            "/api/v9/pods",
            "/api/v1/widgets",
            "/api/v1/pods/hello",
            "/api/v1/namespaces/demo/pods/hello/brew",
            "/apis/apps/v1/namespaces/demo/nodes",
            "/metrics",
        ] {
            assert!(Route::parse(path).is_err(), "{path} was found");
        }
    }
}
