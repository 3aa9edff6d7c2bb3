#![allow(clippy::unwrap_used)]

use http::header::SEC_WEBSOCKET_PROTOCOL;

use super::*;
use crate::credential::{Fetch, Source};

struct Never;

impl Source for Never {
    fn subject(&self) -> String {
        "a source".to_owned()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(std::future::pending())
    }
}

fn config(client: ClientCredentials, plaintext: bool) -> Config {
    Config {
        credentials: Cache::new(Arc::new(Never)),
        client,
        receiver: Receiver::ApiServer {
            is_plaintext: plaintext,
        },
    }
}

fn websocket(protocols: &str) -> Request<()> {
    let mut request = Request::get("/")
        .header(SEC_WEBSOCKET_PROTOCOL, protocols)
        .body(())
        .unwrap();
    request.extensions_mut().insert(Protocol::WebSocket);
    request
}

fn with_header() -> Request<()> {
    Request::get("/")
        .header(AUTHORIZATION, "Bearer mine")
        .body(())
        .unwrap()
}

const WITH_TOKEN: &str = "base64url.bearer.authorization.k8s.io.dG9rZW4, v5.channel.k8s.io";

#[test]
fn forward_passes_the_clients_credential_and_adds_no_other() {
    let config = config(ClientCredentials::Forward, false);
    let mut request = with_header();
    assert_eq!(config.choose(&mut request).unwrap(), Owner::Client);
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer mine");
    let mut request = websocket(WITH_TOKEN);
    assert_eq!(config.choose(&mut request).unwrap(), Owner::Client);
    assert_eq!(request.headers()[SEC_WEBSOCKET_PROTOCOL], WITH_TOKEN);
    let mut bare = websocket("v5.channel.k8s.io");
    assert_eq!(config.choose(&mut bare).unwrap(), Owner::Proxy);
}

#[test]
fn a_token_subprotocol_counts_on_websockets_alone() {
    // The API server reads it nowhere else: elsewhere the request would come without a credential.
    let mut plain = websocket(WITH_TOKEN);
    plain.extensions_mut().clear();
    let config = config(ClientCredentials::Forward, false);
    assert_eq!(config.choose(&mut plain).unwrap(), Owner::Proxy);
}

#[test]
fn replace_removes_header_and_token_subprotocol() {
    let config = config(ClientCredentials::Replace, false);
    let mut request = with_header();
    assert_eq!(config.choose(&mut request).unwrap(), Owner::Proxy);
    assert!(!request.headers().contains_key(AUTHORIZATION));
    let mut request = websocket(WITH_TOKEN);
    assert_eq!(config.choose(&mut request).unwrap(), Owner::Proxy);
    assert_eq!(
        request.headers()[SEC_WEBSOCKET_PROTOCOL],
        "v5.channel.k8s.io"
    );
}

#[test]
fn refuse_refuses_both_and_lets_bare_requests_pass() {
    let config = config(ClientCredentials::Refuse, false);
    assert_eq!(config.choose(&mut with_header()).unwrap_err().status, 403);
    assert_eq!(
        config
            .choose(&mut websocket(WITH_TOKEN))
            .unwrap_err()
            .status,
        403
    );
    let mut bare = Request::get("/").body(()).unwrap();
    assert_eq!(config.choose(&mut bare).unwrap(), Owner::Proxy);
}

#[test]
fn two_authorization_headers_are_400() {
    let mut request = with_header();
    request
        .headers_mut()
        .append(AUTHORIZATION, HeaderValue::from_static("Bearer other"));
    let config = config(ClientCredentials::Forward, false);
    assert_eq!(config.choose(&mut request).unwrap_err().status, 400);
}

#[test]
fn an_empty_authorization_is_none() {
    let mut request = Request::get("/")
        .header(AUTHORIZATION, "")
        .body(())
        .unwrap();
    let config = config(ClientCredentials::Forward, false);
    assert_eq!(config.choose(&mut request).unwrap(), Owner::Proxy);
    assert!(!request.headers().contains_key(AUTHORIZATION));
}

#[test]
fn our_credential_is_not_sent_over_plain_http() {
    let mut bare = Request::get("/").body(()).unwrap();
    let config = config(ClientCredentials::Forward, true);
    assert_eq!(config.choose(&mut bare).unwrap(), Owner::Client);
}

#[test]
fn a_401_from_behind_a_proxy_subresource_is_an_apps_own() {
    let behind = |uri: &str| {
        let mut request = Request::get(uri).body(()).unwrap();
        let info = RequestInfo::read(&request).unwrap();
        request.extensions_mut().insert(info);
        is_behind_proxy(&request.into_parts().0)
    };
    for uri in [
        "/api/v1/namespaces/a/services/https:web:443/proxy/login",
        "/api/v1/namespaces/a/pods/web/proxy",
        "/api/v1/nodes/one/%70roxy/metrics",
        "/api/v1/proxy/namespaces/a/services/web/",
    ] {
        assert!(behind(uri), "{uri}");
    }
    for uri in [
        "/api/v1/pods",
        "/api/v1/namespaces/a/pods/proxy",
        "/version",
    ] {
        assert!(!behind(uri), "{uri}");
    }
}
