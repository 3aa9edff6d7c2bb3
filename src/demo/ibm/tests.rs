#![allow(clippy::unwrap_used)]
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

#[tokio::test]
async fn each_client_gets_its_tokens_and_lifetimes_agree() {
    let ibm = cloud().await;
    let key = by_key(API_KEY);
    let nameless = granted(&ibm, None, &key).await;
    assert_eq!(nameless["refresh_token"], "not_supported");
    let bx = granted(&ibm, Some("bx"), &key).await;
    assert_ne!(bx["refresh_token"], "not_supported");
    assert_eq!(bx.get("id_token"), None);
    let kube = granted(&ibm, Some("kube"), &key).await;
    assert_eq!(kube["scope"], "ibm openid containers-kubernetes");
    assert!(kube["id_token"].is_string());
    assert_eq!(refused(&ibm, Some("other"), &key).await.0, 403);

    let claims = ibm.cloud.signer.claims(text(&bx, "access_token")).unwrap();
    assert_eq!(claims["exp"], bx["expiration"]);
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(json!(lifetime), bx["expires_in"]);
    assert_eq!(claims["account"]["bss"], ACCOUNT);
    assert_eq!(claims["iss"], ibm.issuer_url());

    let mut old = key.to_vec();
    old.extend([("response_type", "cloud_iam uaa"), ("uaa_client_ID", "cf")]);
    old.push(("uaa_client_secret", ""));
    let old = granted(&ibm, Some("bx"), &old).await;
    assert!(old["uaa_token"].is_string() && old["uaa_refresh_token"].is_string());
    assert_eq!((ibm.granted(Grant::ApiKey), ibm.refused()), (4, 1));
}

#[tokio::test]
async fn clusters_accept_the_last_token_of_the_chain_and_no_access_token() {
    let ibm = cloud().await;
    let login = granted(&ibm, Some("bx"), &by_key(API_KEY)).await;
    let delegated = granted(&ibm, Some("bx"), &delegate(text(&login, "refresh_token"))).await;
    let fields: Vec<_> = delegated.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["delegated_refresh_token"]);
    let form = redeem(text(&delegated, "delegated_refresh_token"));
    assert_eq!(refused(&ibm, Some("bx"), &form).await.0, 403);
    let kube = granted(&ibm, Some("kube"), &form).await;

    let servers = [ibm.iks.url(), ibm.iks_private.url()];
    for server in servers {
        let user = whoami(&ibm, &server, text(&kube, "id_token")).await;
        assert_eq!(user, (201, json!(IAM_USER)));
        let access = whoami(&ibm, &server, text(&kube, "access_token")).await;
        assert_eq!(access.0, 401);
    }
    assert!(ibm.private_connections() > 0);
    // The token works only once.
    let spent = (400, "BXNIM0407E".to_owned());
    assert_eq!(refused(&ibm, Some("kube"), &form).await, spent);
    // Delegation did not spend the refresh token, and the redeemed one can be refreshed.
    granted(&ibm, Some("bx"), &refresh(text(&login, "refresh_token"))).await;
    let renewed = granted(&ibm, Some("kube"), &refresh(text(&kube, "refresh_token"))).await;
    assert!(renewed["id_token"].is_string());
    let counts = [
        Grant::Delegate,
        Grant::Redeem,
        Grant::Refresh,
        Grant::ClusterRefresh,
    ]
    .map(|grant| ibm.granted(grant));
    assert_eq!(counts, [1, 1, 1, 1]);
}

