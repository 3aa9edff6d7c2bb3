//! Certificates and servers that kubectl accepts or refuses: so does kubegate, on requests and
//! upgrades alike, and it names what the cryptography library cannot do as that.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Stdio},
    thread::JoinHandle,
};

use super::*;

#[tokio::test]
async fn what_kubectl_accepts_is_accepted() {
    for (ca, leaf) in [
        ("ca", "ca-true"),
        ("ca", "any-purpose-chain"),
        ("constrained-ca", "constrained-ca-leaf"),
    ] {
        answered(leaf, "localhost", &trusting(ca), &["sesame"]).await;
    }
    let mut trust = trusting("ca").to_vec();
    trust.push("--tls-server-name=k8s.lan".to_owned());
    answered("wildcard-lan", "localhost", &trust, &["sni=k8s.lan"]).await;
}

#[tokio::test]
async fn what_kubectl_refuses_is_refused_and_nothing_is_sent() {
    for (ca, leaf, words) in [
        ("ca", "no-sign-chain", "lacks keyCertSign"),
        ("client-ca", "client-ca-leaf", "lacks serverAuth"),
        ("short-ca", "short-chain", "path length is 0"),
        ("critical-ca", "critical-ca-leaf", "critical extension"),
    ] {
        refused(leaf, "localhost", &trusting(ca), &[words]).await;
    }
}

#[tokio::test]
async fn an_exception_for_a_server_that_may_sign_excuses_nothing_else() {
    for (ca, leaf, words) in [
        ("same-name-ca", "ca-true", "another key"),
        ("ca", "ca-true-client", "other purposes"),
        ("constrained-ca", "constrained-ca-true", "CA:TRUE"),
    ] {
        refused(leaf, "localhost", &trusting(ca), &[words]).await;
    }
}

#[tokio::test]
async fn what_cannot_be_checked_is_named_and_nothing_is_sent() {
    for (ca, leaf, words) in [
        ("ca", "deep-7", "more than six intermediate"),
        (
            "rsa-1024-ca",
            "rsa-1024-ca-leaf",
            "RSA key of 1024 bits; 2048 at least",
        ),
        ("rsa-ca", "sha1-leaf", "signed with SHA-1"),
    ] {
        refused(leaf, "localhost", &trusting(ca), &[words]).await;
    }
}

/// `openssl s_server`, for what rustls's own server does not do.
struct OpenSsl {
    child: Child,
    url: String,
    heard: Option<JoinHandle<String>>,
}

impl OpenSsl {
    fn start(leaf: &str, args: &[&str]) -> Self {
        let mut child = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-cipher",
                "ALL:@SECLEVEL=0",
                "-cert",
            ])
            .arg(cert(&format!("{leaf}.pem")))
            .arg("-key")
            .arg(cert(&format!("{leaf}.key")))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ACCEPT ") {
            line.clear();
            assert!(
                lines.read_line(&mut line).unwrap() > 0,
                "openssl did not start"
            );
        }
        let (_, port) = line.trim().rsplit_once(':').unwrap();
        let url = format!("https://localhost:{port}");
        let heard = std::thread::spawn(move || {
            let mut heard = Vec::new();
            lines.read_to_end(&mut heard).unwrap();
            String::from_utf8_lossy(&heard).into_owned()
        });
        Self {
            child,
            url,
            heard: Some(heard),
        }
    }

    /// All that it printed: every request's head, beside its own words.
    fn heard(mut self) -> String {
        self.child.kill().unwrap();
        self.heard.take().unwrap().join().unwrap()
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_server_that_speaks_what_is_not_spoken_here_is_told_so() {
    for (leaf, args, words) in [
        (
            "rsa-1024",
            &[][..],
            ["RSA key of 1024 bits; 2048 at least", "rsa-1024"],
        ),
        (
            "rsa-1024",
            &["-tls1_2"],
            ["RSA key of 1024 bits; 2048 at least", "rsa-1024"],
        ),
        (
            "p224-ca-leaf",
            &["-groups", "P-521"],
            ["alert handshake_failure", "not P-521"],
        ),
        (
            "rsa",
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"],
            ["alert handshake_failure", "no CBC"],
        ),
        (
            "rsa",
            &["-tls1_1"],
            ["TLS 1.2 nor TLS 1.3", "alert protocol_version"],
        ),
    ] {
        let server = OpenSsl::start(leaf, args);
        let kubegate = Kubegate::spawn(command(&server.url, &trusting("ca")));
        for asked in ASKED {
            let answer = exchange(&kubegate.address, asked).await;
            assert_eq!(status(&answer), 502, "{answer}");
            for word in words {
                assert!(
                    answer.contains(word),
                    "{args:?}: {word:?} is not in {answer}"
                );
            }
            assert!(!answer.contains("posing"), "{answer}");
        }
        let heard = server.heard();
        assert!(
            !heard.contains("/api/v1") && !heard.contains("sesame"),
            "{heard}"
        );
    }
    // The control: what it hears is printed.
    let server = OpenSsl::start("rsa", &[]);
    let kubegate = Kubegate::spawn(command(&server.url, &trusting("ca")));
    let asked = exchange(&kubegate.address, ASKED[0]);
    tokio::pin!(asked);
    let waited = tokio::time::timeout(std::time::Duration::from_millis(700), &mut asked).await;
    assert!(waited.is_err(), "openssl does not answer by itself");
    let heard = server.heard();
    assert!(
        heard.contains("GET /api/v1/pods") && heard.contains("sesame"),
        "{heard}"
    );
}
