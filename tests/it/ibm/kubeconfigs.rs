//! Kubeconfigs for IKS that IBM's own tools wrote.

use std::fs;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kubegate::demo::ibm::{API_KEY, Grant};

use super::{
    Cloud,
    cloud::{CLUSTER, CLUSTER_ID, PODS, assert_no_secret, assert_no_secret_in_log},
};
use crate::support::{Connection, Upstream, cert, get, in_time, status};

/// An invalid refresh token.
const INVALID: &str = "sesame-ibm-invalid";

/// Writes a kubeconfig as `ibmcloud ks cluster config` does. It may lack a refresh token.
fn write(cloud: &Cloud, refresh_token: Option<&str>) {
    let iks = cloud.ibm.iks();
    write_for(cloud, &iks.url(), iks.ca_pem().as_bytes(), refresh_token);
}

fn write_for(cloud: &Cloud, server: &str, ca_pem: &[u8], refresh_token: Option<&str>) {
    let name = format!("{CLUSTER}/{CLUSTER_ID}");
    let ca = BASE64_STANDARD.encode(ca_pem);
    let refresh_token = refresh_token.map_or_else(String::new, |token| {
        format!("        refresh-token: {token}\n")
    });
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\ncontexts:\n\
         - name: {name}\n  context: {{cluster: {name}, user: jane}}\nclusters:\n\
         - name: {name}\n  cluster:\n    server: {server}\n    certificate-authority-data: {ca}\n\
         users:\n- name: jane\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        \
         client-id: kube\n        client-secret: kube\n        id-token: e30.e30.old\n        \
         idp-issuer-url: {}\n{refresh_token}",
        cloud.ibm.issuer_url(),
    );
    fs::create_dir_all(cloud.path(".kube")).unwrap();
    fs::write(cloud.path(".kube/config"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_refresh_token_is_used_and_the_next_one_written() {
    let cloud = Cloud::start().await;
    let (_, refresh_token) = cloud.ibm.kube_login().unwrap();
    write(&cloud, Some(&refresh_token));
    let kubegate = cloud.proxy(&[], &[]);
    let response = get(&kubegate.address, PODS).await;
    assert_eq!(status(&response), 200, "{response}");
    assert_eq!(cloud.ibm.granted(Grant::ClusterRefresh), 1);
    let text = fs::read_to_string(cloud.path(".kube/config")).unwrap();
    assert!(text.contains("refresh-token: ibm-refresh-") && !text.contains(&refresh_token));
    assert_no_secret_in_log(&kubegate);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_refresh_token_the_api_key_is_used() {
    let cloud = Cloud::with_id_tokens_of(3).await;
    for refresh_token in [None, Some(INVALID)] {
        write(&cloud, refresh_token);
        let before = cloud.ibm.granted(Grant::ClusterRefresh);
        let kubegate = cloud.proxy(&[], &[("IBMCLOUD_API_KEY", API_KEY)]);
        in_time(async {
            while cloud.ibm.granted(Grant::ClusterRefresh) < before + 3 {
                let response = get(&kubegate.address, PODS).await;
                assert_eq!(status(&response), 200, "{response} {}", kubegate.log());
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
        assert_no_secret_in_log(&kubegate);
    }
    assert_eq!(cloud.ibm.granted(Grant::ApiKey), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_root_credential_the_error_says_what_to_run() {
    let cloud = Cloud::start().await;
    for refresh_token in [None, Some(INVALID)] {
        write(&cloud, refresh_token);
        let kubegate = cloud.proxy(&[], &[]);
        let response = get(&kubegate.address, PODS).await;
        assert_eq!(status(&response), 401, "{response}");
        for part in [
            &format!("ibmcloud ks cluster config --cluster {CLUSTER}"),
            &format!("kubegate login ibm --cluster {CLUSTER}"),
            "IBMCLOUD_API_KEY",
        ] {
            assert!(response.contains(part), "{part}: {response}");
        }
        assert_no_secret(&response);
        assert_no_secret_in_log(&kubegate);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_cluster_of_the_user_gets_no_token() {
    let cloud = Cloud::start().await;
    let other = Upstream::tls("localhost", Connection::echo).await;
    let ca_pem = fs::read(cert("ca.pem")).unwrap();
    write_for(&cloud, &other.url(), &ca_pem, None);
    let kubegate = cloud.proxy(&[], &[("IBMCLOUD_API_KEY", API_KEY)]);
    let response = get(&kubegate.address, PODS).await;
    assert_eq!(status(&response), 401, "{response}");
    assert!(
        response.contains("is not an endpoint of cluster"),
        "{response}"
    );
    assert_eq!(cloud.ibm.granted(Grant::ClusterRefresh), 0);
    assert_no_secret_in_log(&kubegate);
}
