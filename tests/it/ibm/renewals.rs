//! The chain, from the deepest link that still lives.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Cloud, KEY, cloud::SECRET};
use crate::support::{Kubegate, get, in_time, status};

/// Asks until `enough`; how many requests there were, and of them not answered 200.
async fn load(kubegate: &Kubegate, mut enough: impl FnMut() -> bool) -> (usize, usize) {
    let (mut asked, mut refused) = (0, 0);
    let started = Instant::now();
    while !enough() {
        assert!(
            started.elapsed() < Duration::from_secs(90),
            "too few renewals"
        );
        asked += 1;
        refused += usize::from(status(&get(&kubegate.address, "/x").await) != 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (asked, refused)
}

/// Waits until the refresh token that rests is one that IAM takes.
async fn newest_rests(cloud: &Cloud) {
    in_time(async {
        loop {
            let saved = cloud.saved("ibm/a/jane");
            let newest = saved["refresh-token"].as_str().unwrap().to_owned();
            if cloud.book().lives(&newest) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

fn shows_no_secret(kubegate: &Kubegate) {
    let log = kubegate.log();
    assert!(log.contains("DEBUG"), "not verbose: {log}");
    assert!(!log.contains(SECRET) && !log.contains("e30."), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_renewals_under_steady_load_go_unnoticed() {
    let cloud = Cloud::start().await;
    cloud.book().id_life = 2.0;
    let kubegate = cloud.proxy(
        &["--ibm-cluster", "production"],
        &[("IBMCLOUD_API_KEY", KEY)],
    );
    let renewals = || cloud.book().granted("kube-refresh");
    let (asked, refused) = load(&kubegate, || renewals() >= 20).await;
    assert_eq!(refused, 0, "of {asked}: {}", kubegate.log());
    // The root was shown once; every renewal began at the deepest link.
    assert_eq!(cloud.book().granted("apikey"), 1);
    assert_eq!(cloud.book().granted("delegated"), 1);
    assert_eq!(cloud.book().refused, 0);
    println!(
        "{asked} requests over {} renewals, none refused",
        renewals()
    );
    shows_no_secret(&kubegate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_session_begins_again_at_the_root_before_anybody_notices() {
    let cloud = Cloud::start().await;
    cloud.book().id_life = 2.0;
    let kubegate = cloud.proxy(
        &["--ibm-cluster", "production"],
        &[("IBMCLOUD_API_KEY", KEY)],
    );
    for round in 2..=4 {
        let (asked, refused) = load(&kubegate, || {
            let mut book = cloud.book();
            let again = book.granted("apikey") == round;
            if !again {
                book.end_sessions();
            }
            again
        })
        .await;
        assert_eq!(refused, 0, "of {asked}: {}", kubegate.log());
    }
    assert!(cloud.book().refused > 0);
    shows_no_secret(&kubegate);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_session_is_kept_alive_and_its_newest_token_saved() {
    let cloud = Cloud::start().await;
    let session = {
        let mut book = cloud.book();
        book.id_life = 2.0;
        book.access_life = json!(2);
        book.session()
    };
    cloud.save("ibm/a/jane", &json!({"refresh-token": session}));
    let kubegate = cloud.proxy(&["--ibm-cluster", "production"], &[]);
    let (asked, refused) = load(&kubegate, || cloud.book().granted("refresh") >= 6).await;
    assert_eq!(refused, 0, "of {asked}: {}", kubegate.log());
    assert_eq!(cloud.book().refused, 0);
    assert_eq!(cloud.book().granted("apikey"), 0);
    newest_rests(&cloud).await;
    shows_no_secret(&kubegate);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_kubegates_on_one_login_never_spend_a_refresh_token_twice() {
    let cloud = Cloud::start().await;
    let session = {
        let mut book = cloud.book();
        book.id_life = 2.0;
        book.access_life = json!(3);
        book.session()
    };
    cloud.save("ibm/a/jane", &json!({"refresh-token": session}));
    let args = ["--ibm-cluster", "production"];
    let (one, other) = (cloud.proxy(&args, &[]), cloud.proxy(&args, &[]));
    let started = Instant::now();
    while cloud.book().granted("refresh") < 8 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "too few renewals"
        );
        let answers = tokio::join!(get(&one.address, "/x"), get(&other.address, "/x"));
        assert_eq!(
            (status(&answers.0), status(&answers.1)),
            (200, 200),
            "{} {}",
            one.log(),
            other.log()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(cloud.book().refused, 0);
    // Both links were renewed, and the newest of the first is what rests.
    assert!(cloud.book().granted("kube-refresh") > 0);
    newest_rests(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_issuer_delays_nobody_while_a_token_holds() {
    let cloud = Cloud::start().await;
    cloud.book().id_life = 3.0;
    let kubegate = cloud.proxy(
        &["--ibm-cluster", "production"],
        &[("IBMCLOUD_API_KEY", KEY)],
    );
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
    let started = Instant::now();
    cloud.faults.reset_connections(true);
    while started.elapsed() < Duration::from_millis(2500) {
        let asked = Instant::now();
        assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
        assert!(asked.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cloud.faults.clear();
    in_time(async {
        while status(&get(&kubegate.address, "/x").await) != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(cloud.book().granted("apikey"), 1);
}
