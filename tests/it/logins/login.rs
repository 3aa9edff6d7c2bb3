//! What a login writes, and when it is refused.

use std::{fs, os::unix::fs::MetadataExt as _, time::Duration};

use kubegate::{
    demo::ControlPlane,
    kubeconfig::{Login, Overrides},
};
use serde_json::{Value, json};

use super::Home;
use crate::support::{Kubegate, on_terminal};

#[tokio::test(flavor = "multi_thread")]
async fn a_login_writes_a_context_without_its_secrets() {
    let home = Home::new(3600).await;
    let ended = home.log_in();
    assert!(
        ended.stdout.contains("as oidc:jane@example.com"),
        "{ended:?}"
    );
    let config = home.kubeconfig();
    for part in [
        "default/127-0-0-1:",
        "- credential",
        "- oidc",
        concat!("command: \"", env!("CARGO_BIN_EXE_kubegate"), "\""),
    ] {
        assert!(config.contains(part), "{part}: {config}");
    }
    let saved = fs::read_to_string(home.saved()).unwrap();
    let saved: Value = serde_json::from_str(&saved).unwrap();
    for secret in ["token", "refresh-token"] {
        let secret = saved[secret].as_str().unwrap();
        assert!(!config.contains(secret) && !ended.stdout.contains(secret));
        assert!(!ended.stderr.contains(secret), "{ended:?}");
    }
    assert_eq!(fs::metadata(home.saved()).unwrap().mode() & 0o777, 0o600);
    assert_eq!(
        home.out(&["whoami", "-o", "name"]),
        "oidc:jane@example.com\n"
    );
    let table = home.out(&["contexts"]);
    assert!(
        table.contains("kubegate oidc") && table.contains("renewed"),
        "{table}"
    );
    assert!(table.contains("its own CA"), "{table}");

    // The plugin, as client-go runs it.
    let info = json!({
        "kind": "ExecCredential",
        "apiVersion": "client.authentication.k8s.io/v1",
        "spec": {"interactive": false, "cluster": {"server": home.plane.url()}},
    });
    let exec = kubegate::kubeconfig::resolve(
        Some(&home.path(".kube/config")),
        &Overrides::default(),
        &|_| None,
    );
    let Login::Exec(exec) = exec.unwrap().user.login else {
        panic!("no exec entry");
    };
    let words: Vec<&str> = exec.args.iter().map(String::as_str).collect();
    let mut command = home.command(&words);
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    let plugin = Kubegate::refused(command);
    let credential: Value = serde_json::from_str(&plugin.stdout).unwrap();
    assert_eq!(credential["status"]["token"], saved["token"]);
    assert!(
        credential["status"]["expirationTimestamp"].is_string(),
        "{credential}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_changes_nothing() {
    let home = Home::new(3600).await;
    home.issuer.refuse_logins(true);
    let ended = Kubegate::refused(home.first_login());
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("access_denied"), "{ended:?}");
    assert!(!home.path(".kube").exists() && !home.path(".local").exists());
    home.issuer.refuse_logins(false);
    // Another cluster, which does not trust this issuer.
    let other = ControlPlane::start(Duration::from_secs(60)).await.unwrap();
    fs::write(home.path("api.pem"), other.ca_pem()).unwrap();
    let mut command = home.first_login();
    command.args(["--server", &other.url()]);
    let ended = Kubegate::refused(command);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("the cluster did not"), "{ended:?}");
    assert!(!home.path(".kube").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_flag_of_an_oidc_login_is_named() {
    let home = Home::new(3600).await;
    for (args, expected) in [
        (
            &["--oidc-issuer-url", "https://x", "--oidc-client-id", "y"][..],
            "--server URL",
        ),
        (&["--server", "https://x"], "--oidc-issuer-url"),
        (
            &[
                "--server",
                "https://x",
                "--oidc-issuer-url",
                "http://x",
                "--oidc-client-id",
                "y",
            ],
            "--oidc-issuer-url",
        ),
        (
            &[
                "--server",
                "https://x",
                "--oidc-issuer-url",
                "https://x",
                "--oidc-client-id",
                "y",
                "--oidc-redirect-url",
                "http://example.com:1",
            ],
            "--oidc-redirect-url",
        ),
    ] {
        let mut command = home.command(&["login", "oidc"]);
        command.args(args);
        let ended = Kubegate::refused(command);
        assert!(matches!(ended.code, Some(1 | 2)), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{args:?}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn login_and_logout_refuse_an_uneditable_kubeconfig_first() {
    let home = Home::new(3600).await;
    home.log_in();
    let text = home
        .kubeconfig()
        .replacen("users:\n-", "users: &all\n- &one", 1)
        + "mine: *all\n";
    fs::write(home.path(".kube/config"), &text).unwrap();
    let out = Kubegate::refused(home.command(&["logout", "--forget"]));
    assert_eq!(out.code, Some(1), "{out:?}");
    assert!(out.stderr.contains("by hand"), "{out:?}");
    let again = Kubegate::refused(home.first_login());
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("cannot edit"), "{again:?}");
    assert!(
        !again.stderr.contains("/authorize"),
        "a browser was asked for: {again:?}"
    );
    assert_eq!(home.kubeconfig(), text);
    assert!(home.out(&["whoami", "-o", "name"]).starts_with("oidc:jane"));
    // The control: a logout that edits nothing.
    home.out(&["logout"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unnamed_server_is_confirmed_on_the_terminal_or_refused() {
    let home = Home::new(3600).await;
    home.log_in();
    let context = home.out(&["contexts", "-o", "name"]);
    let expected = format!("give --context '{}'", context.trim_end());
    let ended = Kubegate::refused(home.log_in_with(&[]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(&expected) && ended.stderr.contains(&home.plane.url()),
        "{ended:?}"
    );
    for (input, code) in [("", 1), ("no", 1), ("y", 0)] {
        let command = on_terminal(&home.log_in_with(&[]), &[("[y/N] ", input)]);
        let ended = Kubegate::refused(command);
        assert_eq!(ended.code, Some(code), "{input:?}: {ended:?}");
        assert!(
            ended
                .stdout
                .contains(&format!("Log in to {}", home.plane.url())),
            "{ended:?}"
        );
        assert_eq!(
            ended.stdout.contains("nothing was done"),
            code == 1,
            "{ended:?}"
        );
    }
}
