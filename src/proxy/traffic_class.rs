//! What the response to a request will be like, which chooses the connection that it is sent on.
//!
//! Nothing else depends on it, so a rare misjudgement costs little.

use super::request_info::{RequestInfo, Verb};
use crate::upstream::TrafficClass;

/// Returns the traffic class of a request. An API server may stand below a path, so the first API
/// path in it counts.
pub(super) fn traffic_class(info: &RequestInfo) -> TrafficClass {
    if info.is_watch() {
        return TrafficClass::Long;
    }
    let path = info.path();
    let first = info.readings().next();
    let resource = first.and_then(|reading| reading.resources().next());
    match resource {
        Some(resource) if resource.subresource == "log" && info.is_on("follow") => {
            TrafficClass::Long
        }
        Some(resource) if matches!(resource.subresource, "log" | "proxy") => TrafficClass::Bulk,
        Some(resource) if matches!(resource.verb, Verb::List | Verb::Proxy) => TrafficClass::Bulk,
        None if path.contains("/openapi/") || path.ends_with("/metrics") => TrafficClass::Bulk,
        _ => TrafficClass::Short,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::{Method, Request};

    use super::*;

    fn class(method: Method, uri: &str) -> TrafficClass {
        let request = Request::builder().method(method).uri(uri);
        traffic_class(&RequestInfo::read(&request.body(()).unwrap()).unwrap())
    }

    #[test]
    fn followed_logs_and_watches_are_long() {
        for uri in [
            "/api/v1/namespaces/x/pods/p/log?container=c&follow=true",
            "/api/v1/namespaces/x/pods/p/log?follow",
            "/api/v1/pods?watch=1",
        ] {
            assert_eq!(class(Method::GET, uri), TrafficClass::Long, "{uri}");
        }
    }

    #[test]
    fn lists_logs_and_proxied_content_are_bulk() {
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
            assert_eq!(class(Method::GET, uri), TrafficClass::Bulk, "{uri}");
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
            assert_eq!(class(method, uri), TrafficClass::Short, "{uri}");
        }
    }
}
