//! Errors, and what each message tells the user to do.

use std::time::Duration;

use http::StatusCode;
use kubegate::demo::{
    https::{FaultyResponse, RetryAfter},
    ibm::{ACCOUNT, API_KEY, Grant, STAGING_ACCOUNT},
};
use serde_json::{Value, json};

use super::{
    Cloud,
    cloud::{CLUSTER, CLUSTER_ID, PODS, SAVED_LOGIN, assert_no_secret, jwt},
};
use crate::support::{Kubegate, get, in_time, status};

/// Runs kubegate, which must fail to start. Returns what it prints.
fn refused(cloud: &Cloud, args: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = cloud.command(args);
    command
        .args(["--port", "0", "-v", "9"])
        .envs(variables.iter().copied());
    let refused = Kubegate::refused(command);
    assert!(matches!(refused.code, Some(1 | 2)), "{}", refused.stderr);
    let text = refused.stderr + &refused.stdout;
    assert_no_secret(&text);
    text
}

/// Starts a proxy, which must refuse its first request. Returns the message and its log.
async fn request_refused(cloud: &Cloud, args: &[&str], variables: &[(&str, &str)]) -> String {
    let kubegate = cloud.proxy(args, variables);
    let response = get(&kubegate.address, PODS).await;
    assert!(matches!(status(&response), 401 | 503), "{response}");
    let body = response.split_once("\r\n\r\n").unwrap().1;
    let body: Value = serde_json::from_str(body).unwrap();
    let message = body["message"].as_str().unwrap();
    assert!(message.contains("cannot find the cluster"), "{message}");
    let text = format!("{message}\n{}", kubegate.log());
    assert_no_secret(&text);
    text
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

const CLUSTER_ARGS: [&str; 2] = ["--ibm-cluster", CLUSTER];
const KEY: [(&str, &str); 1] = [("IBMCLOUD_API_KEY", API_KEY)];
const LOGIN: &str = "kubegate login ibm --cluster kubegate-iks";

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_of_iam_says_what_to_do() {
    let cloud = Cloud::start().await;
    for (status, code, parts) in [
        (
            400,
            "BXNIM0415E",
            [
                "API key in IBMCLOUD_API_KEY was not found",
                "revoked",
                "new API key",
            ],
        ),
        (
            400,
            "BXNIM0410E",
            ["not known or not active", "administrator", "invite"],
        ),
        (
            401,
            "BXNIM0436E",
            ["user is suspended", "administrator", "reactivate"],
        ),
        (401, "BXNIM0430E", ["IP address", "not allowed", "allowed"]),
        (400, "BXNIM0400E", ["MFA", "--sso", "--apikey-file"]),
        (
            403,
            "BXNIM0513E",
            ["not authorised", "IBMCLOUD_API_KEY", "new API key"],
        ),
        (
            400,
            "BXNIM0999E",
            ["IAM refused", "IBMCLOUD_API_KEY", "new API key"],
        ),
    ] {
        cloud.ibm.refuse(Grant::ApiKey, Some((status, code)));
        let text = request_refused(&cloud, &CLUSTER_ARGS, &KEY).await;
        assert_says(&text, &parts);
        assert_says(&text, &[code, &cloud.iam_url()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_saved_session_asks_for_a_login() {
    let cloud = Cloud::start().await;
    let refresh_token = cloud.ibm.cli_login().unwrap();
    cloud.save(SAVED_LOGIN, &json!({"refresh-token": refresh_token}));
    cloud.set_id_token_lifetime(2);
    let kubegate = cloud.proxy(&CLUSTER_ARGS, &[]);
    assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
    cloud.ibm.end_sessions();
    let login_needed = async {
        loop {
            let response = get(&kubegate.address, PODS).await;
            // A token may also expire in transit, and the cluster responds with 401 then.
            if status(&response) == 401 && response.contains("expired or was revoked") {
                return response;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let response = in_time(login_needed).await;
    assert_says(&response, &[LOGIN]);
    cloud.set_id_token_lifetime(60);
    let refresh_token = cloud.ibm.cli_login().unwrap();
    cloud.save(SAVED_LOGIN, &json!({"refresh-token": refresh_token}));
    // The next request uses it.
    let response = get(&kubegate.address, PODS).await;
    assert_eq!(status(&response), 200, "{response}");
    assert_no_secret(&kubegate.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_root_credential_the_error_lists_them_all() {
    let cloud = Cloud::start().await;
    let text = refused(&cloud, &CLUSTER_ARGS, &[]);
    assert_says(&text, &["--apikey-file", "IBMCLOUD_API_KEY", LOGIN]);
    let pod = [("IBMCLOUD_CR_PROFILE", "proxy")];
    assert_says(
        &refused(&cloud, &CLUSTER_ARGS, &pod),
        &["IBMCLOUD_CR_TOKEN", "vault-token"],
    );
    let args = [&CLUSTER_ARGS[..], &["--apikey-file", "/nonexistent/key"]].concat();
    assert_says(&refused(&cloud, &args, &[]), &["/nonexistent/key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_cluster_lists_those_with_similar_names() {
    let cloud = Cloud::start().await;
    for version_2 in [true, false] {
        cloud.ibm.change(|options| options.version_2 = version_2);
        let text = request_refused(&cloud, &["--ibm-cluster", "kubegate-isk"], &KEY).await;
        assert_says(
            &text,
            &[
                "no cluster \"kubegate-isk\"",
                "did you mean \"kubegate-iks\"",
            ],
        );
        assert!(!text.contains("\"edge-satellite\""), "{text}");
        let text = request_refused(&cloud, &["--ibm-cluster", "zzz"], &KEY).await;
        assert_says(&text, &[&format!("{CLUSTER:?} ({CLUSTER_ID})")]);
    }
}

/// Has the container service describe a cluster in this state, without a private endpoint.
fn describe_cluster(cloud: &Cloud, state: &str) {
    let (_, faults) = cloud.ibm.containers();
    faults.only_on("/global/v2/getCluster");
    faults.respond_with(Some(FaultyResponse::Custom {
        status: StatusCode::OK,
        headers: Vec::new(),
        body: json!({
            "id": CLUSTER_ID, "name": CLUSTER, "region": "us-south", "state": state,
            "type": "kubernetes", "masterURL": cloud.ibm.iks().url(),
        })
        .to_string(),
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_serve_is_named_with_its_state() {
    let cloud = Cloud::start().await;
    for (state, advice) in [
        ("deploy_failed", "make a new one"),
        ("deleting", "choose another"),
    ] {
        describe_cluster(&cloud, state);
        let text = request_refused(&cloud, &CLUSTER_ARGS, &KEY).await;
        assert_says(&text, &[state, advice, CLUSTER]);
    }
    describe_cluster(&cloud, "normal");
    let private = ["--ibm-cluster", CLUSTER, "--ibm-endpoint", "private"];
    let text = request_refused(&cloud, &private, &KEY).await;
    assert_says(
        &text,
        &["no private service endpoint", "--ibm-endpoint public"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_of_another_account_cannot_switch() {
    let cloud = Cloud::start().await;
    let args = [&CLUSTER_ARGS[..], &["--ibm-account", STAGING_ACCOUNT]].concat();
    let text = request_refused(&cloud, &args, &KEY).await;
    assert_says(&text, &["API keys cannot switch", STAGING_ACCOUNT, ACCOUNT]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_that_is_no_jwt_is_reported_and_not_shown() {
    let cloud = Cloud::start().await;
    for token in [
        "sesame-ibm-opaque".to_owned(),
        "a.sesame-ibm.c".to_owned(),
        jwt(&json!({"exp": -1})),
        jwt(&json!({"exp": 1e300})),
        jwt(&json!({"aud": "kube"})),
    ] {
        cloud
            .ibm
            .replace_token_field("id_token", Some(json!(token)));
        let kubegate = cloud.proxy(&CLUSTER_ARGS, &KEY);
        let response = get(&kubegate.address, PODS).await;
        assert_eq!(status(&response), 401, "{response}");
        assert_says(
            &response,
            &["not a JWT with an expiry", "IBMCLOUD_IAM_API_ENDPOINT"],
        );
        assert_no_secret(&response);
        assert_no_secret(&kubegate.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lifetimes_that_make_no_sense_are_reported_or_limited() {
    let cloud = Cloud::start().await;
    for lifetime in [
        json!(0),
        json!(-5),
        json!(-1e300),
        json!("soon"),
        json!("NaN"),
    ] {
        cloud.ibm.replace_token_field("expires_in", Some(lifetime));
        assert_says(
            &request_refused(&cloud, &CLUSTER_ARGS, &KEY).await,
            &["expires_in", &cloud.iam_url()],
        );
    }
    for lifetime in [json!(1e300), json!(u64::MAX), json!(null), json!("3600")] {
        cloud.ibm.replace_token_field("expires_in", Some(lifetime));
        let kubegate = cloud.proxy(&CLUSTER_ARGS, &KEY);
        assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
    }
    cloud
        .ibm
        .replace_token_field("expires_in", Some(json!(["soon"])));
    assert_says(
        &request_refused(&cloud, &CLUSTER_ARGS, &KEY).await,
        &["not the JSON"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_responses_are_named_by_url_and_not_quoted() {
    let cloud = Cloud::start().await;
    for (faulty, part) in [
        (FaultyResponse::Html, "not the JSON"),
        (FaultyResponse::Oversized, "more than"),
        (
            FaultyResponse::Redirect("https://elsewhere.example".to_owned()),
            "redirects",
        ),
        (FaultyResponse::TruncatedJson, "not the JSON"),
        (FaultyResponse::Empty, "not the JSON"),
        (FaultyResponse::Status(StatusCode::IM_A_TEAPOT), "418"),
    ] {
        for path in ["/identity/token", "/global/v2/getCluster"] {
            let (server, faults) = cloud.service(path);
            faults.respond_with(Some(faulty.clone()));
            faults.only_on(path);
            let text = request_refused(&cloud, &CLUSTER_ARGS, &KEY).await;
            assert_says(&text, &[&server.url(), path]);
            faults.clear();
            let other = "its answer is not a cluster";
            assert!(
                text.contains(part) || text.contains(other),
                "{part}: {text}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_at_start_is_waited_for() {
    let cloud = Cloud::start().await;
    for path in ["/identity/token", "/global/v2/getCluster"] {
        let (server, faults) = cloud.service(path);
        faults.rate_limit(Some(RetryAfter::Seconds(1)));
        faults.only_on(path);
        faults.limit_to(1);
        let kubegate = cloud.proxy(&CLUSTER_ARGS, &KEY);
        assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
        faults.clear();
        let limited = server.requests().into_iter().filter(|request| {
            request.path == path && request.status == Some(StatusCode::TOO_MANY_REQUESTS)
        });
        assert!(limited.count() >= 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_network_kubegate_starts_and_finds_its_cluster_later() {
    let cloud = Cloud::start().await;
    cloud.reset_connections(true);
    let kubegate = cloud.proxy(&CLUSTER_ARGS, &KEY);
    let response = get(&kubegate.address, PODS).await;
    assert_eq!(status(&response), 503, "{response}");
    assert_says(
        &response,
        &["cannot find the cluster", "IBM Cloud", &cloud.iam_url()],
    );
    assert!(!response.contains("retry-after"), "{response}");
    cloud.reset_connections(false);
    in_time(async {
        while status(&get(&kubegate.address, PODS).await) != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let log = kubegate.log();
    assert_eq!(
        log.matches("the next request tries again").count(),
        1,
        "{log}"
    );
    assert!(log.contains("found the cluster"), "{log}");

    // Errors that need no network to be found are reported at start.
    cloud.reset_connections(true);
    for (args, part) in [
        (
            ["--certificate-authority", "/nonexistent/ca"],
            "/nonexistent/ca",
        ),
        (["--proxy-url", "gopher://x"], "--proxy-url"),
        (["--as-group", "g"], "--as"),
        (["--apikey-file", "/nonexistent/key"], "/nonexistent/key"),
    ] {
        let mut command = cloud.command(&[&CLUSTER_ARGS[..], &args].concat());
        command.args(["--port", "0"]).envs(KEY);
        let refused = Kubegate::refused(command);
        assert!(matches!(refused.code, Some(1 | 2)), "{refused:?}");
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_http_url_is_refused_with_its_variable() {
    let cloud = Cloud::start().await;
    for variable in [
        "IBMCLOUD_IAM_API_ENDPOINT",
        "IBMCLOUD_CS_API_ENDPOINT",
        "IBMCLOUD_ACCOUNT_MANAGEMENT_API_ENDPOINT",
    ] {
        let http = [KEY[0], (variable, "http://127.0.0.1:1")];
        assert_says(
            &refused(&cloud, &CLUSTER_ARGS, &http),
            &[variable, "https://"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_that_contradict_the_cluster_are_refused() {
    let cloud = Cloud::start().await;
    for flags in [
        ["--context", "c"],
        ["--server", "https://x"],
        ["--token", "t"],
    ] {
        let args = [&CLUSTER_ARGS[..], &flags].concat();
        assert_says(&refused(&cloud, &args, &KEY), &["--ibm-cluster", flags[0]]);
    }
    let demo = cloud.command(&["demo", "--ibm-cluster", CLUSTER]);
    assert_says(&Kubegate::refused(demo).stderr, &["--ibm-cluster"]);
}
