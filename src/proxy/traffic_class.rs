//! What is to be expected of a request's answer, by its path and query alone.
//!
//! Nothing is decided by it but the choice of a connection, so a rare misjudgement costs little.

use http::Request;

use super::guard::attributes::{Attributes, Verb};
use crate::upstream::TrafficClass;

/// The kind of a request that is no watch. An API server may stand below a path, so an API path
/// counts where it first begins.
pub(super) fn traffic_class<B>(request: &Request<B>) -> TrafficClass {
    let (path, query) = (request.uri().path(), request.uri().query());
    let asked = path
        .find("/api")
        .and_then(|at| Attributes::parse(request.method(), &path[at..], query));
    match asked {
        Some(asked) if asked.subresource == "log" && follows(query) => TrafficClass::Long,
        Some(asked) if matches!(asked.subresource, "log" | "proxy") => TrafficClass::Bulk,
        Some(asked) if matches!(asked.verb, Verb::List | Verb::Proxy) => TrafficClass::Bulk,
        None if path.contains("/openapi/") || path.ends_with("/metrics") => TrafficClass::Bulk,
        _ => TrafficClass::Short,
    }
}

/// `PodLogOptions.Follow`, by the first value, as the API server converts it.
fn follows(query: Option<&str>) -> bool {
    let pairs = query.unwrap_or_default().split('&');
    let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .find(|(key, _)| *key == "follow")
        .is_some_and(|(_, value)| !value.eq_ignore_ascii_case("false") && value != "0")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::Method;

    use super::*;

    fn kind(method: Method, uri: &str) -> TrafficClass {
        let request = Request::builder().method(method).uri(uri);
        traffic_class(&request.body(()).unwrap())
    }

    #[test]
    fn followed_logs_stay_open() {
        for uri in [
            "/api/v1/namespaces/x/pods/p/log?container=c&follow=true",
            "/api/v1/namespaces/x/pods/p/log?follow",
        ] {
            assert_eq!(kind(Method::GET, uri), TrafficClass::Long, "{uri}");
        }
    }

    #[test]
    fn lists_logs_and_what_others_serve_may_be_large() {
        for uri in [
            "/api/v1/pods",
            "/api/v1/pods?watch=0",
            "/clusters/c/apis/apps/v1/namespaces/x/deployments?limit=500",
            "/api/v1/namespaces/x/pods/p/log?follow=false",
            "/api/v1/namespaces/x/services/s/proxy/big",
            "/api/v1/proxy/nodes/n/x",
            "/openapi/v3/apis/apps/v1",
            "/metrics",
        ] {
            assert_eq!(kind(Method::GET, uri), TrafficClass::Bulk, "{uri}");
        }
    }

    #[test]
    fn the_rest_is_short() {
        for (method, uri) in [
            (Method::GET, "/api/v1/namespaces/x/pods/p"),
            (Method::GET, "/api/v1/namespaces/x/pods/p?watch=1"),
            (Method::POST, "/api/v1/namespaces/x/pods"),
            (Method::PATCH, "/apis/apps/v1/namespaces/x/deployments/d"),
            (Method::GET, "/api"),
            (Method::GET, "/healthz"),
            (Method::GET, "/version?watch=1"),
        ] {
            assert_eq!(kind(method, uri), TrafficClass::Short, "{uri}");
        }
    }
}
