//! How client-go, and so kubectl, shows a response that is a failure.
//!
//! It decodes the body, and finds a `Status` in it, only in requests for resources. Discovery takes
//! the bytes as they are, and of a body that is not `text/*` it shows nothing but "an error on the
//! server (unknown)" (`newUnstructuredResponseError` in k8s.io/client-go/rest/request.go).

use http::{
    HeaderMap, HeaderName,
    header::{ACCEPT, USER_AGENT},
};

use super::request_info::RequestInfo;

/// Whether client-go shows a failure of this request only if it is text. Of a resource, which nearly
/// all requests are for, it never does.
pub(super) fn reads_text_alone(info: &RequestInfo, headers: &HeaderMap) -> bool {
    if info.resource().is_some() {
        return false;
    }
    match asked(info.path()) {
        Asked::Discovery => true,
        // Scripts and probes ask for these too, and can use a Status.
        Asked::VersionOrSchema => has(headers, &USER_AGENT, "kubernetes/"),
        Asked::Other => has(headers, &ACCEPT, "g=apidiscovery.k8s.io"),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// `/api`, `/apis`, a group or a version of it.
    Discovery,
    /// `/version`, or something of `/openapi`.
    VersionOrSchema,
    Other,
}

/// An API server may stand below a path, so the first segment of one of its paths counts.
fn asked(path: &str) -> Asked {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    while let Some(segment) = segments.next() {
        let most = match segment {
            "api" => 1,
            "apis" => 2,
            "openapi" => return Asked::VersionOrSchema,
            "version" if segments.next().is_none() => return Asked::VersionOrSchema,
            _ => continue,
        };
        return if segments.nth(most).is_none() {
            Asked::Discovery
        } else {
            Asked::Other
        };
    }
    Asked::Other
}

fn has(headers: &HeaderMap, name: &HeaderName, part: &str) -> bool {
    let part = part.as_bytes();
    headers
        .get_all(name)
        .iter()
        .any(|line| line.as_bytes().windows(part.len()).any(|w| w == part))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::Request;

    use super::*;

    #[test]
    fn discovery_is_api_and_apis_and_below_without_a_resource() {
        for path in [
            "/api",
            "/api/",
            "/api/v1",
            "/apis",
            "/apis/apps",
            "/apis/apps/v1",
            "/apis/apps/v1/",
            "/k8s/clusters/c-1/apis/apps/v1",
        ] {
            assert_eq!(asked(path), Asked::Discovery, "{path}");
        }
        for path in [
            "/",
            "/healthz",
            "/metrics",
            "/api/v1/pods",
            "/api/v1/namespaces/version",
            "/api/v1/namespaces/x/services/s/proxy/api",
            "/api/v1/namespaces/x/services/s/proxy/openapi/v2",
            "/apis/apps/v1/deployments",
            "/apish",
        ] {
            assert_eq!(asked(path), Asked::Other, "{path}");
        }
        for path in [
            "/version",
            "/version/",
            "/openapi/v2",
            "/openapi/v3/apis/apps/v1",
        ] {
            assert_eq!(asked(path), Asked::VersionOrSchema, "{path}");
        }
    }

    #[test]
    fn requests_of_client_go_are_known_by_their_headers() {
        let reads = |path: &str, name: &HeaderName, value: &str| {
            let request = Request::get(path).header(name, value).body(()).unwrap();
            reads_text_alone(&RequestInfo::read(&request).unwrap(), request.headers())
        };
        let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        assert!(reads("/k8s", &ACCEPT, aggregated));
        assert!(!reads("/k8s", &ACCEPT, "application/json"));
        let kubectl = "kubectl/v1.37.1 (linux/amd64) kubernetes/8b1e4a0";
        assert!(reads("/version", &USER_AGENT, kubectl));
        assert!(!reads("/version", &USER_AGENT, "curl/8.5.0"));
        assert!(!reads("/healthz", &USER_AGENT, kubectl));
    }
}
