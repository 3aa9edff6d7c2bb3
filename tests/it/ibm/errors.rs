//! What goes wrong, and what each message says to do.

use std::time::Duration;

use http::StatusCode;
use kubegate::demo::https::{FaultyResponse, QUOTED_SECRET as QUOTED, RetryAfter};
use serde_json::json;

use super::{
    Cloud, KEY,
    cloud::{SECRET, jwt},
};
use crate::support::{Kubegate, get, status};

/// Starts in vain; what it says.
fn refused(cloud: &Cloud, args: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = cloud.command(args);
    command
        .args(["--port", "0", "-v", "9"])
        .envs(variables.iter().copied());
    let refused = Kubegate::refused(command);
    assert!(matches!(refused.code, Some(1 | 2)), "{}", refused.stderr);
    let text = refused.stderr + &refused.stdout;
    for secret in [SECRET, QUOTED, "e30."] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

/// Starts, and refuses its first request; what it says then, and in its log.
async fn refused_later(cloud: &Cloud, args: &[&str], variables: &[(&str, &str)]) -> String {
    let kubegate = cloud.proxy(args, variables);
    let answer = get(&kubegate.address, "/x").await;
    assert!(matches!(status(&answer), 401 | 503), "{answer}");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let message = body["message"].as_str().unwrap();
    assert!(message.contains("cannot find the cluster"), "{message}");
    let text = format!("{message}\n{}", kubegate.log());
    for secret in [SECRET, QUOTED, "e30."] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

const PRODUCTION: [&str; 2] = ["--ibm-cluster", "production"];
const WITH_KEY: [(&str, &str); 1] = [("IBMCLOUD_API_KEY", KEY)];

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
        cloud.book().refusals.insert("apikey", (status, code));
        let text = refused_later(&cloud, &PRODUCTION, &WITH_KEY).await;
        says(&text, &parts);
        says(&text, &[code, &cloud.host.url()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_session_that_is_dead_asks_for_a_login_and_one_ends_that() {
    let cloud = Cloud::start().await;
    let session = cloud.book().session();
    cloud.save("ibm/a/jane", &json!({"refresh-token": session}));
    cloud.book().id_life = 1.0;
    let kubegate = cloud.proxy(&PRODUCTION, &[]);
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
    cloud.book().end_sessions();
    let until_told = async {
        loop {
            let answer = get(&kubegate.address, "/x").await;
            // A token may also end on its way to the cluster, which says 401 by itself.
            if status(&answer) == 401 && answer.contains("expired or was revoked") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answer = crate::support::in_time(until_told).await;
    says(&answer, &["kubegate login ibm --cluster production"]);
    cloud.book().id_life = 60.0;
    let session = cloud.book().session();
    cloud.save("ibm/a/jane", &json!({"refresh-token": session}));
    // Not a second later.
    let answer = get(&kubegate.address, "/x").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(!kubegate.log().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_log_in_with_says_every_way() {
    let cloud = Cloud::start().await;
    let text = refused(&cloud, &PRODUCTION, &[]);
    says(
        &text,
        &[
            "--apikey-file",
            "IBMCLOUD_API_KEY",
            "kubegate login ibm --cluster production",
        ],
    );
    let pod = [("IBMCLOUD_CR_PROFILE", "proxy")];
    says(
        &refused(&cloud, &PRODUCTION, &pod),
        &["IBMCLOUD_CR_TOKEN", "vault-token"],
    );
    let args = [&PRODUCTION[..], &["--apikey-file", "/nonexistent/key"]].concat();
    says(&refused(&cloud, &args, &[]), &["/nonexistent/key"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_cluster_lists_those_with_close_names() {
    let cloud = Cloud::start().await;
    for v1_only in [false, true] {
        cloud.book().v1_only = v1_only;
        let text = refused_later(&cloud, &["--ibm-cluster", "prodution"], &WITH_KEY).await;
        says(
            &text,
            &["no cluster \"prodution\"", "did you mean \"production\""],
        );
        assert!(!text.contains("\"staging\""), "{text}");
        let text = refused_later(&cloud, &["--ibm-cluster", "zzz"], &WITH_KEY).await;
        says(&text, &["\"production\" (c1)", "\"staging\" (c3)"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_serve_is_told_by_its_state() {
    let cloud = Cloud::start().await;
    for (state, advice) in [
        ("deploy_failed", "make a new one"),
        ("deleting", "choose another"),
    ] {
        cloud.book().clusters[0]["state"] = json!(state);
        let text = refused_later(&cloud, &PRODUCTION, &WITH_KEY).await;
        says(&text, &[state, advice, "production"]);
    }
    let private = ["--ibm-cluster", "staging", "--ibm-endpoint", "private"];
    let text = refused_later(&cloud, &private, &WITH_KEY).await;
    says(
        &text,
        &["no private service endpoint", "--ibm-endpoint public"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_of_another_account_cannot_switch() {
    let cloud = Cloud::start().await;
    let other = super::cloud::OTHER_ACCOUNT;
    let args = [&PRODUCTION[..], &["--ibm-account", other]].concat();
    let text = refused_later(&cloud, &args, &WITH_KEY).await;
    says(
        &text,
        &["API keys cannot switch", other, super::cloud::HOME_ACCOUNT],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_the_cluster_that_is_no_jwt_is_told_and_not_shown() {
    let cloud = Cloud::start().await;
    for token in [
        format!("{SECRET}-opaque"),
        format!("a.{SECRET}.c"),
        jwt(&json!({"exp": -1})),
        jwt(&json!({"exp": 1e300})),
        jwt(&json!({"aud": "kube"})),
    ] {
        cloud.book().id_token = Some(token);
        let kubegate = cloud.proxy(&PRODUCTION, &WITH_KEY);
        let answer = get(&kubegate.address, "/x").await;
        assert_eq!(status(&answer), 401, "{answer}");
        says(
            &answer,
            &["no JWT with an expiry", "IBMCLOUD_IAM_API_ENDPOINT"],
        );
        let log = kubegate.log();
        assert!(
            !answer.contains(SECRET) && !log.contains(SECRET),
            "{answer} {log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_that_make_no_sense_are_told_or_cut() {
    let cloud = Cloud::start().await;
    for life in [json!(0), json!(-5), json!(-1e300)] {
        cloud.book().access_life = life;
        says(
            &refused_later(&cloud, &PRODUCTION, &WITH_KEY).await,
            &["expires_in", &cloud.host.url()],
        );
    }
    for life in [json!(1e300), json!(u64::MAX), json!(null)] {
        cloud.book().access_life = life;
        let kubegate = cloud.proxy(&PRODUCTION, &WITH_KEY);
        assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
    }
    cloud.book().access_life = json!("soon");
    says(
        &refused_later(&cloud, &PRODUCTION, &WITH_KEY).await,
        &["not the JSON"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_are_named_by_url_and_not_quoted() {
    let cloud = Cloud::start().await;
    for (wrong, part) in [
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
            cloud.faults.clear();
            cloud.faults.respond_with(Some(wrong.clone()));
            cloud.faults.only_on(path);
            let text = refused_later(&cloud, &PRODUCTION, &WITH_KEY).await;
            says(&text, &[&cloud.host.url(), path]);
            let other = "its answer is not a cluster";
            assert!(
                text.contains(part) || text.contains(other),
                "{part}: {text}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_tried_again_at_start() {
    let cloud = Cloud::start().await;
    for path in ["/identity/token", "/global/v2/getCluster"] {
        cloud.faults.rate_limit(Some(RetryAfter::Seconds(1)));
        cloud.faults.only_on(path);
        cloud.faults.limit_to(1);
        let kubegate = cloud.proxy(&PRODUCTION, &WITH_KEY);
        assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
        cloud.faults.clear();
        let refused = cloud.host.requests();
        let refused = refused
            .iter()
            .filter(|seen| seen.path == path && seen.status == Some(StatusCode::TOO_MANY_REQUESTS));
        assert!(refused.count() >= 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_network_it_serves_and_finds_its_cluster_when_there_is_one() {
    let cloud = Cloud::start().await;
    cloud.faults.reset_connections(true);
    let kubegate = cloud.proxy(&PRODUCTION, &WITH_KEY);
    let answer = get(&kubegate.address, "/x").await;
    assert_eq!(status(&answer), 503, "{answer}");
    says(
        &answer,
        &["cannot find the cluster", "IBM Cloud", &cloud.host.url()],
    );
    assert!(!answer.contains("retry-after"), "{answer}");
    cloud.faults.clear();
    cloud.faults.reset_connections(false);
    crate::support::in_time(async {
        while status(&get(&kubegate.address, "/x").await) != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let log = kubegate.log();
    assert_eq!(
        log.matches("sought again when a request comes").count(),
        1,
        "{log}"
    );
    assert!(log.contains("found the cluster"), "{log}");

    // What needs no network to be wrong is told at the start.
    cloud.faults.reset_connections(true);
    for (args, part) in [
        (
            ["--certificate-authority", "/nonexistent/ca"],
            "/nonexistent/ca",
        ),
        (["--proxy-url", "gopher://x"], "--proxy-url"),
        (["--as-group", "g"], "--as"),
        (["--apikey-file", "/nonexistent/key"], "/nonexistent/key"),
    ] {
        let mut command = cloud.command(&[&PRODUCTION[..], &args].concat());
        command.args(["--port", "0"]).envs(WITH_KEY);
        let refused = Kubegate::refused(command);
        assert!(matches!(refused.code, Some(1 | 2)), "{refused:?}");
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_refused_by_the_variable_that_names_it() {
    let cloud = Cloud::start().await;
    for variable in [
        "IBMCLOUD_IAM_API_ENDPOINT",
        "IBMCLOUD_CS_API_ENDPOINT",
        "IBMCLOUD_ACCOUNT_MANAGEMENT_API_ENDPOINT",
    ] {
        let http = [WITH_KEY[0], (variable, "http://127.0.0.1:1")];
        says(
            &refused(&cloud, &PRODUCTION, &http),
            &[variable, "https://"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_choice_beside_the_cluster_is_refused() {
    let cloud = Cloud::start().await;
    for flags in [
        ["--context", "c"],
        ["--server", "https://x"],
        ["--token", "t"],
    ] {
        let args = [&PRODUCTION[..], &flags].concat();
        says(
            &refused(&cloud, &args, &WITH_KEY),
            &["--ibm-cluster", flags[0]],
        );
    }
    let demo = cloud.command(&["demo", "--ibm-cluster", "production"]);
    says(&Kubegate::refused(demo).stderr, &["--ibm-cluster"]);
}