#[tokio::test]
async fn refresh_tokens_belong_to_a_client_and_end_in_three_ways() {
    let ibm = IbmCloud::start(Options {
        refresh_token: Duration::from_secs(10_000),
        inactivity: Duration::from_secs(1000),
        ..Options::default()
    })
    .await
    .unwrap();
    let login = async || {
        let tokens = granted(&ibm, Some("bx"), &by_key(API_KEY)).await;
        text(&tokens, "refresh_token").to_owned()
    };
    let bx = Some("bx");
    let code = |code: &str| (400, code.to_owned());
    let token = login().await;
    assert_eq!(
        refused(&ibm, Some("kube"), &refresh(&token)).await,
        code("BXNIM0407E")
    );
    granted(&ibm, bx, &refresh(&token)).await;
    assert_eq!(
        refused(&ibm, bx, &refresh(&token)).await,
        code("BXNIM0407E")
    );

    let token = login().await;
    ibm.iam_faults.skew_clock(1100);
    assert_eq!(
        refused(&ibm, bx, &refresh(&token)).await,
        code("BXNIM0439E")
    );
    ibm.iam_faults.skew_clock(10_100);
    assert_eq!(
        refused(&ibm, bx, &refresh(&token)).await,
        code("BXNIM0408E")
    );
    let token = login().await;
    ibm.end_sessions();
    assert_eq!(
        refused(&ibm, bx, &refresh(&token)).await,
        code("BXNIM0407E")
    );
}

