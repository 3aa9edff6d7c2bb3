//! The identity of a virtual server in a VPC, which its metadata service issues.

use std::{fs, process::Command};

use kubegate::demo::ibm::{ACCOUNT, Grant, PROFILE_ID, PROFILE_NAME};

use super::{
    Cloud,
    cloud::{CLUSTER, PODS, assert_no_secret, assert_no_secret_in_log},
};
use crate::support::{Kubegate, get, status};

const TOKEN: &str = "/instance_identity/v1/token";
const IAM_TOKEN: &str = "/instance_identity/v1/iam_token";

/// kubegate on a virtual server with these variables.
fn on_server(cloud: &Cloud, args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = cloud.command(args);
    command.env("IBMCLOUD_CR_VPC_URL", cloud.ibm.metadata().0.url());
    command.envs(variables.iter().copied());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_server_is_served_by_its_default_profile_by_id_and_by_crn() {
    let cloud = Cloud::with_id_tokens_of(3).await;
    let crn = format!("crn:v1:bluemix:public:iam-identity::a/{ACCOUNT}::profile:{PROFILE_ID}");
    let args = ["--ibm-cluster", CLUSTER, "--port", "0", "-v", "9"];
    for profile in ["", PROFILE_ID, &crn] {
        let variables = [("IBMCLOUD_CR_PROFILE", profile)];
        let kubegate = Kubegate::spawn(on_server(&cloud, &args, &variables));
        assert_eq!(
            status(&get(&kubegate.address, PODS).await),
            200,
            "{profile}"
        );
        // It is renewed.
        let before = cloud.ibm.granted(Grant::ComputeResource);
        while cloud.ibm.granted(Grant::ComputeResource) == before {
            assert_eq!(
                status(&get(&kubegate.address, PODS).await),
                200,
                "{profile}"
            );
        }
        assert_no_secret_in_log(&kubegate);
    }
    let service = cloud.ibm.metadata().0;
    assert!(service.count(TOKEN) > 0 && service.count(IAM_TOKEN) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_with_the_servers_identity_saves_nothing() {
    let cloud = Cloud::start().await;
    let args = ["login", "ibm", "--cluster", CLUSTER, "--vpc-cri"];
    let args = [&args[..], &["--profile", PROFILE_ID]].concat();
    let done = Kubegate::refused(on_server(&cloud, &args, &[]));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = fs::read_to_string(cloud.path(".kube/config")).unwrap();
    for part in ["--vpc-cri", &format!("--profile={PROFILE_ID}")] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_no_secret(&text);
    assert!(!cloud.path(".local/state/kubegate/logins").exists());
    let who = Kubegate::refused(on_server(&cloud, &["whoami", "-o", "name"], &[]));
    assert!(who.stdout.contains("Profile-"), "{who:?}");

    // By the settings of IBM's SDKs, from the environment and from a file.
    let url = cloud.ibm.metadata().0.url();
    let by_sdk = [
        ("KUBERNETES_SERVICE_API_AUTH_TYPE", "vpc"),
        ("KUBERNETES_SERVICE_API_IAM_PROFILE_ID", PROFILE_ID),
        ("KUBERNETES_SERVICE_API_AUTH_URL", &url),
    ];
    let kubegate = cloud.proxy(&["--ibm-cluster", CLUSTER], &by_sdk);
    assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
    let file = cloud.path("ibm-credentials.env");
    let lines: Vec<_> = by_sdk
        .map(|(name, value)| format!("{name}={value}\n"))
        .into();
    fs::write(&file, lines.concat()).unwrap();
    let by_file = [("IBM_CREDENTIALS_FILE", file.to_str().unwrap())];
    let kubegate = cloud.proxy(&["--ibm-cluster", CLUSTER], &by_file);
    assert_eq!(status(&get(&kubegate.address, PODS).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_or_url_that_cannot_be_used_says_why() {
    let cloud = Cloud::start().await;
    let args = ["login", "ibm", "--cluster", CLUSTER, "--vpc-cri"];
    for (variables, parts) in [
        (
            &[("IBMCLOUD_CR_PROFILE", PROFILE_NAME)][..],
            &[PROFILE_NAME, "its ID", "CRN"][..],
        ),
        (
            &[("IBMCLOUD_CR_VPC_URL", "http://metadata.example")],
            &["IBMCLOUD_CR_VPC_URL", "169.254.169.254"],
        ),
        (
            &[("IBMCLOUD_CR_VPC_URL", "https://127.0.0.1:1")],
            &[
                "https://127.0.0.1:1",
                "metadata service",
                "https://api.metadata.cloud.ibm.com",
            ],
        ),
        (
            &[("IBMCLOUD_CR_PROFILE", "Profile-other")],
            &["403", "link it to the trusted profile"],
        ),
    ] {
        let done = Kubegate::refused(on_server(&cloud, &args, variables));
        assert_eq!(done.code, Some(1), "{}", done.stdout);
        for part in parts {
            assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
        }
        assert_no_secret(&done.stderr);
    }
    assert!(!cloud.path(".kube/config").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_is_not_sent_to_an_iam_that_only_a_kubeconfig_names() {
    let cloud = Cloud::start().await;
    let args = [
        "credential",
        "ibm",
        "--vpc-cri",
        "--iam",
        "https://iam.example",
    ];
    let mut command = on_server(&cloud, &args, &[]);
    let info = serde_json::json!({"apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {"cluster": {"server": cloud.ibm.iks().url()}, "interactive": false}});
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    let done = Kubegate::refused(command);
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.stderr.contains("is another IAM"), "{}", done.stderr);
    assert_eq!(cloud.ibm.metadata().0.count(TOKEN), 0);
}
