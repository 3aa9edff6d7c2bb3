//! Every root credential, and every way to find a cluster.

use std::fs;

use serde_json::json;

use super::{
    Cloud, KEY,
    cloud::{POD_TOKEN, SECRET},
};
use crate::support::{get, status};

/// Starts before the cluster `production` and asks once.
async fn serves(cloud: &Cloud, args: &[&str], variables: &[(&str, &str)]) {
    let args = [&["--ibm-cluster", "production"], args].concat();
    let kubegate = cloud.proxy(&args, variables);
    let answer = get(&kubegate.address, "/x").await;
    assert_eq!(status(&answer), 200, "{args:?} {variables:?} {answer}");
    let log = kubegate.log();
    assert!(!log.contains(SECRET) && !log.contains("e30."), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_comes_from_each_variable_and_from_files_in_every_form() {
    let cloud = Cloud::start().await;
    for variable in ["IC_API_KEY", "IBMCLOUD_API_KEY"] {
        serves(&cloud, &[], &[(variable, KEY)]).await;
    }
    let key = cloud.path("key");
    let file = key.to_str().unwrap();
    for text in [
        format!("{KEY}\n"),
        json!({"name": "n", "apikey": KEY}).to_string(),
        format!(
            "ANY_SERVICE_APIKEY={KEY}\nANY_SERVICE_AUTH_URL={}\n",
            cloud.host.url()
        ),
    ] {
        fs::write(&key, text).unwrap();
        serves(&cloud, &["--apikey-file", file], &[]).await;
        serves(&cloud, &[], &[("IBM_CREDENTIALS_FILE", file)]).await;
        // The flag goes before the environment.
        serves(
            &cloud,
            &["--apikey-file", file],
            &[("IC_API_KEY", "sesame-ibm-no")],
        )
        .await;
    }
    assert_eq!(cloud.book().granted("apikey"), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_file_may_say_where_iam_is() {
    let cloud = Cloud::start().await;
    let file = cloud.path("credentials.env");
    let text = format!("A_APIKEY={KEY}\nA_AUTH_URL={}\n", cloud.host.url());
    fs::write(&file, text).unwrap();
    let mut command = cloud.command(&["--ibm-cluster", "production", "--port", "0"]);
    command
        .env_remove("IBMCLOUD_IAM_API_ENDPOINT")
        .env("IBM_CREDENTIALS_FILE", &file);
    let kubegate = crate::support::Kubegate::spawn(command);
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_file_is_read_anew_when_the_key_was_revoked() {
    let cloud = Cloud::start().await;
    cloud.book().id_life = 1.0;
    let key = cloud.path("key");
    fs::write(&key, KEY).unwrap();
    let kubegate = cloud.proxy(
        &[
            "--ibm-cluster",
            "production",
            "--apikey-file",
            key.to_str().unwrap(),
        ],
        &[],
    );
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
    fs::write(&key, "sesame-ibm-revoked").unwrap();
    let until = async |code, words: &str| {
        loop {
            cloud.book().end_sessions();
            let answer = get(&kubegate.address, "/x").await;
            // A token may also end on its way to the cluster, which says 401 by itself.
            if status(&answer) == code && answer.contains(words) {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let answer = crate::support::in_time(until(401, "BXNIM0415E")).await;
    for part in ["was not found", key.to_str().unwrap(), "new API key"] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    fs::write(&key, KEY).unwrap();
    crate::support::in_time(until(200, "")).await;
    assert!(!kubegate.log().contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pods_token_is_read_anew_each_time() {
    let cloud = Cloud::start().await;
    cloud.book().id_life = 1.0;
    let token = cloud.path("token");
    fs::write(&token, format!("{POD_TOKEN}-1\n")).unwrap();
    let at = format!("@{}", token.display());
    let kubegate = cloud.proxy(
        &["--ibm-cluster", "production"],
        &[("IBMCLOUD_CR_PROFILE", "proxy"), ("IBMCLOUD_CR_TOKEN", &at)],
    );
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
    let before = cloud.book().granted("cr-token");
    fs::write(&token, format!("{POD_TOKEN}-2\n")).unwrap();
    crate::support::in_time(async {
        while cloud.book().granted("cr-token") == before {
            cloud.book().end_sessions();
            assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let literal = [
        ("IBMCLOUD_CR_PROFILE", "proxy"),
        ("IBMCLOUD_CR_TOKEN", POD_TOKEN),
    ];
    serves(&cloud, &[], &literal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_login_is_found_and_several_are_told_apart_by_account() {
    let cloud = Cloud::start().await;
    cloud.save("ibm/a1/jane", &json!({"api-key": KEY}));
    serves(&cloud, &[], &[]).await;
    let session = cloud.book().session();
    cloud.save("ibm/a2/jane", &json!({"refresh-token": session}));
    let refused =
        crate::support::Kubegate::refused(cloud.command(&["--ibm-cluster", "production"]));
    for part in [
        "several logins",
        "ibm/a1/jane",
        "ibm/a2/jane",
        "--ibm-account",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    serves(&cloud, &["--ibm-account", "a2"], &[]).await;
    assert_eq!(cloud.book().granted("apikey"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_found_by_id_and_by_name_in_both_versions_of_the_api() {
    let cloud = Cloud::start().await;
    for v1_only in [false, true] {
        cloud.book().v1_only = v1_only;
        for cluster in ["production", "c1", "staging", "c3"] {
            let kubegate = cloud.proxy(&["--ibm-cluster", cluster], &[("IC_API_KEY", KEY)]);
            assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_endpoint_is_used_where_it_is_asked_for() {
    let cloud = Cloud::start().await;
    let end = |end: &'static str| ["--ibm-cluster", "production", "--ibm-endpoint", end];
    for (args, public, private) in [(end("private"), 0, 1), (end("public"), 1, 1)] {
        let kubegate = cloud.proxy(&args, &[("IC_API_KEY", KEY)]);
        assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
        let reached = (cloud.api.handshakes(), cloud.private.handshakes());
        assert_eq!(reached, (public, private), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_are_not_there_yet_are_waited_for() {
    let cloud = Cloud::start().await;
    cloud.book().out_of_step = 2;
    serves(&cloud, &[], &[("IC_API_KEY", KEY)]).await;
    assert_eq!(cloud.host.count("/global/v2/getRBACStatus"), 3);
}
