#![allow(clippy::unwrap_used)]
use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderValue, Uri};
use serde_json::Value;

use super::*;
use crate::{
    credential::issuer::{Issuer, Response, form_encoded},
    dial::Environment,
    tls::Trust,
};

const REDIRECT: &str = "http://127.0.0.1:4711/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The challenge of the verifier above (RFC 7636, appendix B).
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn to(ca_pem: &str) -> Issuer {
    let trust = Trust::roots(ca_pem.as_bytes(), "the issuer").unwrap();
    Issuer::new(trust, Environment::read(|_| None))
}

async fn token(oidc: &OidcIssuer, form: &[(&str, &str)], basic: Option<&str>) -> (u16, Value) {
    let url: Uri = format!("{}/token", oidc.url()).parse().unwrap();
    let basic = basic.map(|value| HeaderValue::from_str(value).unwrap());
    let response = to(oidc.ca_pem()).post(&url, form, basic).await.unwrap();
    let body = serde_json::from_slice(&response.body).unwrap();
    (response.status.as_u16(), body)
}

async fn refresh(oidc: &OidcIssuer, token_: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token_),
        ("client_id", "kubegate-demo"),
    ];
    token(oidc, &form, None).await
}

/// Opens the authorization endpoint as a browser does, with some parameters changed.
async fn browse(oidc: &OidcIssuer, changes: &[(&str, &str)]) -> Response {
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", "kubegate-demo"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid offline_access"),
        ("state", "st&te"),
        ("nonce", "n-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for change in changes {
        parameters.retain(|(name, _)| *name != change.0);
        parameters.push(*change);
    }
    let query: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", *form_encoded(value)))
        .collect();
    let url = format!("{}/authorize?{}", oidc.url(), query.join("&"));
    let request = Request::get(url).body(Bytes::new()).unwrap();
    to(oidc.ca_pem()).send(request, None).await.unwrap()
}

fn location(response: &Response) -> &str {
    response.headers["location"].to_str().unwrap()
}

async fn code(oidc: &OidcIssuer) -> String {
    let response = browse(oidc, &[]).await;
    let (code, state) = location(&response)
        .strip_prefix(&format!("{REDIRECT}?code="))
        .and_then(|rest| rest.split_once('&'))
        .unwrap();
    assert_eq!(state, "state=st%26te");
    code.to_owned()
}

async fn redeem(oidc: &OidcIssuer, code: &str, verifier: &str, redirect: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", verifier),
        ("redirect_uri", redirect),
        ("client_id", "kubegate-demo"),
    ];
    token(oidc, &form, None).await
}

async fn whoami(plane: &ControlPlane, token: &str) -> u16 {
    let url = format!("{}/api/v1/namespaces", plane.url())
        .parse()
        .unwrap();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    let response = to(plane.ca_pem()).get(&url, Some(value)).await.unwrap();
    response.status.as_u16()
}

#[tokio::test]
async fn a_login_gets_valid_tokens_and_a_refresh_token_that_works_once() {
    let oidc = OidcIssuer::start(Options::default()).await.unwrap();
    let plane = oidc.control_plane().await.unwrap();
    let code = code(&oidc).await;
    let (status, tokens) = redeem(&oidc, &code, VERIFIER, REDIRECT).await;
    assert_eq!((status, &tokens["expires_in"]), (200, &json!(60)));
    let id_token = tokens["id_token"].as_str().unwrap();
    assert_eq!(oidc.issuer.signer.claims(id_token).unwrap()["nonce"], "n-1");
    assert_eq!(whoami(&plane, id_token).await, 200);
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(whoami(&plane, access).await, 401);

    let first = tokens["refresh_token"].as_str().unwrap();
    let (status, tokens) = refresh(&oidc, first).await;
    assert_eq!(status, 200);
    let second = tokens["refresh_token"].as_str().unwrap();
    let (status, response) = refresh(&oidc, first).await;
    assert_eq!((status, &response["error"]), (400, &json!("invalid_grant")));
    assert_eq!((oidc.logins(), oidc.refreshes(), oidc.refused()), (1, 1, 1));
    oidc.revoke();
    assert_eq!(refresh(&oidc, second).await.0, 400);
}

