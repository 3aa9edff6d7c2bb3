#![allow(clippy::unwrap_used)]
mod grants;
mod logins;
mod services;
mod tokens;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, Method, Uri, header};
use serde_json::{Value, json};

use super::*;
use crate::{credential::issuer::Issuer, dial::Environment, tls::Trust};

const API_KEY_GRANT: &str = "urn:ibm:params:oauth:grant-type:apikey";
const PASSCODE_GRANT: &str = "urn:ibm:params:oauth:grant-type:passcode";
const POD_GRANT: &str = "urn:ibm:params:oauth:grant-type:cr-token";
const REDEEM_GRANT: &str = "urn:ibm:params:oauth:grant-type:delegated-refresh-token";

fn to(ca_pem: &str) -> Issuer {
    let trust = Trust::roots(ca_pem.as_bytes(), "the cloud").unwrap();
    Issuer::new(trust, Environment::read(|_| None))
}

/// Requests tokens from IAM as a client whose name is also its secret.
async fn ask(ibm: &IbmCloud, client: Option<&str>, form: &[(&str, &str)]) -> (u16, Value) {
    let url: Uri = format!("{}/identity/token", ibm.iam.url()).parse().unwrap();
    let basic = client.map(|client| {
        let pair = BASE64_STANDARD.encode(format!("{client}:{client}"));
        HeaderValue::try_from(format!("Basic {pair}")).unwrap()
    });
    let response = to(ibm.ca_pem()).post(&url, form, basic).await.unwrap();
    assert!(response.headers.contains_key("transaction-id"));
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    if response.status != 200 {
        assert!(body["context"]["requestId"].is_string(), "{body}");
    }
    (response.status.as_u16(), body)
}

async fn granted(ibm: &IbmCloud, client: Option<&str>, form: &[(&str, &str)]) -> Value {
    let (status, body) = ask(ibm, client, form).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn refused(ibm: &IbmCloud, client: Option<&str>, form: &[(&str, &str)]) -> (u16, String) {
    let (status, body) = ask(ibm, client, form).await;
    let code = body["errorCode"].as_str();
    (status, code.unwrap_or_default().to_owned())
}

fn by_key(key: &str) -> [(&'static str, &str); 2] {
    [("grant_type", API_KEY_GRANT), ("apikey", key)]
}

fn refresh(token: &str) -> [(&'static str, &str); 2] {
    [("grant_type", "refresh_token"), ("refresh_token", token)]
}

fn redeem(token: &str) -> [(&'static str, &str); 2] {
    [("grant_type", REDEEM_GRANT), ("refresh_token", token)]
}

fn delegate(token: &str) -> Vec<(&'static str, &str)> {
    let mut form = refresh(token).to_vec();
    form.extend([
        ("response_type", "delegated_refresh_token"),
        ("receiver_client_ids", "kube"),
        ("delegated_refresh_token_expiry", "600"),
    ]);
    form
}

fn text<'a>(tokens: &'a Value, field: &str) -> &'a str {
    tokens[field].as_str().unwrap()
}

/// Sends a request with a bearer token to a service or a cluster of the cloud.
async fn call(ca_pem: &str, method: Method, url: &str, token: &str, body: &Value) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header(header::AUTHORIZATION, format!("bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into())
        .unwrap();
    let response = to(ca_pem).send(request, None).await.unwrap();
    let body = serde_json::from_slice(&response.body).unwrap_or_default();
    (response.status.as_u16(), body)
}

async fn containers(ibm: &IbmCloud, path: &str, token: &str) -> (u16, Value) {
    let url = format!("{}/global{path}", ibm.containers.url());
    call(ibm.ca_pem(), Method::GET, &url, token, &json!({})).await
}

/// The user that a cluster authenticates by a token.
async fn whoami(ibm: &IbmCloud, server: &str, token: &str) -> (u16, Value) {
    let url = format!("{server}/apis/authentication.k8s.io/v1/selfsubjectreviews");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let (status, review) = call(ibm.iks.ca_pem(), Method::POST, &url, token, &review).await;
    let user = review.pointer("/status/userInfo/username").cloned();
    (status, user.unwrap_or_default())
}

async fn cloud() -> IbmCloud {
    IbmCloud::start(Options::default()).await.unwrap()
}
