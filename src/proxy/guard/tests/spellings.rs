//! Properties that hold in every spelling of a path.

use std::fmt::Write;

use http::{HeaderMap, HeaderValue, Request};
use proptest::prelude::*;

use super::{check, check_request, guard, status};

/// Respells a path: each byte plain or encoded, each slash plain, doubled, encoded or followed by a `.`
/// segment. `choices` decides, from its start again when it ends.
fn respell(path: &str, choices: &[u8]) -> String {
    let mut spelled = String::from("/");
    let bytes = path.bytes().skip(1).chain(std::iter::once(b'/'));
    for (byte, choice) in bytes.zip(choices.iter().cycle()) {
        match (byte, choice % 8) {
            (b'/', 0) => spelled.push_str("//"),
            (b'/', 1) => spelled.push_str("/./"),
            (b'/', 2) => spelled.push_str("/%2e/"),
            (b'/', 3) => spelled.push_str("%2F"),
            (b'/', 4) => spelled.push_str("%2f%2f"),
            (byte, 0) => write!(spelled, "%{byte:02x}").unwrap(),
            (byte, 1) => write!(spelled, "%{byte:02X}").unwrap(),
            (byte, _) => spelled.push(char::from(byte)),
        }
    }
    spelled
}

#[test]
fn respelling_keeps_the_path() {
    assert_eq!(respell("/a/b", &[7]), "/a/b/");
    assert_eq!(respell("/a/b", &[0]), "/%61//%62//");
    assert_eq!(respell("/a/b", &[2]), "/a/%2e/b/%2e/");
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]([-a-z0-9.]{0,8}[a-z0-9])?"
}

proptest! {
    #[test]
    fn no_spelling_of_exec_passes(
        choices in prop::collection::vec(any::<u8>(), 1..80),
        (namespace, pod) in (name(), name()),
        what in prop::sample::select(vec!["exec", "attach", "ephemeralcontainers"]),
        method in prop::sample::select(vec!["GET", "POST", "PATCH", "QUERY"]),
    ) {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/{what}");
        let spelled = respell(&path, &choices);
        prop_assert_eq!(status(&check(&guard(|_| ()), method, &spelled)), 403, "{}", spelled);
    }

    #[test]
    fn no_spelling_of_the_kubelets_run_passes(
        choices in prop::collection::vec(any::<u8>(), 1..80),
        node in name(),
        before in prop::sample::select(vec!["", "/metrics", "/healthz"]),
    ) {
        let path = format!("/api/v1/nodes/{node}/proxy{before}/run/ns/pod/c");
        let spelled = respell(&path, &choices);
        prop_assert_eq!(status(&check(&guard(|_| ()), "GET", &spelled)), 403, "{}", spelled);
    }

    #[test]
    fn ordinary_resources_pass(
        (namespace, object) in (name(), name()),
        prefix in prop::sample::select(vec!["/api/v1", "/apis/apps/v1", "/apis/x.example/v1beta1"]),
        resource in prop::sample::select(vec!["pods", "configmaps", "secrets", "deployments", "nodes"]),
        rest in prop::sample::select(vec!["", "/", "/status", "/log?follow=1", "/portforward", "/scale"]),
        method in prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ) {
        let target = format!("{prefix}/namespaces/{namespace}/{resource}/{object}{rest}");
        prop_assert_eq!(check(&guard(|_| ()), method, &target), Ok(()), "{}", target);
    }

    #[test]
    fn any_path_behind_a_service_passes_plain_and_encoded(
        choices in prop::collection::vec(any::<u8>(), 1..80),
        segments in prop::collection::vec("[a-z0-9 _~$&+@:;=é]{1,6}", 0..6),
    ) {
        let path: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
        let encoded = path.replace(' ', "%20").replace('é', "%C3%A9");
        let plain = format!("/api/v1/namespaces/x/services/https:svc:443/proxy{encoded}");
        prop_assert_eq!(check(&guard(|_| ()), "GET", &plain), Ok(()), "{}", plain);
        if path.is_ascii() && !path.contains(' ') {
            let target = format!("/api/v1/namespaces/x/services/svc/proxy{}", respell(&path, &choices));
            prop_assert_eq!(check(&guard(|_| ()), "GET", &target), Ok(()), "{}", target);
        }
    }

    #[test]
    fn no_request_makes_the_guard_panic(
        path in "/(\\PC|[%/.a-f0-9\\\\]){0,60}",
        host in prop::collection::vec(any::<u8>(), 0..30),
        origin in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        let mut headers = HeaderMap::new();
        for (name, bytes) in [("host", &host), ("origin", &origin)] {
            if let Ok(value) = HeaderValue::from_bytes(bytes) {
                headers.append(name, value);
            }
        }
        let (lenient, strict) = (guard(|_| ()), guard(|rules| rules.read_only = true));
        for target in [path.as_str(), "*", "http://[::1", "x:1"] {
            let Ok(uri) = target.parse::<http::Uri>() else { continue };
            let mut request = Request::new(());
            *request.uri_mut() = uri;
            *request.headers_mut() = headers.clone();
            for guard in [&lenient, &strict] {
                let _ = guard.check_origin(&request);
                let _ = check_request(guard, &request);
            }
        }
    }
}
