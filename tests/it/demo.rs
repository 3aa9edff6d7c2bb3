//! `kubegate demo`: a pretended cluster of each vendor, and the proxy in front of it.
#![cfg(feature = "demo")]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::tempdir;

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
    let (_, rest) = ended
        .stdout
        .split_once("--oauth-certificate-authority ")
        .unwrap();
    let ca = rest.split_whitespace().next().unwrap();
    assert!(ca.ends_with("/oauth-ca.pem"), "{ca}");
    assert!(!Path::new(ca).exists(), "it leaves {ca} behind");
}

#[tokio::test]
async fn the_ibm_demo_renews_its_tokens_and_says_how_to_log_in() {
    let temporary = tempdir().unwrap();
    let args = [
        "demo",
        "--flavor",
        "ibm",
        "--token-ttl",
        "2s",
        "--port",
        "0",
    ];
    let mut command = Kubegate::command(args);
    command.env("TMPDIR", temporary.path());
    let demo = Kubegate::spawn(command);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        let pods = get(&demo.address, "/api/v1/pods").await;
        assert_eq!(status(&pods), 200, "{pods}\n{}", demo.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Another kubegate, with what the demo says.
    let folder = temporary
        .path()
        .join(format!("kubegate-demo-{}-0", demo.id()));
    let key = folder.join("apikey");
    let environment = fs::read_to_string(folder.join("environment")).unwrap();
    let variables = environment.lines().map(|line| {
        let variable = line.strip_prefix("export ").unwrap();
        variable.split_once('=').unwrap()
    });
    let mut command = Kubegate::command([
        "--port",
        "0",
        "--ibm-cluster",
        "kubegate-iks",
        "--ibm-endpoint",
        "private",
        "--apikey-file",
        key.to_str().unwrap(),
    ]);
    command.envs(variables);
    let other = Kubegate::spawn(command);
    let pods = get(&other.address, "/api/v1/pods").await;
    assert_eq!(status(&pods), 200, "{pods}\n{}", other.log());
    drop(other);

    demo.signal("TERM");
    let ended = demo.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let said = format!("--apikey-file {}\n", key.display());
    assert!(ended.stdout.contains(&said), "{}", ended.stdout);
    assert!(!folder.exists(), "it leaves {} behind", folder.display());
}

#[tokio::test]
async fn the_demo_is_of_plain_kubernetes_unless_asked() {
    let demo = Kubegate::start(["demo"]);
    let pods = get(&demo.address, "/api/v1/pods").await;
    assert_eq!(status(&pods), 200, "{pods}");
    let me = get(&demo.address, "/apis/user.openshift.io/v1/users/~").await;
    assert_eq!(status(&me), 404, "{me}");
}
