//! `kubegate token` and `whoami` with a saved login of IBM Cloud.

use std::fs;

use kubegate::demo::{
    SelfReviews,
    ibm::{API_KEY, IAM_USER, USER},
};

use super::{Cloud, cloud::CLUSTER};
use crate::support::{Kubegate, Refused};

fn run(cloud: &Cloud, args: &[&str]) -> Refused {
    let ended = Kubegate::refused(cloud.command(args));
    assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
    ended
}

/// Logs in to a cluster by the API key in a file.
fn log_in(cloud: &Cloud, cluster: &str) -> Refused {
    let key = cloud.path("key");
    fs::write(&key, API_KEY).unwrap();
    let key = key.to_str().unwrap();
    run(
        cloud,
        &["login", "ibm", "--cluster", cluster, "--apikey-file", key],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn renew_takes_a_new_token_of_each_kind_of_cluster() {
    let cloud = Cloud::start().await;
    for cluster in [CLUSTER, "kubegate-roks"] {
        log_in(&cloud, cluster);
        let requests = || (cloud.count("/identity/token"), cloud.ibm.roks().logins());
        let first = run(&cloud, &["token"]).stdout;
        let before = requests();
        assert_eq!(run(&cloud, &["token"]).stdout, first, "{cluster}");
        assert_eq!(requests(), before, "{cluster}");
        let new = run(&cloud, &["token", "--renew"]).stdout;
        assert_ne!(new, first, "{cluster}");
        let after = requests();
        assert_ne!(after, before, "{cluster}");
        assert_eq!(run(&cloud, &["token"]).stdout, new, "{cluster}");
        assert_eq!(requests(), after, "{cluster}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_say_who_the_user_is_keeps_the_login() {
    for reviews in [
        SelfReviews::V1beta1,
        SelfReviews::Missing,
        SelfReviews::Forbidden,
    ] {
        let cloud = Cloud::start().await;
        cloud.ibm.iks().set_self_reviews(reviews);
        let user = match reviews {
            SelfReviews::V1beta1 => IAM_USER,
            _ => USER,
        };
        let ended = log_in(&cloud, CLUSTER);
        assert!(ended.stdout.contains(&format!("as {user:?}")), "{ended:?}");
        let who = run(&cloud, &["whoami", "-o", "name"]);
        assert_eq!(who.stdout, format!("{user}\n"), "{reviews:?}: {who:?}");
    }
}
