//! The endpoints of clusters and of IBM Cloud's services, as they are chosen and named.

use std::fs;

use kubegate::demo::ibm::API_KEY;

use super::{
    Cloud,
    cloud::{CLUSTER, PODS},
};
use crate::support::{Kubegate, get, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_reached_in_its_vpc_or_through_its_link() {
    let cloud = Cloud::start().await;
    let by_name = |url: String| url.replace("127.0.0.1", "localhost");
    let public = by_name(cloud.ibm.iks().url());
    let roks = cloud.ibm.roks().api().url();
    for (cluster, endpoint, is_server) in [
        // The endpoints in a VPC are those of private connections.
        ("kubegate-iks-2", "vpe", None),
        ("edge-satellite", "link", Some(&public)),
        ("kubegate-roks", "vpe", None),
        ("kubegate-roks", "public", Some(&roks)),
    ] {
        let before = cloud.ibm.private_connections();
        let args = ["login", "ibm", "--cluster", cluster, "--endpoint", endpoint];
        let mut command = cloud.command(&args);
        command.env("IBMCLOUD_API_KEY", API_KEY);
        let done = Kubegate::refused(command);
        assert_eq!(done.code, Some(0), "{cluster} {endpoint}: {}", done.stderr);
        let text = fs::read_to_string(cloud.path(".kube/config")).unwrap();
        let is_private = cloud.ibm.private_connections() > before;
        assert_eq!(is_private, endpoint == "vpe", "{cluster} {endpoint}");
        if let Some(server) = is_server {
            assert!(
                text.contains(server.as_str()),
                "{cluster} {endpoint}: {text}"
            );
        } else {
            assert!(text.contains("server: https://localhost:"), "{text}");
        }
        assert_eq!(Kubegate::refused(cloud.command(&["whoami"])).code, Some(0));
        // Another login writes its own entries.
        fs::remove_file(cloud.path(".kube/config")).unwrap();
    }
    for (endpoint, says) in [("vpe", "virtual private"), ("link", "Satellite Link")] {
        let args = ["login", "ibm", "--cluster", CLUSTER, "--endpoint", endpoint];
        let mut command = cloud.command(&args);
        command.env("IBMCLOUD_API_KEY", API_KEY);
        let done = Kubegate::refused(command);
        assert_eq!(done.code, Some(1), "{endpoint}: {}", done.stdout);
        let says = format!("has no {says} service endpoint");
        assert!(done.stderr.contains(&says), "{}", done.stderr);
        assert!(!cloud.path(".kube/config").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_of_iam_may_end_with_the_path_of_its_tokens() {
    let cloud = Cloud::start().await;
    for path in ["/identity/token", "/identity", "/identity/"] {
        let url = format!("{}{path}", cloud.iam_url());
        let variables = [
            ("IBMCLOUD_API_KEY", API_KEY),
            ("IBMCLOUD_IAM_API_ENDPOINT", &url),
        ];
        let kubegate = cloud.proxy(&["--ibm-cluster", CLUSTER], &variables);
        assert_eq!(status(&get(&kubegate.address, PODS).await), 200, "{path}");

        let file = cloud.path("credentials.env");
        fs::write(&file, format!("A_APIKEY={API_KEY}\nA_AUTH_URL={url}\n")).unwrap();
        let mut command = cloud.command(&["--ibm-cluster", CLUSTER, "--port", "0"]);
        command
            .env_remove("IBMCLOUD_IAM_API_ENDPOINT")
            .env("IBM_CREDENTIALS_FILE", &file);
        let kubegate = Kubegate::spawn(command);
        assert_eq!(status(&get(&kubegate.address, PODS).await), 200, "{path}");
    }
    // A login names its IAM without the path.
    let url = format!("{}/identity/token", cloud.iam_url());
    let mut command = cloud.command(&["login", "ibm", "--cluster", CLUSTER]);
    command.envs([
        ("IBMCLOUD_API_KEY", API_KEY),
        ("IBMCLOUD_IAM_API_ENDPOINT", &url),
    ]);
    let done = Kubegate::refused(command);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = fs::read_to_string(cloud.path(".kube/config")).unwrap();
    let named = format!("--iam={}", cloud.iam_url());
    assert!(
        text.contains(&named) && !text.contains("/identity"),
        "{text}"
    );
}
