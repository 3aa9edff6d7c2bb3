#![allow(clippy::unwrap_used)]

//! Requests over real TLS connections, with responses as recorded from a real server.

mod challenges;
mod discovery;
mod grants;
mod images;
mod session_objects;

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::{
    credential::issuer::{Issuer, Response, form_encoded},
    demo::https::FaultyResponse,
    dial::Environment,
    tls::Trust,
};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const CSRF: (&str, &str) = ("X-CSRF-Token", "1");
const JSON: (&str, &str) = ("Accept", "application/json");
const TOKENS: &str = "/apis/oauth.openshift.io/v1/useroauthaccesstokens";
const ME: &str = "/apis/user.openshift.io/v1/users/~";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

async fn start() -> OpenShift {
    let cluster = OpenShift::start(Options::default()).await.unwrap();
    cluster.add_user("alice", "sesame-os-demo");
    cluster
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn alice() -> String {
    basic("alice", "sesame-os-demo")
}

async fn send(
    ca: &str,
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::from(body.to_owned())).unwrap();
    let trust = Trust::roots(ca.as_bytes(), "the demo").unwrap();
    let issuer = Issuer::new(trust, Environment::read(|_| None));
    issuer.send(request, None).await.unwrap()
}

async fn oauth(cluster: &OpenShift, path: &str, headers: &[(&str, &str)]) -> Response {
    let url = format!("{}{path}", cluster.oauth_url());
    send(cluster.oauth_ca_pem(), Method::GET, &url, headers, "").await
}

/// A request to the API server with a token.
async fn api(cluster: &OpenShift, method: Method, path: &str, token: &str) -> (u16, Value) {
    let (url, bearer) = (
        format!("{}{path}", cluster.api().url()),
        format!("Bearer {token}"),
    );
    let headers = [("Authorization", bearer.as_str()), JSON];
    let body = if method == Method::POST { "{}" } else { "" };
    let response = send(cluster.api().ca_pem(), method, &url, &headers, body).await;
    (
        response.status.as_u16(),
        serde_json::from_slice(&response.body).unwrap(),
    )
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.to_vec()).unwrap()
}

fn value(response: &Response, name: &str) -> String {
    let value = response.headers.get(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

fn back(cluster: &OpenShift) -> String {
    format!("{}/oauth/token/implicit", cluster.oauth_url())
}

/// The request of `oc login -u`, with further parameters.
fn authorize(cluster: &OpenShift, more: &str) -> String {
    format!(
        "/oauth/authorize?client_id=openshift-challenging-client&code_challenge={CHALLENGE}\
         &code_challenge_method=S256&redirect_uri={}&response_type=code{more}",
        *form_encoded(&back(cluster))
    )
}

async fn code(cluster: &OpenShift) -> String {
    let path = authorize(cluster, "");
    let response = oauth(cluster, &path, &[CSRF, ("Authorization", &alice())]).await;
    assert_eq!(response.status, StatusCode::FOUND);
    let location = value(&response, "location");
    let rest = location
        .strip_prefix(&format!("{}?code=", back(cluster)))
        .unwrap();
    rest.strip_suffix("&state=").unwrap().to_owned()
}

const BY_CHALLENGING: &str = "Basic b3BlbnNoaWZ0LWNoYWxsZW5naW5nLWNsaWVudDo=";

async fn exchange(cluster: &OpenShift, form: &str, authorization: Option<&str>) -> (u16, String) {
    let url = format!("{}/oauth/token", cluster.oauth_url());
    let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded"), JSON];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    let response = send(cluster.oauth_ca_pem(), Method::POST, &url, &headers, form).await;
    assert_eq!(value(&response, "content-type"), "application/json");
    (response.status.as_u16(), text(&response))
}

fn exchange_form(cluster: &OpenShift, code: &str, verifier: &str) -> String {
    format!(
        "code={code}&code_verifier={verifier}&grant_type=authorization_code&redirect_uri={}",
        *form_encoded(&back(cluster))
    )
}

/// A token of the implicit flow.
async fn implicit(cluster: &OpenShift, more: &str) -> String {
    let path = format!(
        "/oauth/authorize?response_type=token&client_id=openshift-challenging-client{more}"
    );
    let response = oauth(cluster, &path, &[("Authorization", &alice())]).await;
    let location = value(&response, "location");
    let (_, rest) = location.split_once("#access_token=").unwrap();
    rest.split('&').next().unwrap().to_owned()
}
