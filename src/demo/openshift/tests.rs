#![allow(clippy::unwrap_used)]

//! Requests over real TLS connections, with responses as recorded from a real server.

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

#[tokio::test]
async fn without_credentials_a_csrf_header_gets_the_challenge() {
    let cluster = start().await;
    let path = authorize(&cluster, "");
    let response = oauth(&cluster, &path, &[]).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    let line = "A non-empty X-CSRF-Token header is required to receive basic-auth challenges";
    assert_eq!(
        value(&response, "warning"),
        format!("199 Origin \"{line}\"")
    );
    assert_eq!(
        value(&response, "content-type"),
        "text/plain; charset=utf-8"
    );
    assert_eq!(text(&response), format!("{line}\n"));
    assert_eq!(value(&response, "www-authenticate"), "");

    let wrong = basic("alice", "nope");
    let empty = basic("alice", "");
    for authorization in [None, Some(&wrong), Some(&empty)] {
        let mut headers = vec![CSRF];
        headers.extend(authorization.map(|value| ("Authorization", value.as_str())));
        let response = oauth(&cluster, &path, &headers).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            value(&response, "www-authenticate"),
            "Basic realm=\"openshift\""
        );
        assert_eq!(
            value(&response, "cache-control"),
            "no-cache, no-store, max-age=0, must-revalidate"
        );
        assert_eq!(text(&response), "");
    }
    let malformed = oauth(&cluster, &path, &[CSRF, ("Authorization", "Basic !")]).await;
    assert_eq!(malformed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(cluster.logins(), 0);
}

#[tokio::test]
async fn a_code_is_exchanged_once_and_responses_are_those_recorded() {
    let cluster = start().await;
    let code = code(&cluster).await;
    let by = Some(BY_CHALLENGING);
    let (status, body) = exchange(
        &cluster,
        &exchange_form(&cluster, &code, &"x".repeat(64)),
        by,
    )
    .await;
    assert_eq!(status, 400);
    assert_eq!(
        body,
        "{\"error\":\"invalid_grant\",\"error_description\":\"The provided authorization grant \
         (e.g., authorization code, resource owner credentials) or refresh token is invalid, \
         expired, revoked, does not match the redirection URI used in the authorization request, \
         or was issued to another client.\"}\n"
    );
    let form = exchange_form(&cluster, &code, VERIFIER);
    let (status, body) = exchange(&cluster, &form, by).await;
    assert_eq!(status, 200, "{body}");
    let token: Value = serde_json::from_str(&body).unwrap();
    let token = token["access_token"].as_str().unwrap();
    assert_eq!(token.len(), "sha256~".len() + 43);
    assert_eq!(
        body,
        format!(
            "{{\"access_token\":\"{token}\",\"expires_in\":86400,\"scope\":\"user:full\",\
             \"token_type\":\"Bearer\"}}\n"
        )
    );
    let (status, body) = exchange(&cluster, &form, by).await;
    assert_eq!(status, 400);
    assert_eq!(
        body,
        "{\"error\":\"unauthorized_client\",\"error_description\":\"The client is not authorized \
         to request a token using this method.\"}\n"
    );
    assert_eq!(cluster.logins(), 1);

    let name = sessions::object_name(token).unwrap();
    let (status, object) = api(&cluster, Method::GET, &format!("{TOKENS}/{name}"), token).await;
    assert_eq!((status, &object["authorizeToken"]), (200, &json!(code)));
    assert_eq!(object["metadata"]["name"], json!(name));
    let fields = &object["metadata"]["managedFields"][0]["fieldsV1"];
    let fields: Vec<_> = fields.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "f:authorizeToken",
            "f:clientName",
            "f:expiresIn",
            "f:redirectURI",
            "f:scopes",
            "f:userName",
            "f:userUID"
        ]
    );
}

