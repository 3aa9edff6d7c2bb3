//! The flags of kubectl and of `kubectl proxy`.

use std::fs;

use tempfile::tempdir;

use super::{run, start_with_server};
use crate::support::{Connection, Kubegate, Upstream, cert, get, status};

/// kubectl's global flags, with values that choose no existing cluster.
pub(super) const GLOBAL_FLAGS: &[&[&str]] = &[
    &["--kubeconfig", "/nonexistent/config"],
    &["--context", "a"],
    &["--cluster", "a"],
    &["--user", "a"],
    &["--namespace", "a"],
    &["-n", "a"],
    &["--server", "http://localhost:8001"],
    &["-s", "http://localhost:8001"],
    &["--token", "a"],
    &["--token", "-a"],
    &["--username", "a"],
    &["--password", "a"],
    &["--password", "-a"],
    &["--as", "a"],
    &["--as-group", "a", "--as-group", "b"],
    &["--as-uid", "a"],
    &["--as-user-extra", "a=b", "--as-user-extra", "a=c"],
    &["--certificate-authority", "/a"],
    &["--client-certificate", "/a"],
    &["--client-key", "/a"],
    &["--insecure-skip-tls-verify"],
    &["--insecure-skip-tls-verify=false"],
    &["--tls-server-name", "a"],
    &["--request-timeout", "30s"],
    &["--proxy-url", "http://a"],
    &["--disable-compression"],
    &["--disable-compression=true"],
    &["--cache-dir", "/a"],
    &["--kuberc", "/a"],
    &["--match-server-version"],
    &["--match-server-version=true"],
    &["--warnings-as-errors"],
    &["--warnings-as-errors=false"],
    &["--v", "2"],
    &["-v", "2"],
    &["-v2"],
    &["-v=2"],
    &["--vmodule", "a=2"],
    &["--log-flush-frequency", "5s"],
    &["--profile", "none"],
    &["--profile-output", "profile.pprof"],
];

/// The flags of `kubectl proxy` itself.
const PROXY_FLAGS: &[&[&str]] = &[
    &["--port", "0"],
    &["-p", "0"],
    &["-p0"],
    &["-p=0"],
    &["--address", "127.0.0.1"],
    &["--unix-socket", "/nonexistent/socket"],
    &["-u", "/nonexistent/socket"],
    &["--www", "/"],
    &["-w", "/"],
    &["--www-prefix", "/a/"],
    &["-P", "/a/"],
    &["--api-prefix", "/a"],
    &["--accept-hosts", r"^localhost$,^127\.0\.0\.1$,^\[::1\]$"],
    &["--accept-paths", "^.*"],
    &[
        "--reject-paths",
        "^/api/.*/pods/.*/exec,^/api/.*/pods/.*/attach",
    ],
    &["--reject-methods", "^$"],
    &["--disable-filter"],
    &["--disable-filter=false"],
    &["--keepalive", "0"],
    &["--keepalive", "30s"],
    &["--append-server-path"],
    &["--append-server-path=false"],
];

/// Whether the flags are understood: the exit code is then 1, since there is no API server, else 2.
fn is_accepted(args: &[&str]) -> bool {
    let ended = run(args);
    match ended.code {
        Some(1) => true,
        Some(2) => false,
        _ => panic!("{args:?}: {ended:?}"),
    }
}

#[test]
fn global_flags_of_kubectl_are_accepted_before_and_after_the_command() {
    for flag in GLOBAL_FLAGS {
        assert!(is_accepted(flag), "{flag:?}");
        assert!(is_accepted(&[flag, &["proxy"][..]].concat()), "{flag:?}");
        assert!(is_accepted(&[&["proxy"][..], flag].concat()), "{flag:?}");
    }
    assert!(!is_accepted(&["--no-such-flag"]));
    assert!(!is_accepted(&["proxy", "--no-such-flag"]));
}

#[test]
fn flags_of_kubectl_proxy_are_accepted_only_after_the_command() {
    for flag in PROXY_FLAGS {
        assert!(is_accepted(flag), "{flag:?}");
        assert!(is_accepted(&[&["proxy"][..], flag].concat()), "{flag:?}");
        let before = run(&[flag, &["proxy"][..]].concat());
        assert_eq!(before.code, Some(2), "{flag:?}");
        assert!(before.stderr.contains("after the command"), "{before:?}");
    }
}

#[tokio::test]
async fn the_last_value_of_a_repeated_flag_counts() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::start([
        "--server",
        "http://127.0.0.1:1",
        "--server",
        &upstream.url(),
        "--port",
        "1",
    ]);
    assert_eq!(status(&get(&kubegate.address, "/").await), 200);
    assert_ne!(kubegate.address, "127.0.0.1:1");
}

#[tokio::test]
async fn an_empty_value_counts_as_no_value() {
    let folder = tempdir().unwrap();
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let config = folder.path().join("config");
    let text = format!(
        "current-context: c\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{}', certificate-authority: '{}'}}}}]\n\
         users: [{{name: u, user: {{token: sesame, as: jane}}}}]\n",
        upstream.url(),
        cert("ca.pem").display(),
    );
    fs::write(&config, text).unwrap();
    let empty = [
        "--kubeconfig",
        "--context",
        "--cluster",
        "--user",
        "--namespace",
        "--server",
        "--token",
        "--username",
        "--password",
        "--as",
        "--as-group",
        "--as-uid",
        "--certificate-authority",
        "--client-certificate",
        "--client-key",
        "--tls-server-name",
        "--proxy-url",
        "--cache-dir",
    ];
    let mut args: Vec<String> = empty.iter().map(|flag| format!("{flag}=")).collect();
    args.extend(["proxy", "--www=", "--unix-socket="].map(str::to_owned));
    let mut command = Kubegate::command(args);
    command.args(["--port", "0"]).env("KUBECONFIG", &config);
    let kubegate = Kubegate::spawn(command);
    let response = get(&kubegate.address, "/").await;
    for header in ["authorization: Bearer sesame", "impersonate-user: jane"] {
        let lower = response.replace("Impersonate-User", "impersonate-user");
        assert!(lower.contains(header), "{response}");
    }
}

#[test]
fn flags_without_an_effect_are_logged_at_verbosity_1() {
    let args = ["--cache-dir", "/a", "--profile=none"];
    let kubegate = start_with_server(&[&args[..], &["-v", "1"]].concat());
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    assert!(log.contains("--cache-dir --profile"), "{log}");

    let kubegate = start_with_server(&[&args[..], &["-v", "0"]].concat());
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    assert!(!log.contains("--cache-dir"), "{log}");
}
