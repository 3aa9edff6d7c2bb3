//! `kubegate demo`: a cluster of each vendor, and the proxy in front of it.
#![cfg(feature = "demo")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::tempdir;

use crate::support::{Kubegate, get, status};

fn body(response: &str) -> Value {
    serde_json::from_str(response.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

#[tokio::test]
async fn the_openshift_demo_renews_its_sessions() {
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

#[test]
fn the_login_in_the_openshift_demos_greeting_works() {
    let temporary = tempdir().unwrap();
    let args = ["--flavor", "openshift", "--token-ttl", "5m", "--port", "0"];
    let mut demo = Kubegate::command(["demo"])
        .args(args)
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let greeting = BufReader::new(demo.stdout.take().unwrap()).lines();
    let login: Vec<String> = greeting
        .map(Result::unwrap)
        .skip_while(|line| !line.contains("export KUBECONFIG="))
        .take_while(|line| !line.contains("whoami"))
        .collect();
    let script = format!(
        "{} --password-stdin\nkubegate whoami -o name\n",
        login.join("\n")
    );
    let kubegate = Path::new(env!("CARGO_BIN_EXE_kubegate"));
    let mut shell = Command::new("/bin/sh")
        .args(["-ec", &script])
        .env("PATH", kubegate.parent().unwrap())
        .env("HOME", temporary.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(b"developer\n")
        .unwrap();
    let output = shell.wait_with_output().unwrap();
    demo.kill().unwrap();
    demo.wait().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.contains("Logged in as developer"),
        "{script}\n{output}"
    );
    assert!(output.ends_with("\ndeveloper\n"), "{script}\n{output}");
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
    // Another kubegate, with the flags that the demo prints.
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
    let output = format!("--apikey-file {}\n", key.display());
    assert!(ended.stdout.contains(&output), "{}", ended.stdout);
    assert!(!folder.exists(), "it leaves {} behind", folder.display());
}

#[tokio::test]
async fn the_demo_is_plain_kubernetes_by_default() {
    let demo = Kubegate::start(["demo"]);
    let pods = get(&demo.address, "/api/v1/pods").await;
    assert_eq!(status(&pods), 200, "{pods}");
    let me = get(&demo.address, "/apis/user.openshift.io/v1/users/~").await;
    assert_eq!(status(&me), 404, "{me}");
}

#[test]
fn the_lines_of_a_demo_with_tls_lead_to_https() {
    let state = tempdir().unwrap();
    for flavor in ["kubernetes", "openshift", "oidc", "ibm"] {
        let args = ["demo", "--flavor", flavor, "--port=0", "--tls-self-signed"];
        let mut command = Kubegate::command(args);
        command.env("XDG_STATE_HOME", state.path());
        let demo = Kubegate::spawn(command);
        let address = demo.address.clone();
        let ended = demo.signal_and_end("TERM").stdout;
        assert!(address.starts_with("https://"), "{address}");
        let plain = address.replacen("https:", "http:", 1);
        assert!(!ended.contains(&plain), "{ended}");
        assert!(ended.contains("kubegate kubeconfig --help"), "{ended}");
        let authority = state.path().join("kubegate/local-ca/ca.pem");
        let curl = format!("  curl --cacert {} {address}/api", authority.display());
        assert!(flavor == "ibm" || ended.contains(&curl), "{ended}");
    }
}