#[tokio::test]
async fn every_error_of_the_token_endpoint_is_400_with_its_code() {
    let cluster = start().await;
    let by = Some(BY_CHALLENGING);
    let form = exchange_form(&cluster, "sha256~x", VERIFIER);
    let in_form = format!("{form}&client_id=openshift-challenging-client&client_secret=");
    for (form, authorization, error) in [
        (form.as_str(), None, "invalid_request"),
        (&form, by, "unauthorized_client"),
        (&in_form, None, "unauthorized_client"),
        (&form, Some("Basic bm9ib2R5Og=="), "unauthorized_client"),
        ("grant_type=authorization_code", by, "invalid_grant"),
        (
            "refresh_token=x&grant_type=refresh_token",
            by,
            "invalid_grant",
        ),
        (
            "username=alice&password=x&grant_type=password",
            by,
            "access_denied",
        ),
        ("grant_type=client_credentials", by, "access_denied"),
        ("grant_type=magic", by, "unsupported_grant_type"),
    ] {
        let (status, body) = exchange(&cluster, form, authorization).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{form}");
    }
}

#[tokio::test]
async fn an_invalid_client_is_an_error_and_other_errors_are_redirected() {
    let cluster = start().await;
    let alice = alice();
    let by = [CSRF, ("Authorization", alice.as_str())];
    let path = authorize(&cluster, "");
    for (path, error) in [
        (
            path.replace("openshift-challenging-client", "unknown"),
            "unauthorized_client",
        ),
        (path.replace("127.0.0.1", "evil.example"), "invalid_request"),
    ] {
        let response = oauth(&cluster, &path, &by).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST);
        assert!(text(&response).starts_with(&format!("{{\"error\":\"{error}\"")));
    }
    let response = oauth(
        &cluster,
        &authorize(&cluster, "&scope=user:nope&state=st1"),
        &by,
    )
    .await;
    assert_eq!(
        value(&response, "location"),
        format!(
            "{}?error=invalid_scope&error_description=%5B0%5D%3A+Invalid+value%3A+%22user%3Anope\
             %22%3A+no+scope+handler+found",
            back(&cluster)
        )
    );
    for (path, error) in [
        (
            path.replace("=code&", "=magic&").replace("=code", "=magic"),
            "unsupported_response_type",
        ),
        (path.replace("=S256", "=S512"), "invalid_request"),
    ] {
        let response = oauth(&cluster, &format!("{path}&state=st1"), &by).await;
        let location = value(&response, "location");
        let start = format!("{}?error={error}&error_description=", back(&cluster));
        assert!(
            location.starts_with(&start) && location.ends_with("&state=st1"),
            "{location}"
        );
    }
}

#[tokio::test]
async fn the_implicit_flow_returns_the_token_in_the_fragment() {
    let cluster = start().await;
    let path = "/oauth/authorize?response_type=token&client_id=openshift-challenging-client";
    let response = oauth(&cluster, path, &[CSRF, ("Authorization", &alice())]).await;
    let location = value(&response, "location");
    let start = format!("{}#access_token=sha256~", back(&cluster));
    let end = "&expires_in=86400&scope=user%3Afull&token_type=Bearer";
    assert!(
        location.starts_with(&start) && location.ends_with(end),
        "{location}"
    );

    cluster.change(|options| options.flows = Flows::Implicit);
    let response = oauth(&cluster, &authorize(&cluster, ""), &[CSRF]).await;
    assert!(value(&response, "location").contains("error=unsupported_response_type"));
    let token = implicit(&cluster, "").await;
    assert_eq!(api(&cluster, Method::GET, ME, &token).await.0, 200);
}

