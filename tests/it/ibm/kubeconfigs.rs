//! Kubeconfigs that IBM's own tools wrote for IKS.

use std::fs;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{Cloud, KEY, cloud::SECRET};
use crate::support::{Kubegate, cert, get, in_time, status};

/// A kubeconfig as `ibmcloud ks cluster config` writes it; the refresh token may be missing.
fn write(cloud: &Cloud, refresh: Option<&str>) {
    let ca = BASE64_STANDARD.encode(fs::read(cert("ca.pem")).unwrap());
    let refresh = refresh.map_or_else(String::new, |token| {
        format!("        refresh-token: {token}\n")
    });
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: production/c1\ncontexts:\n\
         - name: production/c1\n  context: {{cluster: production/c1, user: jane}}\nclusters:\n\
         - name: production/c1\n  cluster:\n    server: {}\n    certificate-authority-data: {ca}\n\
         users:\n- name: jane\n  user:\n    auth-provider:\n      name: oidc\n      config:\n        \
         client-id: kube\n        client-secret: kube\n        id-token: e30.e30.old\n        \
         idp-issuer-url: {}/identity\n{refresh}",
        cloud.api.url(),
        cloud.host.url(),
    );
    fs::create_dir_all(cloud.path(".kube")).unwrap();
    fs::write(cloud.path(".kube/config"), text).unwrap();
}

fn shows_no_secret(kubegate: &Kubegate) {
    let log = kubegate.log();
    assert!(!log.contains(SECRET) && !log.contains("e30."), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_lives_is_used_and_the_next_one_written_back() {
    let cloud = Cloud::start().await;
    let refresh = cloud.book().kube_session();
    write(&cloud, Some(&refresh));
    let kubegate = cloud.proxy(&[], &[]);
    let answer = get(&kubegate.address, "/x").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(cloud.book().granted("kube-refresh"), 1);
    let text = fs::read_to_string(cloud.path(".kube/config")).unwrap();
    assert!(text.contains("refresh-token: sesame-ibm-kube-") && !text.contains(&refresh));
    shows_no_secret(&kubegate);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_refresh_token_that_lives_the_root_at_hand_goes_on() {
    let cloud = Cloud::start().await;
    for refresh in [None, Some("sesame-ibm-dead")] {
        cloud.book().id_life = 2.0;
        write(&cloud, refresh);
        let before = cloud.book().granted("kube-refresh");
        let kubegate = cloud.proxy(&[], &[("IBMCLOUD_API_KEY", KEY)]);
        in_time(async {
            while cloud.book().granted("kube-refresh") < before + 3 {
                let answer = get(&kubegate.address, "/x").await;
                assert_eq!(status(&answer), 200, "{answer} {}", kubegate.log());
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
        shows_no_secret(&kubegate);
    }
    assert_eq!(cloud.book().granted("apikey"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_root_at_hand_it_says_what_to_run() {
    let cloud = Cloud::start().await;
    for refresh in [None, Some("sesame-ibm-dead")] {
        write(&cloud, refresh);
        let kubegate = cloud.proxy(&[], &[]);
        let answer = get(&kubegate.address, "/x").await;
        assert_eq!(status(&answer), 401, "{answer}");
        for part in [
            "ibmcloud ks cluster config --cluster production",
            "kubegate login ibm --cluster production",
            "IBMCLOUD_API_KEY",
        ] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
        assert!(!answer.contains(SECRET));
        shows_no_secret(&kubegate);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_none_of_the_users_clusters_gets_no_token_of_the_root_at_hand() {
    let cloud = Cloud::start().await;
    write(&cloud, None);
    let config = cloud.path(".kube/config");
    let text = fs::read_to_string(&config).unwrap();
    let other = crate::support::Upstream::tls("localhost", crate::support::Connection::echo).await;
    fs::write(&config, text.replace(&cloud.api.url(), &other.url())).unwrap();
    let kubegate = cloud.proxy(&[], &[("IBMCLOUD_API_KEY", KEY)]);
    let answer = get(&kubegate.address, "/x").await;
    assert_eq!(status(&answer), 401, "{answer}");
    assert!(answer.contains("is no endpoint of cluster"), "{answer}");
    assert_eq!(cloud.book().granted("kube-refresh"), 0);
    shows_no_secret(&kubegate);
}
