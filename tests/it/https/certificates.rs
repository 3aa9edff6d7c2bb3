//! Which certificates the listener shows.

use std::{fs, os::unix::fs::PermissionsExt as _};

use tempfile::tempdir;

use super::{SelfSigned, curl, echo, with_certificate};
use crate::support::{Kubegate, cert};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_file_serves_http_2_and_http_1() {
    let upstream = echo().await;
    let flags = with_certificate("localhost");
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let kubegate = Kubegate::before(&upstream, &flags);
    let port = kubegate.address.rsplit_once(':').unwrap().1;
    assert_eq!(kubegate.address, format!("https://127.0.0.1:{port}"));
    let url = format!("https://localhost:{port}/api/v1/pods");
    for (option, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let got = curl(&cert("ca.pem"), &[option, &url]);
        assert!(got.ends_with(&format!("\n200 HTTP/{version}")), "{got}");
        let lower = got.to_lowercase();
        for line in [
            "get /api/v1/pods http/1.1",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-proto: https",
        ] {
            assert!(lower.contains(line), "{line}: {got}");
        }
    }
    // A client that speaks no TLS is told so.
    let plain = format!("http://localhost:{port}/");
    let got = curl(&cert("ca.pem"), &[&plain]);
    assert!(got.contains("begin the URL with https://"), "{got}");
    assert!(got.contains("\n400 "), "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_authority_serves_every_loopback_name_of_the_guard() {
    let upstream = echo().await;
    let state = tempdir().unwrap();
    let apps = r"--accept-hosts=^localhost$,^127\..*,^\[::1\]$,^app\.localhost$";
    let door = SelfSigned::start(&upstream, state.path(), &[apps]);
    for name in ["ca.pem", "key.pem"] {
        let path = door.authority.with_file_name(name);
        assert_eq!(
            fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let port = door.kubegate.address.rsplit_once(':').unwrap().1;
    let resolve = format!("app.localhost:{port}:127.0.0.1");
    for host in ["localhost", "127.0.0.1", "app.localhost"] {
        let got = curl(&door.authority, &["--resolve", &resolve, &door.url(host)]);
        assert!(got.ends_with("\n200 HTTP/2"), "{host}: {got}");
    }
    let app = format!("grafana.monitoring.svc.localhost:{port}:127.0.0.1");
    let url = door.url("grafana.monitoring.svc.localhost");
    let got = curl(&door.authority, &["--resolve", &app, &url]);
    let path = "GET /api/v1/namespaces/monitoring/services/grafana/proxy/ HTTP/1.1";
    assert!(got.contains(path) && got.ends_with("\n200 HTTP/2"), "{got}");
    let other = format!("other.localhost:{port}:127.0.0.1");
    let got = curl(
        &door.authority,
        &["--resolve", &other, &door.url("other.localhost")],
    );
    assert!(got.contains("\n000 "), "{got}");
    let SelfSigned {
        kubegate,
        authority,
    } = door;
    let greeting = kubegate.signal_and_end("TERM").stdout;
    assert!(
        greeting.starts_with("Starting to serve on https://127.0.0.1:"),
        "{greeting}"
    );
    assert!(
        greeting.contains(&authority.display().to_string()),
        "{greeting}"
    );

    // The authority stays.
    let before = fs::read(&authority).unwrap();
    let again = SelfSigned::start(&upstream, state.path(), &[]);
    assert_eq!(fs::read(&again.authority).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_others_can_read_is_warned_of() {
    let upstream = echo().await;
    let folder = tempdir().unwrap();
    let key = folder.path().join("key");
    fs::copy(cert("localhost.key"), &key).unwrap();
    let certificate = cert("localhost.pem");
    let flags = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key"];
    for (mode, is_warned_of) in [(0o600, false), (0o640, true), (0o604, true), (0o400, false)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let flags = [&flags[..], &[key.to_str().unwrap()]].concat();
        let kubegate = Kubegate::before(&upstream, &flags);
        let log = kubegate.signal_and_end("TERM").stderr;
        let warning = format!("--tls-key {}: other users", key.display());
        assert_eq!(
            log.contains(&warning) && log.contains("chmod 600"),
            is_warned_of,
            "{mode:o} {log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_authority_issues_certificates_for_clients() {
    let upstream = echo().await;
    let state = tempdir().unwrap();
    let authority = state.path().join("kubegate/local-ca/ca.pem");
    let source = state.path().join("config");
    fs::write(
        &source,
        r#"{"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": {"server": "https://a.example"}}],
            "users": [{"name": "a", "user": {}}]}"#,
    )
    .unwrap();
    let kubeconfig = |more: &[&str]| {
        let mut command = Kubegate::command(["kubeconfig", "-o", "json"]);
        command.env("XDG_STATE_HOME", state.path());
        command.arg("--kubeconfig").arg(&source).args(more);
        Kubegate::refused(command)
    };
    // Before the first start of the proxy.
    let run = kubeconfig(&["--tls-self-signed", "--client-name", "jane@example.com"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let config: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let user = &config["users"][0]["user"];
    let file = user["client-certificate"].as_str().unwrap();
    assert_eq!(user["client-key"], file);
    assert!(file.ends_with("/clients/jane@example.com.pem"), "{file}");
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let door = SelfSigned::start(
        &upstream,
        state.path(),
        &["--client-ca", authority.to_str().unwrap()],
    );
    let url = door.url("127.0.0.1");
    let got = curl(&authority, &["--cert", file, &url]);
    assert!(got.ends_with("\n200 HTTP/2"), "{got}");
    assert!(door.kubegate.log().contains(", client jane@example.com"));
    let got = curl(&authority, &[&url]);
    assert!(got.contains("\n401 "), "{got}");

    for (args, shown) in [
        (&["--client-name", "jane"][..], "--tls-self-signed"),
        (
            &["--tls-self-signed", "--client-name", "../jane"],
            "letters",
        ),
        (&["--tls-self-signed", "--client-name", ""], "letters"),
        (
            &[
                "--tls-self-signed",
                "--client-name=jane",
                "--client-certificate=a",
                "--client-key=b",
            ],
            "exclude each other",
        ),
    ] {
        let refused = kubeconfig(args);
        assert_eq!(refused.code, Some(2), "{args:?} {refused:?}");
        assert!(refused.stderr.contains(shown), "{args:?} {refused:?}");
    }
}
