//! The settings file of the proxy.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::support::{Connection, Kubegate, Upstream, cert, exchange, get, status};

/// A folder for `XDG_CONFIG_HOME`, with `kubegate/config.toml`.
fn home(text: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("kubegate")).unwrap();
    write(&file(&home), text);
    home
}

fn file(home: &TempDir) -> PathBuf {
    home.path().join("kubegate/config.toml")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn command(home: &TempDir, args: &[&str]) -> Command {
    let mut command = Kubegate::command(args);
    command.env("XDG_CONFIG_HOME", home.path());
    command
}

fn printed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Settings that lead to `upstream`.
fn leading_to(upstream: &Upstream) -> String {
    format!(
        "server = '{}'\ncertificate-authority = '{}'\ntoken = 'sesame'\nport = 0\n",
        upstream.url(),
        cert("ca.pem").display()
    )
}

/// The status of a DELETE.
async fn delete(gate: &Kubegate) -> u16 {
    let head = "DELETE /api/v1/namespaces/x/pods/y HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    status(&exchange(&gate.address, head).await)
}

#[tokio::test]
async fn the_proxy_takes_its_flags_from_the_settings_file() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let home = home(&format!("{}read-only = true\n", leading_to(&upstream)));
    let gate = Kubegate::spawn(command(&home, &[]));
    let echoed = get(&gate.address, "/version").await;
    assert!(echoed.contains("Bearer sesame"), "{echoed}");
    assert_eq!(delete(&gate).await, 403);
    drop(gate);
    // A flag counts before the file.
    let gate = Kubegate::spawn(command(&home, &["proxy", "--read-only=false"]));
    assert_eq!(delete(&gate).await, 200);
}

#[test]
fn settings_that_cannot_be_used_end_the_start_with_file_and_line() {
    for (text, expected) in [
        (
            "\nprot = 1",
            "config.toml:2: unknown key \"prot\"; did you mean port?",
        ),
        ("port = 'x'", "config.toml:1: port: expected a number"),
        (
            "port = 70000",
            "config.toml:1: port: 70000 is not in 0..=65535",
        ),
        (
            "client-credentials = 'no'",
            "expected one of forward, replace, refuse",
        ),
        (
            "address = 'a.example'",
            "config.toml:1: address: give an IP address",
        ),
        ("openshift-username-file = 'x'", "--openshift-password-file"),
    ] {
        let home = home(text);
        for args in [&["--server", "https://k.example"][..], &["config", "check"]] {
            let refused = Kubegate::refused(command(&home, args));
            assert!(refused.stderr.contains(expected), "{text}: {refused:?}");
            assert_eq!(refused.code, Some(1), "{refused:?}");
        }
        // Other commands do not read it.
        assert!(
            command(&home, &["version"])
                .output()
                .unwrap()
                .status
                .success()
        );
    }
    let missing = tempfile::tempdir().unwrap();
    let refused = Kubegate::refused(command(&missing, &["--config", "/nonexistent/a.toml"]));
    assert!(
        refused.stderr.contains("/nonexistent/a.toml"),
        "{refused:?}"
    );
    let refused = Kubegate::refused(command(&missing, &["whoami", "--config", "a.toml"]));
    assert!(refused.stderr.contains("--config"), "{refused:?}");
    assert_eq!(refused.code, Some(2));
}

#[test]
fn config_shows_what_counts_and_where_it_comes_from() {
    let home =
        home("port = 8002\nkubeconfig = 'a'\ntoken = 'hunter2'\nreject-paths = ['^/x\\.y']\n");
    let path = file(&home);
    let path = path.display();
    let shown = printed(command(&home, &["config", "show", "--user", "jane"]));
    for line in [
        format!("port = 8002  # {path}:1"),
        format!(
            "kubeconfig = \"{}/kubegate/a\"  # {path}:2",
            home.path().display()
        ),
        format!("token = \"REDACTED\"  # {path}:3"),
        format!("reject-paths = '^/x\\.y'  # {path}:4"),
        "user = \"jane\"  # flag".to_owned(),
        "# address = \"127.0.0.1\"  # default".to_owned(),
        "# read-only = false  # default".to_owned(),
    ] {
        assert!(
            shown.lines().any(|shown| shown == line),
            "no {line} in {shown}"
        );
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    // It can be used as a settings file.
    let copy = home.path().join("copy.toml");
    write(&copy, &shown);
    let mut checked = command(&home, &["config", "check", "--config"]);
    checked.arg(&copy);
    assert_eq!(
        printed(checked),
        format!("{}: can be used\n", copy.display())
    );
    let mut with_variable = command(&home, &["config", "show"]);
    with_variable.env("KUBECONFIG", "/elsewhere");
    let shown = printed(with_variable);
    let line = format!("# {path}:2: kubeconfig does not count beside KUBECONFIG");
    assert!(shown.contains(&line), "{shown}");
    assert_eq!(
        printed(command(&home, &["config", "path"])),
        format!("{path}\n")
    );
}

#[test]
fn a_settings_file_that_others_may_write_is_refused() {
    let home = home("port = 8002\n");
    fs::set_permissions(file(&home), fs::Permissions::from_mode(0o666)).unwrap();
    let refused = Kubegate::refused(command(&home, &["--server", "https://k.example"]));
    assert!(
        refused.stderr.contains("may be written by every user"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("chmod go-w"), "{refused:?}");
}
