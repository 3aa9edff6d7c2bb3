//! That a secret which is told is noticed: the controls to the search that all tests make.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::json;
use tempfile::tempdir;

use crate::support::{Connection, Kubegate, Upstream, cert, get, secrets, status};

#[test]
fn what_looks_like_a_secret_is_found_and_what_does_not_is_not() {
    for text in [
        "a sesame-7 b",
        "authorization: Bearer x",
        r#""authorization": "Basic YTpi""#,
        "token eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln",
        "sha256~0123456789012345678901234567890123456789012",
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBkg4xNLa0aP",
    ] {
        assert_eq!(secrets::told(text).len(), 1, "{text}");
    }
    for text in [
        "authorization: Sensitive",
        "basic authentication",
        "sha256~",
        "PEM with a line \"-----BEGIN PRIVATE KEY-----\" (or RSA or EC PRIVATE KEY)",
    ] {
        assert!(secrets::told(text).is_empty(), "{text}");
    }
    secrets::register("planted-in-the-register");
    assert!(!secrets::told("x planted-in-the-register y").is_empty());
}

#[tokio::test]
async fn a_secret_in_a_log_an_answer_or_an_argument_would_be_found() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let home = tempdir().unwrap();
    let plugin = home.path().join("plugin");
    // kubegate passes on what a plugin complains of, but for the token that it printed.
    fs::write(
        &plugin,
        "#!/bin/sh\necho planted-by-a-plugin >&2; sleep 1; exit 1\n",
    )
    .unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let config = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {
            "server": upstream.url(),
            "certificate-authority": cert("ca.pem"),
        }}],
        "users": [{"name": "u", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": plugin,
            "args": ["planted-in-an-argument"],
            "interactiveMode": "Never",
        }}}],
    });
    let path = home.path().join("config");
    fs::write(&path, config.to_string()).unwrap();
    let kubegate = Kubegate::start(["--kubeconfig", path.to_str().unwrap()]);
    let answer = get(&kubegate.address, "/x").await;
    assert_eq!(status(&answer), 401, "{answer}");
    let (log, arguments) = kubegate.unsearched();
    let planted = [
        ("answer", answer, "planted-by-a-plugin"),
        ("log", log, "planted-by-a-plugin"),
        ("arguments", arguments, "planted-in-an-argument"),
    ];
    for (what, text, _) in &planted {
        assert!(secrets::told(text).is_empty(), "{what}: {text}");
    }
    for (what, text, planted) in planted {
        secrets::register(planted);
        assert_eq!(secrets::told(&text), [planted], "{what}: {text}");
    }
}
