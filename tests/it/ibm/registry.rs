//! IBM Cloud's image registry in docker's credential helper.

use std::{
    fs::{self, File},
    process::Command,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use kubegate::demo::ibm::{ACCOUNT, API_KEY, PASSWORD, USER};
use serde_json::{Value, json};

use super::{Cloud, cloud::CLUSTER};
use crate::support::Kubegate;

fn helper(cloud: &Cloud, verb: &str, host: &str) -> Command {
    let file = cloud.path("input");
    fs::write(&file, host).unwrap();
    let mut command = cloud.command(&["docker-credential", verb]);
    command.stdin(File::open(file).unwrap());
    command
}

fn run(command: Command) -> String {
    let done = Kubegate::refused(command);
    assert_eq!(done.code, Some(0), "{done:?}");
    done.stdout
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn icr_io_gets_an_access_token_of_iam() {
    let cloud = Cloud::start().await;
    let mut command = cloud.command(&["login", "ibm", "--cluster", CLUSTER]);
    command.env("IBMCLOUD_API_KEY", API_KEY);
    run(command);
    let by_key = run(cloud.command(&["contexts", "-o", "name"]));
    let input = cloud.path("input");
    fs::write(&input, PASSWORD).unwrap();
    let args = ["login", "ibm", "--cluster", "kubegate-private", "-u", USER];
    let args = [&args[..], &["--account", ACCOUNT, "--password-stdin"]].concat();
    let mut command = cloud.command(&args);
    command.stdin(File::open(input).unwrap());
    run(command);
    let session = "kubegate-private/bkiks0priv0000000003";
    for (host, context) in [
        ("us.icr.io", by_key.trim()),
        ("icr.io", session),
        ("registry.example", by_key.trim()),
    ] {
        run(cloud.command(&["registry", "add", host, "--context", context]));
    }
    for host in ["us.icr.io", "icr.io", "https://US.icr.io/"] {
        for _ in 0..2 {
            let answer: Value = serde_json::from_str(&run(helper(&cloud, "get", host))).unwrap();
            assert_eq!(answer["Username"], "iambearer", "{host}");
            let claims = claims(answer["Secret"].as_str().unwrap());
            // The token of a cluster has an audience.
            assert_eq!(claims.get("aud"), None, "{host}: {claims}");
            assert_eq!(claims["account"]["bss"], ACCOUNT, "{host}: {claims}");
        }
    }
    // The control: another registry gets the token of the cluster.
    let other = run(helper(&cloud, "get", "registry.example"));
    let other: Value = serde_json::from_str(&other).unwrap();
    assert_eq!(other["Username"], "kubegate");
    assert_eq!(claims(other["Secret"].as_str().unwrap())["aud"], "kube");
    let all: Value = serde_json::from_str(&run(helper(&cloud, "list", ""))).unwrap();
    let expected = json!({"us.icr.io": "iambearer", "icr.io": "iambearer",
        "registry.example": "kubegate"});
    assert_eq!(all, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_of_another_kind_has_no_token_for_icr_io() {
    let cloud = Cloud::start().await;
    let config = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "sesame-ibm-9"}}],
    });
    fs::create_dir_all(cloud.path(".kube")).unwrap();
    fs::write(cloud.path(".kube/config"), config.to_string()).unwrap();
    run(cloud.command(&["registry", "add", "de.icr.io", "--context", "c"]));
    let done = Kubegate::refused(helper(&cloud, "get", "de.icr.io"));
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("kubegate login ibm"), "{done:?}");
    assert!(!done.stdout.contains("sesame"), "{done:?}");
}
