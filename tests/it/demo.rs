//! `kubegate demo`: a pretended cluster of each vendor, and the proxy in front of it.
#![cfg(feature = "demo")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Kubegate, get, status};

fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

#[tokio::test]
async fn the_openshift_demo_goes_on_as_its_user_from_session_to_session() {
    let demo = Kubegate::start(["demo", "--flavor", "openshift", "--token-ttl", "2s"]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        let me = get(&demo.address, "/apis/user.openshift.io/v1/users/~").await;
        assert_eq!(status(&me), 200, "{me}");
        assert_eq!(body(&me)["metadata"]["name"], "developer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let projects = get(&demo.address, "/apis/project.openshift.io/v1/projects").await;
    assert_eq!(body(&projects)["kind"], "ProjectList");
    let secrets = get(&demo.address, "/api/v1/secrets").await;
    assert_eq!(status(&secrets), 403, "its user is no admin: {secrets}");

    demo.signal("TERM");
    let ended = demo.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let (_, rest) = ended.stdout.split_once("--cacert ").unwrap();
    let (ca, _) = rest.split_once(' ').unwrap();
    assert!(ca.ends_with("/oauth-ca.pem"), "{ca}");
    assert!(!Path::new(ca).exists(), "it leaves {ca} behind");
}

#[tokio::test]
async fn the_demo_is_of_plain_kubernetes_unless_asked() {
    let demo = Kubegate::start(["demo"]);
    let pods = get(&demo.address, "/api/v1/pods").await;
    assert_eq!(status(&pods), 200, "{pods}");
    let me = get(&demo.address, "/apis/user.openshift.io/v1/users/~").await;
    assert_eq!(status(&me), 404, "{me}");
}
