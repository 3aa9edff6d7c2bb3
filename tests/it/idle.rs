//! What a hundred contexts cost while nobody uses them.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use kubegate::{
    credential::{self, Cache},
    kubeconfig::{self, Overrides},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::cert;

/// Names the kubeconfig to the child, which is this test again.
const CHILD: &str = "KUBEGATE_TEST_IDLE_KUBECONFIG";

/// Ends of lines that the child prints.
const LINE: &str = " KiB of memory with contexts: ";

const LIMIT_KIB: u64 = 25 << 10;

/// The users by turns: of each kind a fifth.
fn user(number: usize, folder: &TempDir) -> Value {
    let path = |name: &str| folder.path().join(name);
    let claims = json!({"exp": 9_999_999_999_u64, "iat": 0, "n": number});
    let jwt = format!(
        "e30.{}.c2ln",
        BASE64_URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    match number % 5 {
        0 => json!({"token": jwt}),
        1 => json!({"tokenFile": path("token")}),
        2 => json!({"client-certificate": cert("client.pem"), "client-key": cert("client.key")}),
        3 => json!({"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": path("plugin"),
            "interactiveMode": "Never",
        }}),
        _ => json!({"auth-provider": {"name": "oidc", "config": {
            "idp-issuer-url": "https://issuer.example",
            "client-id": "kube",
            "id-token": jwt,
            "refresh-token": "refresh",
        }}}),
    }
}

fn kubeconfig(folder: &TempDir) -> std::path::PathBuf {
    fs::write(folder.path().join("token"), "sesame-idle-file").unwrap();
    let plugin = folder.path().join("plugin");
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "sesame-idle-exec", "expirationTimestamp": "2100-01-01T00:00:00Z"},
    });
    fs::write(&plugin, format!("#!/bin/sh\necho '{credential}'\n")).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let cluster = json!({"server": "https://localhost:1", "certificate-authority": cert("ca.pem")});
    let named = |number: usize| format!("c{number}");
    let config = json!({
        "contexts": (0..100).map(|n| json!({
            "name": named(n), "context": {"cluster": "c", "user": named(n)},
        })).collect::<Vec<_>>(),
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": (0..100).map(|n| json!({
            "name": named(n), "user": user(n, folder),
        })).collect::<Vec<_>>(),
    });
    let path = folder.path().join("config");
    fs::write(&path, config.to_string()).unwrap();
    path
}

#[test]
fn a_hundred_contexts_with_their_engines_idle_take_less_than_25_mb() {
    if let Some(path) = std::env::var_os(CHILD) {
        return tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(child(path.as_ref()));
    }
    let folder = TempDir::new().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg("idle::a_hundred_contexts_with_their_engines_idle_take_less_than_25_mb")
        .env(CHILD, kubeconfig(&folder))
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let line = stdout.lines().find(|line| line.contains(LINE));
    let line = line.unwrap_or_else(|| panic!("{stdout} {output:?}"));
    let (kib, contexts) = line.split_once(LINE).unwrap();
    assert_eq!(contexts, "100");
    let kib: u64 = kib.parse().unwrap();
    assert!(kib < LIMIT_KIB, "{line}");
    println!("{line}");
}

/// Makes the engines, has each obtain its credential, lets them rest, and says what it takes.
async fn child(path: &std::path::Path) {
    let mut engines: Vec<Arc<Cache>> = Vec::new();
    for number in 0..100 {
        let flags = Overrides {
            context: Some(format!("c{number}")),
            ..Overrides::default()
        };
        let target = kubeconfig::resolve(Some(path), &flags, &|_| None).unwrap();
        let engine = credential::from_user(&target, None).unwrap();
        let credential = engine.get().await.unwrap();
        assert!(credential.authorization.is_some() || credential.certificate.is_some());
        engines.push(engine);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    // Without the pages of the program itself: those of a debug build take more than the contexts.
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = resident.unwrap().trim().trim_end_matches(" kB");
    println!("\n{kib}{LINE}{}", engines.len());
}
