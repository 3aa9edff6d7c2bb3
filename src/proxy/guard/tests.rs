#![allow(clippy::unwrap_used)]

mod callers;
mod commands;
mod patterns;
mod read_only;
mod spellings;
mod untrusted_content;

use std::sync::Arc;

use http::{HeaderName, Request, Response, StatusCode};
use tower::{Layer, Service, service_fn};

use super::*;
use crate::proxy::{self, Body};

const EXEC: &str = "/api/v1/namespaces/default/pods/web-0/exec";

fn guard(change: impl FnOnce(&mut Rules)) -> Guard {
    let mut rules = Rules::default();
    change(&mut rules);
    Guard::new(&rules).unwrap()
}

fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .body(())
        .unwrap();
    for (name, value) in headers {
        request
            .headers_mut()
            .append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}

/// Both checks of a request from localhost.
fn check(guard: &Guard, method: &str, target: &str) -> Result<(), Refusal> {
    check_with(guard, method, target, &[])
}

fn check_with(
    guard: &Guard,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<(), Refusal> {
    let mut request = request(method, target, headers);
    request
        .headers_mut()
        .append("host", "localhost:8001".parse().unwrap());
    guard.check_origin(&request)?;
    check_request(guard, &request).map(|_| ())
}

/// What is asked, as the layers check it.
fn check_request(guard: &Guard, request: &Request<()>) -> Result<Capabilities, Refusal> {
    let info = RequestInfo::read(request);
    let info =
        info.map_err(|ambiguous| Refusal::malformed("ambiguous target", ambiguous.to_string()))?;
    guard.check_request(&info, request.headers())
}

fn status<T>(checked: &Result<T, Refusal>) -> u16 {
    checked
        .as_ref()
        .map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
}

fn patterns(list: &str) -> Vec<String> {
    list.split(',')
        .filter(|_| !list.is_empty())
        .map(String::from)
        .collect()
}

const WEBSOCKET: [(&str, &str); 2] = [("connection", "Upgrade"), ("upgrade", "websocket")];

#[test]
fn the_cases_of_kubectl_proxys_tests_pass_and_fail_alike() {
    let pod = "/api/v1/namespaces/default/pods/somepod";
    for (method, host, path, reject_methods, accepted) in [
        ("GET", "127.0.0.1", "/", "^$", true),
        ("GET", "127.0.0.1", "/api/v1/pods", "^$", true),
        ("GET", "localhost", "/api/v1/pods", "^$", true),
        (
            "GET",
            "localhost",
            "/api/v1/namespaces/default/pods/foo",
            "^$",
            true,
        ),
        (
            "GET",
            "localhost",
            "/api/v1/namespaces/default/pods/attachfoo",
            "^$",
            true,
        ),
        (
            "GET",
            "localhost",
            "/api/v1/namespaces/default/pods/execfoo",
            "^$",
            true,
        ),
        (
            "GET",
            "127.0.0.1",
            "/api/v1/namespaces/default/pods/foo/exec",
            "^$",
            false,
        ),
        (
            "GET",
            "127.0.0.1",
            "/api/v1/namespaces/default/pods/foo/attach",
            "^$",
            false,
        ),
        ("GET", "evil.com", "/api/v1/pods", "^$", false),
        ("GET", "localhost.evil.com", "/api/v1/pods", "^$", false),
        ("GET", "127a0b0c1", "/api/v1/pods", "^$", false),
        ("GET", "localhost", "/ui", "^$", true),
        ("POST", "localhost", "/api/v1/pods", "^$", true),
        ("PUT", "localhost", pod, "^$", true),
        ("PATCH", "localhost", pod, "^$", true),
        ("GET", "127.0.0.1", "/api/v1/pods", "GET", false),
        ("POST", "localhost", "/api/v1/pods", "POST", false),
        ("PUT", "localhost", pod, "PUT", false),
        ("PATCH", "localhost", pod, "PATCH", false),
        ("PATCH", "localhost", pod, "POST,PUT,PATCH", false),
        ("PUT", "localhost", pod, "POST,PUT,PATCH", false),
        (
            "POST",
            "localhost",
            "/api/v1/namespaces/default/pods/somepod/exec",
            "^$",
            false,
        ),
    ] {
        let guard = guard(|rules| rules.reject_methods = patterns(reject_methods));
        let request = request(method, path, &[("host", host)]);
        let checked = guard
            .check_origin(&request)
            .and_then(|_| check_request(&guard, &request).map(|_| ()));
        let expected = if accepted { 200 } else { 403 };
        assert_eq!(
            status(&checked),
            expected,
            "{method} {host} {path} {reject_methods}"
        );
    }
}

#[test]
fn disable_filter_lets_everything_pass_but_malformed_requests() {
    let guard = guard(|rules| {
        rules.disable_filter = true;
        rules.reject_methods = patterns("DELETE");
    });
    assert_eq!(check(&guard, "DELETE", EXEC), Ok(()));
    let host = |name| guard.check_origin(&request("GET", "/", &[("host", name)]));
    assert_eq!(host("evil.example"), Ok(Caller::Program));
    assert_eq!(status(&host("user@evil.example")), 400);
    assert_eq!(status(&check(&guard, "GET", "/api/%00")), 400);
}

#[test]
fn an_empty_accept_list_accepts_nothing() {
    let paths = guard(|rules| rules.accept_paths.clear());
    assert_eq!(status(&check(&paths, "GET", "/api")), 403);
    let hosts = guard(|rules| rules.accept_hosts.clear());
    assert_eq!(status(&check(&hosts, "GET", "/api")), 403);
}

#[test]
fn a_bad_rule_is_named_by_flag_and_text() {
    type Change = fn(&mut Rules);
    let cases: [(&str, Change); 4] = [
        ("--accept-hosts", |rules| {
            rules.accept_hosts = patterns("a,(b");
        }),
        ("--accept-paths", |rules| {
            rules.accept_paths = patterns("(b");
        }),
        ("--reject-paths", |rules| {
            rules.reject_paths = Some(patterns("(b"));
        }),
        ("--reject-methods", |rules| {
            rules.reject_methods = patterns("(b");
        }),
    ];
    for (flag, change) in cases {
        let mut rules = Rules::default();
        change(&mut rules);
        let error = Guard::new(&rules).unwrap_err().to_string();
        assert!(error.contains(flag) && error.contains("\"(b\""), "{error}");
    }
    let rules = Rules {
        allow_origins: patterns("*"),
        ..Rules::default()
    };
    let error = Guard::new(&rules).unwrap_err().to_string();
    assert!(error.starts_with(r#"--allow-origin: "*""#), "{error}");
}

#[tokio::test]
async fn a_layer_passes_only_what_its_check_allows() {
    let guard = Arc::new(guard(|_| ()));
    let inner =
        service_fn(async |_: Request<()>| Ok::<_, proxy::Error>(Response::new(Body::Empty)));
    let mut origin_check = layer::origin_layer(guard.clone()).layer(inner);
    let request_check = layer::request_layer(guard).layer(inner);
    let mut request_check = proxy::request_info::layer().layer(request_check);
    let local = [("host", "localhost")];
    let foreign = [("host", "evil.example")];

    assert!(
        origin_check
            .call(request("GET", "/a%2Fb", &local))
            .await
            .is_ok()
    );
    let refused = origin_check.call(request("GET", "/", &foreign)).await;
    assert!(matches!(refused, Err(proxy::Error::Refused(r)) if r.status == StatusCode::FORBIDDEN));
    assert!(
        request_check
            .call(request("GET", "/a%2Fb", &foreign))
            .await
            .is_ok()
    );
    let refused = request_check.call(request("GET", "/..", &local)).await;
    assert!(
        matches!(refused, Err(proxy::Error::Refused(r)) if r.status == StatusCode::BAD_REQUEST)
    );
}