#[tokio::test]
async fn without_challenges_users_log_in_on_the_page() {
    let cluster = start().await;
    cluster.change(|options| options.challenge = false);
    let page = format!("{}/oauth/token/request", cluster.oauth_url());
    let by = [CSRF, ("Authorization", &alice())];
    let response = oauth(&cluster, &authorize(&cluster, ""), &by).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    let line = format!("You must obtain an API token by visiting {page}");
    assert_eq!(
        value(&response, "warning"),
        format!("199 Origin \"{line}\"")
    );
    assert_eq!(
        value(&response, "link"),
        format!("<{page}>; rel=\"related\"")
    );
    assert_eq!(text(&response), format!("{line}\n"));

    // With a browser: log in, and press the button of the page.
    let to_page = oauth(&cluster, "/oauth/token/request", &[]).await;
    assert!(value(&to_page, "location").contains("client_id=openshift-browser-client"));
    let code = cluster.server.codes.issue(codes::Code {
        client: clients::BROWSER,
        redirect_uri: format!("{}{}", cluster.oauth_url(), clients::DISPLAY),
        user: "alice".to_owned(),
        scopes: vec!["user:full".to_owned()],
        challenge: None,
        issued_at: SystemTime::now(),
    });
    let display = format!("/oauth/token/display?code={code}");
    let form = oauth(&cluster, &display, &[]).await;
    assert!(text(&form).contains("Display Token"));
    assert_eq!(cluster.logins(), 0);
    let csrf = value(&form, "set-cookie");
    let csrf = csrf.split(';').next().unwrap();
    let url = format!("{}{display}&{csrf}", cluster.oauth_url());
    for (cookie, status) in [("csrf=other", 400), (csrf, 200), (csrf, 500)] {
        let headers = [("Cookie", cookie)];
        let ca = cluster.oauth_ca_pem();
        let shown = send(ca, Method::POST, &url, &headers, "").await;
        assert_eq!(shown.status, status, "{}", text(&shown));
        assert_eq!(text(&shown).contains("<code>sha256~"), status == 200);
    }
}

#[tokio::test]
async fn a_web_login_redirects_to_the_callback_with_code_and_state() {
    let cluster = start().await;
    let callback = "http://127.0.0.1:40001/callback";
    let url = format!(
        "{}/oauth/authorize?client_id=openshift-cli-client&code_challenge={CHALLENGE}\
         &code_challenge_method=S256&redirect_uri={}&response_type=code&state=st%26te",
        cluster.oauth_url(),
        *form_encoded(callback)
    );
    assert_eq!(cluster.browse(&url, "alice", "nope"), None);
    let end = cluster.browse(&url, "alice", "sesame-os-demo").unwrap();
    let code = end.strip_prefix(&format!("{callback}?code=")).unwrap();
    let code = code.strip_suffix("&state=st%26te").unwrap();
    let form = format!(
        "code={code}&code_verifier={VERIFIER}&grant_type=authorization_code&redirect_uri={callback}"
    );
    let by = "Basic b3BlbnNoaWZ0LWNsaS1jbGllbnQ6";
    let (status, body) = exchange(&cluster, &form, Some(by)).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(cluster.authorizations().len(), 3);
}

#[tokio::test]
async fn a_session_can_read_its_object_and_ends_with_it() {
    let cluster = start().await;
    let token = implicit(&cluster, "").await;
    let (_, me) = api(&cluster, Method::GET, ME, &token).await;
    assert_eq!(me["metadata"]["name"], "alice");
    assert_eq!(me["identities"], json!(["htpasswd:alice"]));
    assert_eq!(
        me["groups"],
        json!(["system:authenticated", "system:authenticated:oauth"])
    );
    let (status, review) = api(&cluster, Method::POST, REVIEWS, &token).await;
    assert_eq!(status, 201);
    let user = json!({
        "username": "alice",
        "uid": me["metadata"]["uid"],
        "groups": ["system:authenticated:oauth", "system:authenticated"],
        "extra": {"scopes.authorization.openshift.io": ["user:full"]},
    });
    assert_eq!(review["status"]["userInfo"], user);

    let bearer = format!("Bearer {token}");
    let info = oauth(&cluster, "/oauth/info", &[("Authorization", &bearer)]).await;
    let left: Value = serde_json::from_slice(&info.body).unwrap();
    let left = left["expires_in"].as_u64().unwrap();
    assert!((86_380..=86_400).contains(&left), "{left}");
    assert_eq!(
        text(&info),
        format!(
            "{{\"access_token\":\"{token}\",\"client_id\":\"openshift-challenging-client\",\
             \"expires_in\":{left},\"scope\":\"user:full\",\"token_type\":\"Bearer\"}}\n"
        )
    );
    let bad = oauth(
        &cluster,
        "/oauth/info",
        &[("Authorization", "Bearer sha256~bad")],
    )
    .await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert!(text(&bad).starts_with("{\"error\":\"invalid_request\""));

    let mine = sessions::object_name(&token).unwrap();
    let others = cluster.issue_session("developer").unwrap();
    let others = sessions::object_name(others.expose()).unwrap();
    let (_, list) = api(&cluster, Method::GET, TOKENS, &token).await;
    assert_eq!(list["kind"], "UserOAuthAccessTokenList");
    let items = list["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["metadata"]["name"]),
        (1, &json!(mine))
    );
    let (status, missing) = api(&cluster, Method::GET, &format!("{TOKENS}/{others}"), &token).await;
    assert_eq!(status, 404);
    assert_eq!(
        missing["message"],
        json!(format!(
            "useroauthaccesstokens.oauth.openshift.io \"{others}\" not found"
        ))
    );
    let path = format!("{TOKENS}/{others}");
    assert_eq!(api(&cluster, Method::DELETE, &path, &token).await.0, 404);

    let (status, gone) = api(
        &cluster,
        Method::DELETE,
        &format!("{TOKENS}/{mine}"),
        &token,
    )
    .await;
    assert_eq!((status, &gone["kind"]), (200, &json!("OAuthAccessToken")));
    assert_eq!(gone["userName"], "alice");
    let (status, refused) = api(&cluster, Method::GET, ME, &token).await;
    assert_eq!((status, &refused["message"]), (401, &json!("Unauthorized")));
}