#[tokio::test]
async fn a_code_works_once_and_only_for_its_client() {
    let oidc = OidcIssuer::start(Options::default()).await.unwrap();
    for (verifier, redirect) in [
        ("another", REDIRECT),
        (VERIFIER, "http://127.0.0.1:4711/other"),
    ] {
        let code = code(&oidc).await;
        assert_eq!(redeem(&oidc, &code, verifier, redirect).await.0, 400);
        assert_eq!(redeem(&oidc, &code, VERIFIER, REDIRECT).await.0, 400);
    }
    assert_eq!((oidc.logins(), oidc.refused()), (0, 4));
    let digest = digest::digest(&digest::SHA256, VERIFIER.as_bytes());
    assert_eq!(BASE64_URL_SAFE_NO_PAD.encode(digest), CHALLENGE);
}

#[tokio::test]
async fn errors_are_redirected_to_the_client_and_unknown_redirects_refused() {
    let oidc = OidcIssuer::start(Options::default()).await.unwrap();
    for change in [
        ("redirect_uri", "https://elsewhere.example/"),
        ("redirect_uri", "http://127.0.0.1.elsewhere.example/"),
        ("client_id", "another"),
    ] {
        let response = browse(&oidc, &[change]).await;
        assert_eq!(response.status, 400, "{change:?}");
        assert!(!response.headers.contains_key("location"));
    }
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "email"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
    ] {
        let response = browse(&oidc, &[change]).await;
        let target = location(&response);
        let expected = format!("{REDIRECT}?error={error}&error_description=");
        assert!(target.starts_with(&expected), "{target}");
        assert!(target.ends_with("&state=st%26te"), "{target}");
    }
    oidc.refuse_logins(true);
    let response = browse(&oidc, &[]).await;
    assert!(location(&response).contains("error=access_denied"));
}

#[tokio::test]
async fn a_client_secret_is_accepted_in_the_header_or_in_the_form() {
    let oidc = OidcIssuer::start(Options {
        client_id: "kube".to_owned(),
        client_secret: Some("s&t".to_owned()),
        reusable: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let (_, kept) = oidc.issue_login().unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", &kept)];
    let with = |secret: &'static str| {
        let mut form = form.to_vec();
        form.extend([("client_id", "kube"), ("client_secret", secret)]);
        form
    };
    // "kube:s%26t": form-encoded, then Basic; and the same with a wrong secret.
    let (right, wrong) = ("Basic a3ViZTpzJTI2dA==", "Basic a3ViZTpzJTI2dQ==");
    assert_eq!(token(&oidc, &form, Some(right)).await.0, 200);
    let (status, tokens) = token(&oidc, &with("s&t"), None).await;
    assert_eq!((status, tokens.get("refresh_token")), (200, None));
    for (form, basic) in [
        (form.to_vec(), Some(wrong)),
        (form.to_vec(), None),
        (with("s&u"), None),
        (with("s&t"), Some(right)),
    ] {
        let (status, response) = token(&oidc, &form, basic).await;
        assert_eq!(
            (status, &response["error"]),
            (401, &json!("invalid_client"))
        );
    }
    assert_eq!(oidc.refreshes(), 2);
}

#[tokio::test]
async fn tokens_have_the_issuers_time_and_the_cluster_uses_its_own() {
    let oidc = OidcIssuer::start(Options::default()).await.unwrap();
    let plane = oidc.control_plane().await.unwrap();
    let metadata = format!("{}/.well-known/openid-configuration", oidc.url());
    let url = metadata.parse().unwrap();
    let response = to(oidc.ca_pem()).get(&url, None).await.unwrap();
    let metadata: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(metadata["issuer"], oidc.url());
    for (skew, status) in [(0, 200), (3600, 200), (-3600, 401)] {
        oidc.faults().skew_clock(skew);
        let (id_token, _) = oidc.issue_login().unwrap();
        assert_eq!(whoami(&plane, &id_token).await, status, "{skew}");
    }
}
