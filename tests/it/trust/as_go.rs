//! Certificates and servers are accepted or refused as by kubectl, for requests and upgrades alike, and
//! algorithms that the cryptography library does not support are named.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Stdio},
    thread::JoinHandle,
};

use super::*;

#[tokio::test]
async fn certificates_that_kubectl_accepts_are_accepted() {
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
async fn certificates_that_kubectl_refuses_are_refused() {
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
async fn a_ca_certificate_as_server_passes_all_other_checks() {
    for (ca, leaf, words) in [
        ("same-name-ca", "ca-true", "another key"),
        ("ca", "ca-true-client", "other purposes"),
        ("constrained-ca", "constrained-ca-true", "CA:TRUE"),
    ] {
        refused(leaf, "localhost", &trusting(ca), &[words]).await;
    }
}

#[tokio::test]
async fn unsupported_chains_and_algorithms_are_refused_by_name() {
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

/// `openssl s_server`, for features that rustls's server does not have.
struct OpenSsl {
    child: Child,
    url: String,
    output: Option<JoinHandle<String>>,
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
        let output = std::thread::spawn(move || {
            let mut output = Vec::new();
            lines.read_to_end(&mut output).unwrap();
            String::from_utf8_lossy(&output).into_owned()
        });
        Self {
            child,
            url,
            output: Some(output),
        }
    }

    /// Stops it and returns its output, which includes the head of every request.
    fn output(mut self) -> String {
        self.child.kill().unwrap();
        self.output.take().unwrap().join().unwrap()
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn unsupported_keys_ciphers_and_versions_of_a_server_are_named() {
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
        for request in REQUESTS {
            let response = exchange(&kubegate.address, request).await;
            assert_eq!(status(&response), 502, "{response}");
            for word in words {
                assert!(
                    response.contains(word),
                    "{args:?}: {word:?} is not in {response}"
                );
            }
            assert!(!response.contains("posing"), "{response}");
        }
        let output = server.output();
        assert!(
            !output.contains("/api/v1") && !output.contains("sesame"),
            "{output}"
        );
    }
    // The control: it prints the requests that it receives.
    let server = OpenSsl::start("rsa", &[]);
    let kubegate = Kubegate::spawn(command(&server.url, &trusting("ca")));
    let request = exchange(&kubegate.address, REQUESTS[0]);
    tokio::pin!(request);
    let waited = tokio::time::timeout(std::time::Duration::from_millis(700), &mut request).await;
    assert!(waited.is_err(), "openssl does not respond by itself");
    let output = server.output();
    assert!(
        output.contains("GET /api/v1/pods") && output.contains("sesame"),
        "{output}"
    );
}
