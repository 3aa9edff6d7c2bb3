//! Every root credential, and every way to find a cluster.

use std::{fs, time::Duration};

use http::StatusCode;
use kubegate::demo::{
    https::FaultyResponse,
    ibm::{API_KEY, Grant, PROFILE_NAME, STAGING_API_KEY},
};
use serde_json::json;

use super::{
    Cloud,
    cloud::{CLUSTER, CLUSTER_ID, PODS, assert_no_secret},
};
use crate::support::{Kubegate, get, in_time, status};

/// Starts a proxy for the cluster and sends one request.
async fn is_served(cloud: &Cloud, args: &[&str], variables: &[(&str, &str)]) {
    let args = [&["--ibm-cluster", CLUSTER], args].concat();
    let kubegate = cloud.proxy(&args, variables);
    let response = get(&kubegate.address, PODS).await;
    assert_eq!(status(&response), 200, "{args:?} {variables:?} {response}");
    assert_no_secret(&kubegate.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_comes_from_each_variable_and_each_form_of_file() {
    let cloud = Cloud::start().await;
    for variable in ["IC_API_KEY", "IBMCLOUD_API_KEY"] {
        is_served(&cloud, &[], &[(variable, API_KEY)]).await;
    }
    let key = cloud.path("key");
    let file = key.to_str().unwrap();
    for text in [
        format!("{API_KEY}\n"),
        json!({"name": "n", "apikey": API_KEY}).to_string(),
        format!(
            "ANY_SERVICE_APIKEY={API_KEY}\nANY_SERVICE_AUTH_URL={}\n",
            cloud.iam_url()
        ),
    ] {
        fs::write(&key, text).unwrap();
        is_served(&cloud, &["--apikey-file", file], &[]).await;
        is_served(&cloud, &[], &[("IBM_CREDENTIALS_FILE", file)]).await;
        // The flag has precedence over the environment.
        is_served(
            &cloud,
            &["--apikey-file", file],
            &[("IC_API_KEY", "sesame-ibm-no")],
        )
        .await;
    }
    assert_eq!(cloud.ibm.granted(Grant::ApiKey), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_file_may_name_the_url_of_iam() {
    let cloud = Cloud::start().await;
    let file = cloud.path("credentials.env");
    let text = format!("A_APIKEY={API_KEY}\nA_AUTH_URL={}\n", cloud.iam_url());
    fs::write(&file, text).unwrap();
    let mut command = cloud.command(&["--ibm-cluster", CLUSTER, "--port", "0"]);
    command
        .env_remove("IBMCLOUD_IAM_API_ENDPOINT")
        .env("IBM_CREDENTIALS_FILE", &file);
    let kubegate = Kubegate::spawn(command);
    assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_file_is_read_again_when_the_key_was_revoked() {
    let cloud = Cloud::with_id_tokens_of(2).await;
    let key = cloud.path("key");
    fs::write(&key, API_KEY).unwrap();
    let file = key.to_str().unwrap();
    let args = ["--ibm-cluster", CLUSTER, "--apikey-file", file];
    let kubegate = cloud.proxy(&args, &[]);
    assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
    fs::write(&key, "sesame-ibm-revoked").unwrap();
    let until = async |code, text: &str| {
        loop {
            cloud.ibm.end_sessions();
            let response = get(&kubegate.address, PODS).await;
            // A token may also expire in transit, and the cluster responds with 401 then.
            if status(&response) == code && response.contains(text) {
                return response;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let response = in_time(until(401, "BXNIM0415E")).await;
    for part in ["was not found", file, "new API key"] {
        assert!(response.contains(part), "{part}: {response}");
    }
    fs::write(&key, API_KEY).unwrap();
    in_time(until(200, "")).await;
    assert_no_secret(&kubegate.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_pod_is_read_again_each_time() {
    let cloud = Cloud::with_id_tokens_of(2).await;
    let pod_token = |seconds| cloud.ibm.pod_token(Duration::from_secs(seconds)).unwrap();
    let file = cloud.path("token");
    fs::write(&file, format!("{}\n", pod_token(600))).unwrap();
    let at = format!("@{}", file.display());
    let kubegate = cloud.proxy(
        &["--ibm-cluster", CLUSTER],
        &[
            ("IBMCLOUD_CR_PROFILE", PROFILE_NAME),
            ("IBMCLOUD_CR_TOKEN", &at),
        ],
    );
    assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
    let before = cloud.ibm.granted(Grant::ComputeResource);
    fs::write(&file, format!("{}\n", pod_token(900))).unwrap();
    in_time(async {
        while cloud.ibm.granted(Grant::ComputeResource) == before {
            cloud.ibm.end_sessions();
            assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let token = pod_token(600);
    let literal = [
        ("IBMCLOUD_CR_PROFILE", PROFILE_NAME),
        ("IBMCLOUD_CR_TOKEN", token.as_str()),
    ];
    is_served(&cloud, &[], &literal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_login_is_found_and_several_are_selected_by_account() {
    let cloud = Cloud::start().await;
    cloud.save("ibm/a1/jane", &json!({"api-key": API_KEY}));
    is_served(&cloud, &[], &[]).await;
    let refresh_token = cloud.ibm.cli_login().unwrap();
    cloud.save("ibm/a2/jane", &json!({"refresh-token": refresh_token}));
    let refused = Kubegate::refused(cloud.command(&["--ibm-cluster", CLUSTER]));
    for part in [
        "several logins",
        "ibm/a1/jane",
        "ibm/a2/jane",
        "--ibm-account",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    is_served(&cloud, &["--ibm-account", "a2"], &[]).await;
    assert_eq!(cloud.ibm.granted(Grant::ApiKey), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_found_by_id_and_name_in_both_api_versions() {
    let cloud = Cloud::start().await;
    for version_2 in [true, false] {
        cloud.ibm.change(|options| options.version_2 = version_2);
        for (cluster, key) in [
            (CLUSTER, API_KEY),
            (CLUSTER_ID, API_KEY),
            ("staging-iks", STAGING_API_KEY),
            ("bkiks0stag0000000006", STAGING_API_KEY),
        ] {
            let kubegate = cloud.proxy(&["--ibm-cluster", cluster], &[("IC_API_KEY", key)]);
            assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_private_endpoint_is_used_if_it_is_requested() {
    let cloud = Cloud::start().await;
    let args = |endpoint: &'static str| ["--ibm-cluster", CLUSTER, "--ibm-endpoint", endpoint];
    for (args, public, private) in [(args("private"), 0, 1), (args("public"), 1, 1)] {
        let kubegate = cloud.proxy(&args, &[("IC_API_KEY", API_KEY)]);
        assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
        let connections = (
            cloud.ibm.iks().connections(),
            cloud.ibm.private_connections(),
        );
        assert_eq!(connections, (public, private), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubegate_waits_for_roles_that_have_not_reached_the_cluster() {
    let path = "/global/v2/getRBACStatus";
    let cloud = Cloud::start().await;
    let (_, faults) = cloud.ibm.containers();
    faults.only_on(path);
    faults.limit_to(2);
    faults.respond_with(Some(FaultyResponse::Custom {
        status: StatusCode::NOT_FOUND,
        headers: Vec::new(),
        body: json!("not yet").to_string(),
    }));
    is_served(&cloud, &[], &[("IC_API_KEY", API_KEY)]).await;
    assert_eq!(cloud.count(path), 3);
}
