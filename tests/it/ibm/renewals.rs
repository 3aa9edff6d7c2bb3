//! The chain of tokens, renewed from the deepest valid one.

use std::time::{Duration, Instant};

use kubegate::demo::ibm::{API_KEY, Grant, Options};
use serde_json::json;

use super::{
    Cloud,
    cloud::{CLUSTER, PODS, SAVED_LOGIN, assert_no_secret_in_log},
};
use crate::support::{Kubegate, get, in_time, status};

const CLUSTER_ARGS: [&str; 2] = ["--ibm-cluster", CLUSTER];
const KEY: [(&str, &str); 1] = [("IBMCLOUD_API_KEY", API_KEY)];

/// Sends requests until `enough`. Returns their number, and that of those not responded to
/// with 200.
async fn load(kubegate: &Kubegate, mut enough: impl FnMut() -> bool) -> (usize, usize) {
    let (mut requests, mut refused) = (0, 0);
    let started = Instant::now();
    while !enough() {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "too few renewals"
        );
        requests += 1;
        refused += usize::from(status(&get(&kubegate.address, PODS).await) != 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (requests, refused)
}

/// Waits until the saved refresh token is one that IAM accepts.
async fn newest_token_is_saved(cloud: &Cloud) {
    in_time(async {
        while !cloud.has_valid_refresh_token(SAVED_LOGIN) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// A cloud whose tokens expire after 3 seconds, with a saved session of the command line.
async fn with_saved_session() -> Cloud {
    let cloud = Cloud::with(Options {
        access_token: Duration::from_secs(3),
        id_token: Duration::from_secs(3),
        ..Options::default()
    })
    .await;
    let refresh_token = cloud.ibm.cli_login().unwrap();
    cloud.save(SAVED_LOGIN, &json!({"refresh-token": refresh_token}));
    cloud
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_renewals_under_steady_load_refuse_no_request() {
    let cloud = Cloud::with_id_tokens_of(3).await;
    let kubegate = cloud.proxy(&CLUSTER_ARGS, &KEY);
    let renewals = || cloud.ibm.granted(Grant::ClusterRefresh);
    let (requests, refused) = load(&kubegate, || renewals() >= 20).await;
    assert_eq!(refused, 0, "of {requests}: {}", kubegate.log());
    // The API key was sent once; every renewal began with the deepest token.
    assert_eq!(cloud.ibm.granted(Grant::ApiKey), 1);
    assert_eq!(cloud.ibm.granted(Grant::Redeem), 1);
    assert_eq!(cloud.ibm.refused(), 0);
    println!(
        "{requests} requests over {} renewals, none refused",
        renewals()
    );
    assert_no_secret_in_log(&kubegate);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_begins_again_at_the_key_without_a_failed_request() {
    let cloud = Cloud::with_id_tokens_of(3).await;
    let kubegate = cloud.proxy(&CLUSTER_ARGS, &KEY);
    for round in 2..=4 {
        let (requests, refused) = load(&kubegate, || {
            let began_again = cloud.ibm.granted(Grant::ApiKey) == round;
            if !began_again {
                cloud.ibm.end_sessions();
            }
            began_again
        })
        .await;
        assert_eq!(refused, 0, "of {requests}: {}", kubegate.log());
    }
    assert!(cloud.ibm.refused() > 0);
    assert_no_secret_in_log(&kubegate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_session_is_kept_valid_and_its_newest_token_saved() {
    let cloud = with_saved_session().await;
    let kubegate = cloud.proxy(&CLUSTER_ARGS, &[]);
    let enough = || cloud.ibm.granted(Grant::Refresh) >= 6;
    let (requests, refused) = load(&kubegate, enough).await;
    assert_eq!(refused, 0, "of {requests}: {}", kubegate.log());
    assert_eq!(cloud.ibm.refused(), 0);
    assert_eq!(cloud.ibm.granted(Grant::ApiKey), 0);
    newest_token_is_saved(&cloud).await;
    assert_no_secret_in_log(&kubegate);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_kubegates_on_one_login_never_spend_a_refresh_token_twice() {
    let cloud = with_saved_session().await;
    let one = cloud.proxy(&CLUSTER_ARGS, &[]);
    let other = cloud.proxy(&CLUSTER_ARGS, &[]);
    let started = Instant::now();
    while cloud.ibm.granted(Grant::Refresh) < 8 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "too few renewals"
        );
        let responses = tokio::join!(get(&one.address, PODS), get(&other.address, PODS));
        assert_eq!(
            (status(&responses.0), status(&responses.1)),
            (200, 200),
            "{} {}",
            one.log(),
            other.log()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(cloud.ibm.refused(), 0);
    // Both links of the chain were renewed, and the newest token of the first is saved.
    assert!(cloud.ibm.granted(Grant::ClusterRefresh) > 0);
    newest_token_is_saved(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_issuer_delays_no_request_while_a_token_is_valid() {
    let cloud = Cloud::with_id_tokens_of(4).await;
    let kubegate = cloud.proxy(&CLUSTER_ARGS, &KEY);
    assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
    let started = Instant::now();
    cloud.reset_connections(true);
    while started.elapsed() < Duration::from_millis(2500) {
        let began = Instant::now();
        assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
        assert!(began.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cloud.reset_connections(false);
    in_time(async {
        while status(&get(&kubegate.address, PODS).await) != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(cloud.ibm.granted(Grant::ApiKey), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_token_requests_under_steady_load_use_the_api_key_once() {
    let options = Options {
        id_token: Duration::from_secs(3),
        ..Options::default()
    };
    let cloud = Cloud::with(options).await;
    let kubegate = cloud.proxy(&CLUSTER_ARGS, &KEY);
    let calls = || cloud.count("/identity/token");
    let first = calls();
    let (requests, refused) = load(&kubegate, || calls() >= first + 22).await;
    assert_eq!(refused, 0, "of {requests}");
    assert_eq!(cloud.ibm.granted(Grant::ApiKey), 1);
}