#[tokio::test]
async fn a_reusable_refresh_token_works_more_than_once() {
    let ibm = IbmCloud::start(Options {
        reusable: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let tokens = granted(&ibm, Some("bx"), &by_key(API_KEY)).await;
    for _ in 0..3 {
        granted(&ibm, Some("bx"), &refresh(text(&tokens, "refresh_token"))).await;
    }
}

#[tokio::test]
async fn users_choose_an_account_and_api_keys_have_one() {
    let ibm = cloud().await;
    let account = async |form: &[(&str, &str)]| {
        let tokens = granted(&ibm, Some("bx"), form).await;
        let mut claims = ibm
            .cloud
            .signer
            .claims(text(&tokens, "access_token"))
            .unwrap();
        (tokens, claims["account"]["bss"].take())
    };
    let password = [
        ("grant_type", "password"),
        ("username", USER),
        ("password", PASSWORD),
    ];
    let (tokens, none) = account(&password).await;
    assert_eq!(none, Value::Null);
    let access = text(&tokens, "access_token");
    assert_eq!(containers(&ibm, "/v2/vpc/getClusters", access).await.0, 401);
    for name in ["bss_account", "account"] {
        let mut form = password.to_vec();
        form.push((name, STAGING_ACCOUNT));
        assert_eq!(account(&form).await.1, STAGING_ACCOUNT);
    }
    let passcode = ibm.passcode();
    let passcode = [
        ("grant_type", PASSCODE_GRANT),
        ("passcode", &passcode),
        ("bss_account", ACCOUNT),
    ];
    let (tokens, first) = account(&passcode).await;
    assert_eq!(first, ACCOUNT);
    assert_eq!(refused(&ibm, Some("bx"), &passcode).await.0, 400);
    // The session can change to another account of the user, but to no other.
    let mut form = refresh(text(&tokens, "refresh_token")).to_vec();
    form.push(("bss_account", STAGING_ACCOUNT));
    let (tokens, moved) = account(&form).await;
    assert_eq!(moved, STAGING_ACCOUNT);
    let mut form = refresh(text(&tokens, "refresh_token")).to_vec();
    form.push(("bss_account", "unknown"));
    assert_eq!(refused(&ibm, Some("bx"), &form).await.0, 403);

    let mut form = by_key(STAGING_API_KEY).to_vec();
    form.push(("bss_account", ACCOUNT));
    assert_eq!(account(&form).await.1, STAGING_ACCOUNT);
}

#[tokio::test]
async fn a_refused_login_has_the_code_of_its_reason() {
    let ibm = cloud().await;
    let bx = Some("bx");
    let code = |status, code: &str| (status, code.to_owned());
    let password = |password| {
        [
            ("grant_type", "password"),
            ("username", USER),
            ("password", password),
        ]
    };
    let missing = [("grant_type", API_KEY_GRANT), ("apikey", "")];
    for (form, expected) in [
        (&missing[..], code(400, "BXNIM0109E")),
        (&[], code(400, "BXNIM0109E")),
        (&[("grant_type", "magic")], code(400, "BXNIM0109E")),
        (&by_key("sesame-unknown"), code(400, "BXNIM0415E")),
        (&password("sesame-wrong"), code(401, "BXNIM0602E")),
    ] {
        assert_eq!(refused(&ibm, bx, form).await, expected, "{form:?}");
    }
    let passcode = ibm.passcode();
    ibm.iam_faults.skew_clock(301);
    let late = [("grant_type", PASSCODE_GRANT), ("passcode", &passcode)];
    assert_eq!(refused(&ibm, bx, &late).await, code(400, "BXNIM0407E"));

    ibm.require_mfa(true);
    let (status, body) = ask(&ibm, bx, &password(PASSWORD)).await;
    assert_eq!((status, text(&body, "errorCode")), (401, "BXNIM0400E"));
    assert!(body["requirements"]["code"].is_string());
    ibm.require_mfa(false);
    ibm.suspend_user(true);
    for form in [&password(PASSWORD)[..], &by_key(API_KEY)] {
        assert_eq!(refused(&ibm, bx, form).await, code(401, "BXNIM0436E"));
    }
    ibm.suspend_user(false);
    ibm.revoke_api_key();
    let gone = refused(&ibm, bx, &by_key(API_KEY)).await;
    assert_eq!(gone, code(400, "BXNIM0415E"));
    granted(&ibm, bx, &by_key(STAGING_API_KEY)).await;
}

#[tokio::test]
async fn a_pod_assumes_its_profile_and_gets_no_refresh_token() {
    let ibm = cloud().await;
    let pod = ibm.pod_token(Duration::from_secs(600)).unwrap();
    let crn = format!("crn:v1:bluemix:public:iam-identity::a/{ACCOUNT}::profile:{PROFILE_ID}");
    for (field, name) in [
        ("profile_id", PROFILE_ID),
        ("profile_name", PROFILE_NAME),
        ("profile_crn", &crn),
    ] {
        let form = [("grant_type", POD_GRANT), ("cr_token", &pod), (field, name)];
        let tokens = granted(&ibm, Some("bx"), &form).await;
        assert_eq!(tokens["refresh_token"], "not_supported");
        let kube = granted(&ibm, Some("kube"), &form).await;
        let (_, user) = whoami(&ibm, &ibm.iks.url(), text(&kube, "id_token")).await;
        assert_eq!(user, format!("IAM#{PROFILE_ID}"));
    }
    let profile = ("profile_name", PROFILE_NAME);
    let ended = ibm.pod_token(Duration::ZERO).unwrap();
    for (token, profile, code) in [
        (&ended, profile, "BXNIM0407E"),
        (&pod, ("profile_name", "other"), "BXNIM0410E"),
        (&pod, ("profile", "x"), "BXNIM0109E"),
    ] {
        let form = [("grant_type", POD_GRANT), ("cr_token", token), profile];
        assert_eq!(refused(&ibm, None, &form).await, (400, code.to_owned()));
    }
}

#[tokio::test]
async fn accounts_are_listed_in_pages() {
    let ibm = cloud().await;
    let tokens = granted(&ibm, None, &by_key(API_KEY)).await;
    let (mut names, mut pages) = (Vec::new(), 0);
    let mut next = Some("/coe/v2/accounts".to_owned());
    while let Some(path) = next {
        let url = format!("{}{path}", ibm.accounts.url());
        let token = text(&tokens, "access_token");
        let (status, page) = call(ibm.ca_pem(), Method::GET, &url, token, &json!({})).await;
        assert_eq!((status, &page["total_results"]), (200, &json!(5)));
        for account in page["resources"].as_array().unwrap() {
            names.push(account["entity"]["name"].as_str().unwrap().to_owned());
        }
        next = page["next_url"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert_eq!((names.len(), pages), (5, 3));
    assert!(names.contains(&"Example Staging".to_owned()));
    let url = format!("{}/coe/v2/accounts", ibm.accounts.url());
    let (status, _) = call(ibm.ca_pem(), Method::GET, &url, "nope", &json!({})).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn clusters_are_found_only_in_their_account() {
    let ibm = cloud().await;
    let tokens = granted(&ibm, None, &by_key(API_KEY)).await;
    let access = text(&tokens, "access_token");
    for (path, count) in [
        ("/v2/classic/getClusters", 1),
        ("/v2/vpc/getClusters?provider=vpc-gen2", 4),
        ("/v2/satellite/getClusters", 1),
        ("/v1/clusters", 1),
    ] {
        let (status, list) = containers(&ibm, path, access).await;
        assert_eq!(
            (status, list.as_array().unwrap().len()),
            (200, count),
            "{path}"
        );
    }
    for name in ["kubegate-iks", "bkiks0prod0000000001"] {
        let path = format!("/v2/getCluster?cluster={name}");
        let (_, cluster) = containers(&ibm, &path, access).await;
        let endpoints = &cluster["serviceEndpoints"];
        assert_eq!(cluster["masterURL"], ibm.iks.url());
        assert_eq!(
            endpoints["privateServiceEndpointURL"],
            ibm.iks_private.url()
        );
        let path = format!("/v1/clusters/{name}");
        let (_, cluster) = containers(&ibm, &path, access).await;
        assert_eq!(cluster["serverURL"], ibm.iks.url());
        assert_eq!(cluster["privateServiceEndpointURL"], ibm.iks_private.url());
    }
    let (status, error) = containers(&ibm, "/v2/getCluster?cluster=staging-iks", access).await;
    assert_eq!((status, text(&error, "code")), (404, "G0004"));
    let (status, error) = containers(&ibm, "/v2/getCluster?cluster=x", "nope").await;
    assert_eq!((status, text(&error, "code")), (401, "E0058"));
}

#[tokio::test]
async fn an_old_service_has_the_first_version_only_and_another_layout() {
    let ibm = IbmCloud::start(Options {
        version_2: false,
        ..Options::default()
    })
    .await
    .unwrap();
    let tokens = granted(&ibm, None, &by_key(API_KEY)).await;
    let access = text(&tokens, "access_token");
    let (status, body) = containers(&ibm, "/v2/classic/getClusters", access).await;
    assert_eq!((status, body), (404, Value::Null));
    assert_eq!(containers(&ibm, "/v1/clusters", access).await.0, 200);

    let flat = IbmCloud::start(Options {
        flat_endpoints: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let tokens = granted(&flat, None, &by_key(API_KEY)).await;
    let path = "/v2/getCluster?cluster=kubegate-private";
    let (_, cluster) = containers(&flat, path, text(&tokens, "access_token")).await;
    assert_eq!(cluster["publicServiceEndpointEnabled"], false);
    assert_eq!(cluster["masterURL"], flat.iks_private.url());
    assert_eq!(cluster["privateServiceEndpointURL"], flat.iks_private.url());
}

#[tokio::test]
async fn a_kubeconfig_has_tokens_only_for_a_refresh_token() {
    let ibm = cloud().await;
    let tokens = granted(&ibm, Some("bx"), &by_key(API_KEY)).await;
    let access = text(&tokens, "access_token");
    let url = format!(
        "{}/global/v2/applyRBACAndGetKubeconfig",
        ibm.containers.url()
    );
    let body = json!({
        "cluster": "kubegate-iks", "format": "json", "admin": false, "endpointType": "private",
    });
    let (_, config) = call(ibm.ca_pem(), Method::POST, &url, access, &body).await;
    let cluster = &config["clusters"][0]["cluster"];
    assert_eq!(cluster["server"], ibm.iks_private.url());
    let ca = BASE64_STANDARD.decode(text(cluster, "certificate-authority-data"));
    assert_eq!(ca.unwrap(), ibm.iks.ca_pem().as_bytes());
    let provider = &config["users"][0]["user"]["auth-provider"]["config"];
    assert_eq!(provider["idp-issuer-url"], ibm.issuer_url());
    assert_eq!(provider.get("refresh-token"), None);

    let path = "/global/v2/getKubeconfig?cluster=kubegate-iks&format=json";
    let request = Request::get(format!("{}{path}", ibm.containers.url()))
        .header(header::AUTHORIZATION, format!("Bearer {access}"))
        .header("x-auth-refresh-token", text(&tokens, "refresh_token"))
        .body(Bytes::new())
        .unwrap();
    let response = to(ibm.ca_pem()).send(request, None).await.unwrap();
    let config: Value = serde_json::from_slice(&response.body).unwrap();
    let provider = &config["users"][0]["user"]["auth-provider"]["config"];
    let (status, _) = whoami(&ibm, &ibm.iks.url(), text(provider, "id-token")).await;
    assert_eq!(status, 201);
    granted(
        &ibm,
        Some("kube"),
        &refresh(text(provider, "refresh-token")),
    )
    .await;

    let role = "/v2/getRBACStatus?cluster=kubegate-iks";
    for synchronized in [false, true] {
        let (_, body) = containers(&ibm, role, access).await;
        assert_eq!(body["synchronized"], synchronized);
    }
    let young = "/v2/getKubeconfig?cluster=kubegate-young&format=json";
    assert_eq!(containers(&ibm, young, access).await.0, 503);
}

#[tokio::test]
async fn the_login_in_a_kubeconfig_is_renewed_as_an_oidc_issuers() {
    let ibm = cloud().await;
    let url = format!("{}/.well-known/openid-configuration", ibm.issuer_url());
    let response = to(ibm.ca_pem()).get(&url.parse().unwrap(), None).await;
    let metadata: Value = serde_json::from_slice(&response.unwrap().body).unwrap();
    assert_eq!(metadata["issuer"], ibm.issuer_url());
    let (id_token, refresh_token) = ibm.kube_login().unwrap();
    let (status, user) = whoami(&ibm, &ibm.iks.url(), &id_token).await;
    assert_eq!((status, user), (201, json!(IAM_USER)));
    let mut form = refresh(&refresh_token).to_vec();
    form.extend([("client_id", "kube"), ("client_secret", "kube")]);
    let url = text(&metadata, "token_endpoint").parse().unwrap();
    let response = to(ibm.ca_pem()).post(&url, &form, None).await.unwrap();
    let tokens: Value = serde_json::from_slice(&response.body).unwrap();
    assert!(tokens["id_token"].is_string(), "{tokens}");
}

#[tokio::test]
async fn an_openshift_cluster_accepts_an_api_key_or_a_passcode() {
    let ibm = cloud().await;
    let enter = async |name: &str, password: &str| {
        let url = format!(
            "{}/oauth/authorize?response_type=token&client_id=openshift-challenging-client",
            ibm.roks.oauth_url()
        );
        let pair = BASE64_STANDARD.encode(format!("{name}:{password}"));
        let request = Request::get(url)
            .header(header::AUTHORIZATION, format!("Basic {pair}"))
            .header("x-csrf-token", "1")
            .body(Bytes::new())
            .unwrap();
        let response = to(ibm.ca_pem()).send(request, None).await.unwrap();
        let location = response.headers.get(header::LOCATION)?.to_str().unwrap();
        let (_, token) = location.split_once("access_token=")?;
        Some(token.split('&').next().unwrap().to_owned())
    };
    let token = enter("apikey", API_KEY).await.unwrap();
    let url = format!("{}/apis/user.openshift.io/v1/users/~", ibm.roks.api().url());
    let (status, user) = call(ibm.ca_pem(), Method::GET, &url, &token, &json!({})).await;
    assert_eq!((status, &user["metadata"]["name"]), (200, &json!(IAM_USER)));
    let passcode = ibm.passcode();
    assert!(enter("passcode", &passcode).await.is_some());
    assert!(enter("passcode", &passcode).await.is_none());
    assert!(enter("apikey", STAGING_API_KEY).await.is_none());
    ibm.revoke_api_key();
    assert!(enter("apikey", API_KEY).await.is_none());

    let tokens = granted(&ibm, None, &by_key(STAGING_API_KEY)).await;
    let access = text(&tokens, "access_token");
    let (status, _) = containers(&ibm, "/v2/getCluster?cluster=kubegate-roks", access).await;
    assert_eq!(status, 404);
}