#[tokio::test]
async fn a_watch_of_own_tokens_has_their_creation_and_deletion() {
    let cluster = start().await;
    let token = implicit(&cluster, "").await;
    let watching = format!(
        "{}{TOKENS}?watch=true&timeoutSeconds=3",
        cluster.api().url()
    );
    let (ca, bearer) = (cluster.api().ca_pem().to_owned(), format!("Bearer {token}"));
    let watch = tokio::spawn(async move {
        let headers = [("Authorization", bearer.as_str()), JSON];
        text(&send(&ca, Method::GET, &watching, &headers, "").await)
    });
    let store = &cluster.server.sessions.store;
    let begun = async {
        while store.watches() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), begun)
        .await
        .unwrap();
    let second = cluster.issue_session("alice").unwrap();
    let _others = cluster.issue_session("developer").unwrap();
    assert!(cluster.revoke(second.expose()));
    assert!(!cluster.revoke(second.expose()));
    let lines = watch.await.unwrap();
    let events: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seen: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(seen, ["ADDED", "ADDED", "DELETED"], "{lines}");
    assert_eq!(events[2]["object"]["kind"], "UserOAuthAccessToken");
}

#[tokio::test]
async fn scopes_limit_tokens_and_users_are_no_cluster_admins() {
    let cluster = start().await;
    let full = implicit(&cluster, "").await;
    let (status, refused) = api(&cluster, Method::GET, "/api/v1/secrets", &full).await;
    let refused = refused.to_string();
    assert_eq!(status, 403, "{refused}");
    let recorded = "\"message\":\"secrets is forbidden: User \\\"alice\\\" cannot list resource \
                    \\\"secrets\\\" in API group \\\"\\\" at the cluster scope\"";
    assert!(refused.contains(recorded), "{refused}");
    for (path, status) in [
        ("/api/v1/pods", 200),
        ("/api/v1/namespaces/default/secrets", 200),
        ("/apis/project.openshift.io/v1/projects", 200),
        ("/apis/project.openshift.io/v1/projects/default", 200),
        ("/apis/project.openshift.io/v1/projects/nope", 404),
        ("/apis/user.openshift.io/v1/users/developer", 403),
        ("/apis/oauth.openshift.io/v1/oauthaccesstokens", 403),
    ] {
        assert_eq!(
            api(&cluster, Method::GET, path, &full).await.0,
            status,
            "{path}"
        );
    }

    let scoped = implicit(&cluster, "&scope=user:info").await;
    let (status, refused) = api(&cluster, Method::GET, TOKENS, &scoped).await;
    assert_eq!(status, 403);
    assert_eq!(
        refused,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "useroauthaccesstokens.oauth.openshift.io is forbidden: User \"alice\" \
                        cannot list resource \"useroauthaccesstokens\" in API group \
                        \"oauth.openshift.io\" at the cluster scope: scopes [user:info] prevent \
                        this action",
            "reason": "Forbidden",
            "details": {"group": "oauth.openshift.io", "kind": "useroauthaccesstokens"},
            "code": 403,
        })
    );
    let (status, refused) = api(&cluster, Method::POST, REVIEWS, &scoped).await;
    assert_eq!(status, 403);
    assert_eq!(
        refused["message"],
        "selfsubjectreviews.authentication.k8s.io is forbidden: User \"alice\" cannot create \
         resource \"selfsubjectreviews\" in API group \"authentication.k8s.io\" at the cluster \
         scope: scopes [user:info] prevent this action"
    );
    assert_eq!(refused["details"]["kind"], "selfsubjectreviews");
    assert_eq!(api(&cluster, Method::GET, ME, &scoped).await.0, 200);
    assert_eq!(
        api(&cluster, Method::GET, "/api/v1/pods", &scoped).await.0,
        403
    );
}

