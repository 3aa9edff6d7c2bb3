//! `--client-ca`, tokens over TLS, and the check of the user of this machine.

use std::{fs, os::unix::process::CommandExt as _, process::Command, time::Instant};

use tempfile::tempdir;

use super::{curl, echo, with_certificate};
use crate::support::{Kubegate, PATIENCE, Upstream, cert, secrets};

const TOKEN: &str = "token-of-the-tls-door-0123";

fn start(upstream: &Upstream, flags: &[&str]) -> Kubegate {
    let own = with_certificate("localhost");
    let own = own.iter().map(String::as_str);
    Kubegate::before(
        upstream,
        &own.chain(flags.iter().copied()).collect::<Vec<_>>(),
    )
}

fn url(kubegate: &Kubegate) -> String {
    let port = kubegate.address.rsplit_once(':').unwrap().1;
    format!("https://localhost:{port}/api/v1/pods")
}

fn get(kubegate: &Kubegate, more: &[&str]) -> String {
    curl(&cert("ca.pem"), &[more, &[&url(kubegate)]].concat())
}

/// The options of curl for a client certificate of `certs/`.
fn showing(name: &str) -> [String; 4] {
    let file = |suffix: &str| cert(&format!("{name}.{suffix}")).display().to_string();
    [
        "--cert".to_owned(),
        file("pem"),
        "--key".to_owned(),
        file("key"),
    ]
}

fn get_showing(kubegate: &Kubegate, name: &str, more: &[&str]) -> String {
    let shown = showing(name);
    let shown: Vec<_> = shown.iter().map(String::as_str).collect();
    get(kubegate, &[&shown[..], more].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_a_certificate_passes_and_may_bring_a_credential() {
    let upstream = echo().await;
    let ca = cert("ca.pem");
    let kubegate = start(&upstream, &["--client-ca", ca.to_str().unwrap()]);
    for more in [&[][..], &["--http1.1"]] {
        let got = get_showing(&kubegate, "client", more);
        assert!(got.contains("\n200 HTTP/"), "{got}");
    }
    let own = ["--header", "Authorization: Bearer clients-own-credential"];
    let got = get_showing(&kubegate, "client", &own).to_lowercase();
    assert!(
        got.contains("authorization: bearer clients-own-credential"),
        "{got}"
    );
    assert!(
        kubegate.log().contains(", client demo-user"),
        "{}",
        kubegate.log()
    );
    let before = upstream.connections();
    for more in [&[][..], &own, &["--http1.1"]] {
        let got = get(&kubegate, more);
        assert!(
            got.contains("\n401 HTTP/") && got.contains("--client-ca"),
            "{got}"
        );
    }
    // A certificate of another authority ends the handshake.
    let got = get_showing(&kubegate, "self-signed", &[]);
    assert!(got.contains("\n000 "), "{got}");
    assert_eq!(upstream.connections(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_or_a_certificate_is_enough_and_no_other_credential() {
    secrets::register(TOKEN);
    let upstream = echo().await;
    let folder = tempdir().unwrap();
    let (tokens, ca) = (folder.path().join("tokens"), cert("ca.pem"));
    fs::write(&tokens, format!("alice {TOKEN}\n")).unwrap();
    let flags = [
        "--client-ca",
        ca.to_str().unwrap(),
        "--require-token-file",
        tokens.to_str().unwrap(),
    ];
    let kubegate = start(&upstream, &flags);
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let own = "Authorization: Bearer clients-own-credential";
    let got = get(&kubegate, &["--header", &bearer]);
    assert!(got.contains("\n200 ") && !got.contains(TOKEN), "{got}");
    let got = get_showing(&kubegate, "client", &["--header", &bearer]);
    assert!(got.contains("\n200 ") && !got.contains(TOKEN), "{got}");
    let got = get_showing(&kubegate, "client", &["--header", own]);
    assert!(
        got.contains("\n200 ") && got.contains("clients-own-credential"),
        "{got}"
    );
    for more in [&[][..], &["--header", own]] {
        let got = get(&kubegate, more);
        assert!(got.contains("\n401 "), "{got}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_of_clients_and_the_certificate_are_read_again() {
    let upstream = echo().await;
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let copy = |from: &str, to: &str| fs::copy(cert(from), at(to)).unwrap();
    copy("other-ca.pem", "client-ca");
    copy("rsa.pem", "pem");
    copy("rsa.key", "key");
    let (ca, pem, key) = (at("client-ca"), at("pem"), at("key"));
    let flags = [
        "--tls-cert",
        pem.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
        "--client-ca",
        ca.to_str().unwrap(),
    ];
    let kubegate = Kubegate::before(&upstream, &flags);
    let shown = |kubegate: &Kubegate| {
        let got = get_showing(kubegate, "client", &["--verbose"]);
        (got.contains("\n200 "), got)
    };
    assert!(!shown(&kubegate).0);
    copy("ca.pem", "client-ca");
    let until = Instant::now() + PATIENCE;
    while !shown(&kubegate).0 {
        assert!(Instant::now() < until, "{}", kubegate.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // A key that does not belong to the certificate changes nothing.
    copy("localhost.key", "key");
    while !kubegate
        .log()
        .contains("the last good certificates stay in use")
    {
        assert!(Instant::now() < until, "{}", kubegate.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (served, got) = shown(&kubegate);
    assert!(served && got.contains("CN=rsa"), "{got}");
    copy("localhost.pem", "pem");
    loop {
        let (served, got) = shown(&kubegate);
        if served && got.contains("CN=localhost") {
            break;
        }
        assert!(Instant::now() < until, "{got}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_of_this_machine_gets_a_403_over_tls() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT TESTED: only root can start clients of other users");
        return;
    }
    let upstream = echo().await;
    let ca = cert("ca.pem");
    let kubegate = start(&upstream, &["--client-ca", ca.to_str().unwrap()]);
    let readable = tempdir().unwrap();
    let authority = readable.path().join("ca.pem");
    fs::copy(cert("ca.pem"), &authority).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(readable.path(), open).unwrap();
    for version in ["--http2", "--http1.1"] {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--max-time",
                "20",
                version,
                "--write-out",
                "\n%{http_code}",
                "--cacert",
            ])
            .arg(&authority)
            .arg(url(&kubegate))
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.ends_with("\n403") && text.contains("--allow-uid=65534"),
            "{text}"
        );
    }
    assert_eq!(upstream.connections(), 0);
}
