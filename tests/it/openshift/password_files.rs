//! User name and password in files.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use kubegate::demo::{
    https::{Faults, FaultyResponse, HttpsServer},
    openshift::{Challenge, Flows},
};

use super::*;

impl Cluster {
    /// Starts the proxy with alice's user name and this password in files.
    pub(super) fn with_password(&self, password: &str) -> Kubegate {
        let config = self.kubeconfig(&json!({}));
        self.with_credentials(&config, "alice\n", password)
    }

    fn with_credentials(&self, config: &Path, user: &str, password: &str) -> Kubegate {
        let user = self.file("user", user);
        let password = self.file("password", password);
        let args = [
            "--openshift-username-file",
            user.to_str().unwrap(),
            "--openshift-password-file",
            password.to_str().unwrap(),
            "--oauth-certificate-authority",
            &self.oauth_ca(),
        ];
        self.start(config, &args)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_sessions_follow_one_another_without_a_failed_request() {
    let cluster = Cluster::with(Options {
        token_max_age: 2,
        ..Options::default()
    })
    .await;
    let kubegate = cluster.with_password("sesame-os-1\n");
    let (stop, responses) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = async || {
        while !stop.load(Ordering::SeqCst) {
            let response = get(&kubegate.address, OWN_USER).await;
            assert!(is_ok(&response), "{response}\n{}", kubegate.log());
            assert!(response.contains("\"alice\""), "{response}");
            responses.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let controller = async {
        let started = Instant::now();
        while cluster.openshift.logins() < 21 {
            assert!(started.elapsed() < PATIENCE * 5, "{}", kubegate.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.store(true, Ordering::SeqCst);
        started.elapsed()
    };
    let (took, ..) = tokio::join!(controller, client(), client(), client());
    let responses = responses.load(Ordering::SeqCst);
    println!("20 renewals in {took:?}, {responses} responses, no 401");
    // Each session was used for most of its lifetime.
    assert!(took > Duration::from_secs(20 * 3 / 2), "{took:?}");
    assert!(
        !kubegate.log().contains("sesame-os-1"),
        "{}",
        kubegate.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_reported_with_its_file_until_it_is_corrected() {
    let cluster = Cluster::with(Options::default()).await;
    let kubegate = cluster.with_password("sesame-os-wrong\n");
    let response = get(&kubegate.address, OWN_USER).await;
    assert_eq!(status(&response), 401, "{response}");
    for part in [
        "Login failed (401 Unauthorized)",
        "correct the user name in",
        cluster.folder.path().to_str().unwrap(),
    ] {
        assert!(response.contains(part), "{response}");
    }
    assert!(!response.contains("sesame"), "{response}");
    cluster.file("password", "sesame-os-1\n");
    wait_until(&kubegate, OWN_USER, is_ok).await;
    assert!(!kubegate.log().contains("sesame"), "{}", kubegate.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flow_is_one_that_the_server_offers() {
    for (flows, has, has_not) in [
        (
            Flows::Pkce,
            "code_challenge_method=S256",
            "response_type=token",
        ),
        (Flows::Code, "response_type=code", "code_challenge"),
        (Flows::Implicit, "response_type=token", "code"),
    ] {
        let cluster = Cluster::with(Options {
            flows,
            ..Options::default()
        })
        .await;
        let kubegate = cluster.with_password("sesame-os-1");
        let response = get(&kubegate.address, OWN_USER).await;
        assert!(is_ok(&response), "{flows:?} {response}");
        let queries = cluster.openshift.authorizations();
        assert_eq!(queries.len(), 2, "{queries:?}");
        for query in queries {
            assert!(query.contains(has) && !query.contains(has_not), "{query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_password_logins_is_reported() {
    let (without_challenge, without_oauth) = (
        Options {
            challenge: Challenge::None,
            ..Options::default()
        },
        Options {
            discovery: false,
            ..Options::default()
        },
    );
    for (options, says) in [
        (without_challenge, "/oauth/token/request"),
        (without_oauth, "no OAuth server of its own"),
    ] {
        let cluster = Cluster::with(options).await;
        let kubegate = cluster.with_password("sesame-os-1");
        let response = get(&kubegate.address, OWN_USER).await;
        assert_eq!(status(&response), 401, "{response}");
        assert!(response.contains(says), "{response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colon_in_the_user_name_is_refused_without_a_request() {
    let cluster = Cluster::with(Options::default()).await;
    let config = cluster.kubeconfig(&json!({}));
    let kubegate = cluster.with_credentials(&config, "ali:ce", "sesame-os-1");
    let response = get(&kubegate.address, OWN_USER).await;
    assert!(response.contains("colon"), "{response}");
    assert!(cluster.openshift.oauth_requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_responses_of_the_oauth_server_are_named_and_not_quoted() {
    let cluster = Cluster::with(Options::default()).await;
    for (faulty, says) in [
        (
            FaultyResponse::Status(StatusCode::SERVICE_UNAVAILABLE),
            "503",
        ),
        (FaultyResponse::Html, "a page"),
        (FaultyResponse::Oversized, "more than 1048576 bytes"),
        (
            FaultyResponse::Redirect("http://127.0.0.1:1".to_owned()),
            "redirects elsewhere",
        ),
        (
            FaultyResponse::Redirect("https://127.0.0.1:1".to_owned()),
            "cannot reach",
        ),
        (FaultyResponse::TruncatedJson, "a page"),
        (FaultyResponse::Empty, "a page"),
    ] {
        cluster
            .openshift
            .faults()
            .respond_with(Some(faulty.clone()));
        let kubegate = cluster.with_password("sesame-os-1");
        let response = get(&kubegate.address, OWN_USER).await;
        assert!(response.contains(says), "{faulty:?}: {response}");
        let shown = format!("{response}{}", kubegate.log());
        assert!(
            !shown.contains("hunter2") && !shown.contains("sesame"),
            "{shown}"
        );
        cluster.openshift.faults().clear();
        if matches!(faulty, FaultyResponse::Status(_)) {
            wait_until(&kubegate, OWN_USER, is_ok).await;
        }
    }
    for (faulty, says) in [
        (
            FaultyResponse::Status(StatusCode::INTERNAL_SERVER_ERROR),
            "500",
        ),
        (FaultyResponse::Html, "JSON"),
        (
            FaultyResponse::Redirect("https://127.0.0.1:1".to_owned()),
            "redirects elsewhere",
        ),
        (FaultyResponse::TruncatedJson, "JSON"),
        (FaultyResponse::Oversized, "more than 1048576 bytes"),
    ] {
        cluster.openshift.faults().only_on("/oauth/token");
        cluster
            .openshift
            .faults()
            .respond_with(Some(faulty.clone()));
        let kubegate = cluster.with_password("sesame-os-1");
        let response = get(&kubegate.address, OWN_USER).await;
        assert!(response.contains(says), "{faulty:?}: {response}");
        assert!(!response.contains("hunter2"), "{response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_session_is_used_while_its_issuer_is_down() {
    let cluster = Cluster::with(Options {
        token_max_age: 4,
        ..Options::default()
    })
    .await;
    let kubegate = cluster.with_password("sesame-os-1");
    wait_until(&kubegate, OWN_USER, is_ok).await;
    cluster.openshift.faults().reset_connections(true);
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(3500) {
        let began = Instant::now();
        assert!(
            is_ok(&get(&kubegate.address, OWN_USER).await),
            "{}",
            kubegate.log()
        );
        assert!(began.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let response = wait_until(&kubegate, OWN_USER, |response| status(response) >= 400).await;
    assert!(response.contains("cannot reach the issuer"), "{response}");
    cluster.openshift.faults().clear();
    wait_until(&kubegate, OWN_USER, is_ok).await;
}

/// Starts a server that is API server and OAuth server. `respond` gets its URL and each request.
async fn scripted(
    respond: impl Fn(&str, &Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
) -> HttpsServer {
    HttpsServer::start(&[], Faults::default(), move |request, _| {
        let own = format!("https://{}", request.uri().authority().unwrap());
        respond(&own, &request)
    })
    .await
    .unwrap()
}

fn document(issuer: &str) -> Response<Bytes> {
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth/authorize"),
        "token_endpoint": format!("{issuer}/oauth/token"),
        "grant_types_supported": ["authorization_code", "implicit"],
        "code_challenge_methods_supported": ["plain", "S256"],
    });
    Response::new(document.to_string().into())
}

fn redirect(location: &str) -> Response<Bytes> {
    let redirect = Response::builder().status(302).header("Location", location);
    redirect.body(Bytes::new()).unwrap()
}

/// The response to alice's first request through a proxy for this server.
async fn response_through_proxy(server: &HttpsServer) -> String {
    let cluster = Cluster::with(Options::default()).await;
    let config = cluster.kubeconfig_for(&server.url(), server.ca_pem(), &json!({}));
    let kubegate = cluster.with_credentials(&config, "alice", "sesame-os-1");
    let response = get(&kubegate.address, OWN_USER).await;
    let shown = format!("{response}{}", kubegate.log());
    assert!(
        !shown.contains("hunter2") && !shown.contains("sesame"),
        "{shown}"
    );
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_over_http_is_refused() {
    let server = scripted(|_, _| document("http://127.0.0.1:1")).await;
    let response = response_through_proxy(&server).await;
    assert!(response.contains("must begin with https://"), "{response}");
    assert!(response.contains("issuer"), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_from_another_redirect_uri_is_refused() {
    for (location, says) in [
        (
            "https://evil.example/oauth/token/implicit?code=hunter2",
            "elsewhere",
        ),
        ("OWN/oauth/token/implicit.evil?code=hunter2", "elsewhere"),
        ("OWN/oauth/other?code=hunter2", "elsewhere"),
        ("/oauth/token/implicit?code=hunter2", "elsewhere"),
        (
            "OWN/oauth/token/implicit?nothing=hunter2",
            "neither code nor token",
        ),
        (
            "OWN/oauth/token/implicit?error=access_denied&error_description=not+yours%1b",
            "access_denied (not yours\u{fffd})",
        ),
        (
            "OWN/oauth/token/implicit?error=out_of_order",
            "refused the login: out_of_order",
        ),
    ] {
        let server = scripted(move |own, request| match request.uri().path() {
            "/oauth/authorize" => redirect(&location.replace("OWN", own)),
            _ => document(own),
        })
        .await;
        let response = response_through_proxy(&server).await;
        assert!(response.contains(says), "{location}: {response}");
        assert_eq!(server.count("/oauth/token"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_senseless_lifetime_is_refused_and_a_long_one_limited() {
    for (expires_in, says) in [
        ("-5", "negative"),
        ("\"soon\"", "not a number"),
        ("\"3600\"", "works"),
        ("0", "works"),
        ("1e300", "works"),
        ("99999999999", "works"),
    ] {
        let server = scripted(move |own, request| match request.uri().path() {
            "/oauth/authorize" => redirect(&format!("{own}/oauth/token/implicit?code=x&state=")),
            "/oauth/token" => Response::new(Bytes::from(format!(
                "{{\"access_token\":\"sha256~hunter2\",\"expires_in\":{expires_in},\
                 \"token_type\":\"Bearer\"}}"
            ))),
            "/.well-known/oauth-authorization-server" => document(own),
            _ => Response::new(Bytes::from_static(b"works")),
        })
        .await;
        let response = response_through_proxy(&server).await;
        assert!(response.contains(says), "{expires_in}: {response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_a_redirect_is_requested_again() {
    for (pages, succeeds) in [(2, true), (3, false)] {
        let pages = AtomicUsize::new(pages);
        let server = scripted(move |own, request| match request.uri().path() {
            "/oauth/authorize" => {
                let left = |left: usize| left.checked_sub(1);
                match pages.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left) {
                    Ok(_) => Response::new(Bytes::from_static(b"<html>hunter2</html>")),
                    Err(_) => redirect(&format!("{own}/oauth/token/implicit?code=x&state=")),
                }
            }
            "/oauth/token" => Response::new(Bytes::from_static(
                b"{\"access_token\":\"sha256~hunter2\",\"expires_in\":60,\"token_type\":\"Bearer\"}",
            )),
            "/.well-known/oauth-authorization-server" => document(own),
            _ => Response::new(Bytes::from_static(b"works")),
        })
        .await;
        let response = response_through_proxy(&server).await;
        assert_eq!(is_ok(&response), succeeds, "{response}");
        assert_eq!(server.count("/oauth/authorize"), 3);
    }
}