#[tokio::test]
async fn discovery_lists_the_groups_of_openshift() {
    let cluster = start().await;
    let token = implicit(&cluster, "").await;
    let (_, groups) = api(&cluster, Method::GET, "/apis", &token).await;
    let groups = groups["groups"].as_array().unwrap().iter();
    let groups: Vec<_> = groups
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        groups,
        [
            "apps",
            "authentication.k8s.io",
            "authorization.k8s.io",
            "oauth.openshift.io",
            "project.openshift.io",
            "rbac.authorization.k8s.io",
            "user.openshift.io"
        ]
    );
    let (_, kinds) = api(
        &cluster,
        Method::GET,
        "/apis/project.openshift.io/v1",
        &token,
    )
    .await;
    assert_eq!(kinds["resources"][0]["kind"], "Project");
    assert_eq!(kinds["resources"][0]["verbs"], json!(["get", "list"]));
}

#[tokio::test]
async fn oauth_metadata_needs_no_token_but_no_invalid_one() {
    let cluster = start().await;
    let url = format!(
        "{}/.well-known/oauth-authorization-server",
        cluster.api().url()
    );
    let find = async |headers: &[(&str, &str)]| {
        send(cluster.api().ca_pem(), Method::GET, &url, headers, "").await
    };
    let response = find(&[]).await;
    assert_eq!(value(&response, "content-type"), "application/json");
    let issuer = cluster.oauth_url();
    assert_eq!(
        text(&response),
        format!(
            "{{\"issuer\":\"{issuer}\",\"authorization_endpoint\":\"{issuer}/oauth/authorize\",\
             \"token_endpoint\":\"{issuer}/oauth/token\",\"scopes_supported\":[\
             \"user:check-access\",\"user:full\",\"user:info\",\"user:list-projects\",\
             \"user:list-scoped-projects\"],\"response_types_supported\":[\"code\",\"token\"],\
             \"grant_types_supported\":[\"authorization_code\",\"implicit\"],\
             \"code_challenge_methods_supported\":[\"plain\",\"S256\"]}}"
        )
    );
    let stale = find(&[("Authorization", "Bearer sha256~stale")]).await;
    assert_eq!(stale.status, StatusCode::UNAUTHORIZED);
    let ignored = find(&[("Authorization", &alice())]).await;
    assert_eq!(ignored.status, StatusCode::OK);

    cluster.change(|options| options.flows = Flows::Code);
    assert!(!text(&find(&[]).await).contains("code_challenge"));
    cluster.change(|options| options.discovery = false);
    // Anonymous requests for an unknown path are forbidden, others get a 404.
    let token = cluster.issue_session("alice").unwrap();
    let bearer = format!("Bearer {}", token.expose());
    let gone = find(&[("Authorization", &bearer)]).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn lifetimes_are_those_set_and_faults_affect_only_the_oauth_server() {
    let cluster = start().await;
    let was = implicit(&cluster, "").await;
    cluster.change(|options| options.token_max_age = 1);
    let short = implicit(&cluster, "").await;
    assert_eq!(api(&cluster, Method::GET, ME, &short).await.0, 200);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(api(&cluster, Method::GET, ME, &short).await.0, 401);
    assert_eq!(api(&cluster, Method::GET, ME, &was).await.0, 200);

    cluster.change(|options| options.token_max_age = 0);
    let endless = implicit(&cluster, "").await;
    let bearer = format!("Bearer {endless}");
    let info = oauth(&cluster, "/oauth/info", &[("Authorization", &bearer)]).await;
    assert!(text(&info).starts_with("{\"error\":\"invalid_grant\""));

    cluster.faults().respond_with(Some(FaultyResponse::Status(
        StatusCode::SERVICE_UNAVAILABLE,
    )));
    assert_eq!(oauth(&cluster, "/healthz", &[]).await.status, 503);
    assert_eq!(api(&cluster, Method::GET, ME, &endless).await.0, 200);
    cluster.faults().clear();
    assert_eq!(oauth(&cluster, "/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn the_registry_accepts_a_session_and_stores_signatures() {
    let cluster = start().await;
    let token = implicit(&cluster, "").await;
    let registry = async |method: Method, path: &str, authorization: &str, body: &str| {
        let url = format!("{}{path}", cluster.registry_url());
        let header = [("Authorization", authorization)];
        let headers = if authorization.is_empty() {
            &[][..]
        } else {
            &header
        };
        send(cluster.registry_ca_pem(), method, &url, headers, body).await
    };
    let response = registry(Method::GET, "/v2/", "", "").await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    let realm = format!(
        "Bearer realm=\"{}/openshift/token\"",
        cluster.registry_url()
    );
    assert_eq!(value(&response, "www-authenticate"), realm);
    assert_eq!(value(&response, "x-registry-supports-signatures"), "1");

    let (by_bearer, by_basic) = (format!("Bearer {token}"), basic("anything", &token));
    let path = "/openshift/token?scope=repository:demo/hello:pull";
    let response = registry(Method::GET, path, &by_basic, "").await;
    let given: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(given, json!({"token": token, "access_token": token}));
    for (authorization, status) in [
        (by_bearer.as_str(), 200),
        (&by_basic, 200),
        ("Bearer sha256~stale", 401),
        ("Basic !", 401),
    ] {
        let response = registry(Method::GET, "/v2/", authorization, "").await;
        assert_eq!(response.status, status, "{authorization}");
    }
    let stale = registry(Method::GET, path, &basic("x", "sha256~stale"), "").await;
    assert_eq!(stale.status, StatusCode::UNAUTHORIZED);

    let digest = cluster.add_image("demo/signed");
    let path = format!("/extensions/v2/demo/signed/signatures/{digest}");
    let signature = json!({
        "schemaVersion": 2, "name": format!("{digest}@mine"), "type": "atomic", "content": "c2ln",
    });
    let sent = signature.to_string();
    let put = async |body: &str| registry(Method::PUT, &path, &by_bearer, body).await;
    assert_eq!(put(&sent).await.status, StatusCode::CREATED);
    for (body, status, code) in [
        (sent.clone(), 409, "SIGNATURE_EXISTS"),
        (
            sent.replace("schemaVersion", "version"),
            400,
            "SIGNATURE_INVALID",
        ),
        (sent.replace("@mine", ""), 400, "SIGNATURE_INVALID"),
        (sent.replace("c2ln", "!"), 400, "SIGNATURE_INVALID"),
        ("{".to_owned(), 400, "SIGNATURE_INVALID"),
    ] {
        let response = put(&body).await;
        let error: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(response.status, status);
        assert_eq!(error["errors"][0]["code"], code, "{body}");
    }
    let response = registry(Method::GET, &path, &by_bearer, "").await;
    let shown: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(shown, json!({"signatures": [signature]}));
    let unknown = path.replace("signed/", "other/");
    assert_eq!(
        registry(Method::GET, &unknown, &by_bearer, "").await.status,
        404
    );
    let scoped = format!("Bearer {}", implicit(&cluster, "&scope=user:info").await);
    for (authorization, v2, signatures) in
        [(scoped.as_str(), 200, 401), ("Bearer anonymous", 200, 401)]
    {
        assert_eq!(
            registry(Method::GET, "/v2/", authorization, "")
                .await
                .status,
            v2
        );
        assert_eq!(
            registry(Method::GET, &path, authorization, "").await.status,
            signatures
        );
    }
}
