//! The cases in which webpki differs from Go's `crypto/x509`, and so from kubectl: certificates are
//! accepted and refused as by Go.

use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};

use super::{accepted, refused, timestamp, trust};
use crate::tls::{Refusal, pem, refusal, testing::file};

async fn refused_with_words(roots: &str, certificate: &str, server_name: &str, words: &[&str]) {
    let refusal = refused(&trust(&[roots]), certificate, server_name)
        .await
        .to_string();
    for word in words {
        assert!(
            refusal.contains(word),
            "{certificate}: {word:?} is not in {refusal:?}"
        );
    }
}

/// Verifies a chain at a given time.
fn verified(
    roots: &[&str],
    certificate: &str,
    server_name: &str,
    now: &str,
) -> Result<(), Refusal> {
    let chain = pem::certificates(&file(certificate), certificate).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(
        timestamp(now).as_second().unsigned_abs(),
    ));
    let server_name = ServerName::try_from(server_name).unwrap();
    let verifier = trust(roots).verifier();
    verifier
        .verify_server_cert(&chain[0], &chain[1..], &server_name, &[], now)
        .map(|_| ())
        .map_err(|error| refusal(&error).cloned().unwrap())
}

const NOW: &str = "2026-01-01T00:00:00Z";

#[tokio::test]
async fn a_ca_certificate_as_server_is_accepted_directly_below_a_root() {
    accepted(&trust(&["ca.pem"]), "ca-true.pem", "localhost").await;
    accepted(
        &trust(&["other-ca.pem", "ca.pem"]),
        "ca-true.pem",
        "127.0.0.1",
    )
    .await;
    accepted(
        &trust(&["same-name-ca.pem", "ca.pem"]),
        "ca-true.pem",
        "::1",
    )
    .await;

    // Signature, name, purpose, the validity of both, name constraints and issuer are still checked.
    for (roots, certificate, server_name, words) in [
        (
            "same-name-ca.pem",
            "ca-true.pem",
            "localhost",
            "another key",
        ),
        ("other-ca.pem", "ca-true.pem", "localhost", "not issued by"),
        (
            "ca.pem",
            "ca-true.pem",
            "else.example",
            "not for \"else.example\"",
        ),
        (
            "ca.pem",
            "ca-true-client.pem",
            "localhost",
            "other purposes",
        ),
        (
            "constrained-ca.pem",
            "constrained-ca-true.pem",
            "localhost",
            "CA:TRUE",
        ),
        ("ca.pem", "self-signed.pem", "localhost", "not issued by"),
    ] {
        refused_with_words(roots, certificate, server_name, &[words]).await;
    }
    let result = verified(
        &["ca.pem"],
        "ca-true.pem",
        "localhost",
        "2126-01-01T00:00:01Z",
    );
    assert!(matches!(result, Err(Refusal::Expired { .. })), "{result:?}");
    verified(
        &["ca.pem"],
        "ca-true.pem",
        "localhost",
        "2126-01-01T00:00:00Z",
    )
    .unwrap();
    // A CA certificate that is presented as the server's, signed by an expired CA.
    let result = verified(&["expired-ca.pem"], "renewed-ca.pem", "localhost", NOW);
    assert!(
        matches!(result, Err(Refusal::UnknownIssuer { .. })),
        "{result:?}"
    );
}

#[test]
fn a_ca_certificate_as_server_behind_an_intermediate_is_refused() {
    let chain = pem::certificates(&file("intermediate-ca.pem"), "x").unwrap();
    let server_name = ServerName::try_from("localhost").unwrap();
    // The intermediate as a server directly below its root passes these checks, but has no name.
    let verifier = trust(&["ca.pem"]).verifier();
    let error = verifier
        .verify_server_cert(&chain[0], &[], &server_name, &[], UnixTime::now())
        .unwrap_err();
    assert!(
        matches!(refusal(&error), Some(Refusal::CommonNameOnly { .. })),
        "{error}"
    );
    // Below another intermediate it is refused.
    let deep = pem::certificates(&file("deep-6.pem"), "x").unwrap();
    let error = verifier
        .verify_server_cert(&deep[1], &deep[2..], &server_name, &[], UnixTime::now())
        .unwrap_err();
    assert!(
        matches!(refusal(&error), Some(Refusal::CaAsServer { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_wildcard_below_a_top_level_name_matches_one_label() {
    let ca = trust(&["ca.pem"]);
    accepted(&ca, "wildcard-lan.pem", "k8s.lan").await;
    accepted(&ca, "wildcard-lan.pem", "K8S.LAN").await;
    for server_name in [
        "lan",
        "a.k8s.lan",
        "k8s.lan.example",
        "k8s.wan",
        "k8slan",
        "127.0.0.1",
    ] {
        let refusal = verified(&["ca.pem"], "wildcard-lan.pem", server_name, NOW).unwrap_err();
        let of_names = matches!(
            refusal,
            Refusal::WrongName { .. } | Refusal::NoAddress { .. }
        );
        assert!(of_names, "{server_name}: {refusal}");
    }
    // The chain is verified first.
    refused_with_words(
        "other-ca.pem",
        "wildcard-lan.pem",
        "k8s.lan",
        &["not issued by"],
    )
    .await;
}

#[tokio::test]
async fn any_extended_key_usage_includes_every_purpose() {
    let ca = trust(&["ca.pem"]);
    accepted(&ca, "any-purpose.pem", "localhost").await;
    accepted(&ca, "any-purpose-chain.pem", "localhost").await;
    refused_with_words(
        "ca.pem",
        "client-purpose.pem",
        "localhost",
        &["other purposes"],
    )
    .await;
    let words = [
        "CA \"O=kubegate TEST ONLY, CN=intermediate of client-purpose-chain\"",
        "lacks serverAuth",
    ];
    refused_with_words("ca.pem", "client-purpose-chain.pem", "localhost", &words).await;
}

#[tokio::test]
async fn six_intermediates_are_accepted_and_seven_are_named() {
    accepted(&trust(&["ca.pem"]), "deep-6.pem", "localhost").await;
    let words = ["more than six intermediate", "7 were sent"];
    refused_with_words("ca.pem", "deep-7.pem", "localhost", &words).await;
}

#[tokio::test]
async fn a_ca_that_may_not_issue_is_refused_by_name_and_reason() {
    for (roots, certificate, subject, why) in [
        (
            "ca.pem",
            "no-sign-chain.pem",
            "intermediate of no-sign-chain",
            "lacks keyCertSign",
        ),
        (
            "no-sign-ca.pem",
            "no-sign-ca-leaf.pem",
            "no-sign-ca",
            "lacks keyCertSign",
        ),
        (
            "client-ca.pem",
            "client-ca-leaf.pem",
            "client-ca",
            "lacks serverAuth",
        ),
        (
            "short-ca.pem",
            "short-chain.pem",
            "short-ca",
            "path length is 0, and 1 stand",
        ),
        (
            "critical-ca.pem",
            "critical-ca-leaf.pem",
            "critical-ca",
            "critical extension 1.3.6.1.4.1.55555.1",
        ),
    ] {
        let words = [&format!("CN={subject}\""), why];
        refused_with_words(roots, certificate, "localhost", &words).await;
        // The other CAs of its bundle stay usable.
        let both = trust(&[roots, "ca.pem"]);
        accepted(&both, "localhost.pem", "localhost").await;
    }
    refused_with_words(
        "ca.pem",
        "critical-chain.pem",
        "localhost",
        &["critical extension"],
    )
    .await;
    accepted(&trust(&["short-ca.pem"]), "short-ca-leaf.pem", "localhost").await;
}

#[tokio::test]
async fn name_constraints_of_a_root_apply_to_every_name() {
    accepted(
        &trust(&["constrained-ca.pem"]),
        "constrained-ca-leaf.pem",
        "localhost",
    )
    .await;
    accepted(
        &trust(&["constrained-ca.pem"]),
        "constrained-ca-leaf.pem",
        "127.0.0.1",
    )
    .await;
    for outside in ["otherexample", "secretlocalhost", "1"] {
        let certificate = format!("constrained-ca-{outside}.pem");
        refused_with_words(
            "constrained-ca.pem",
            &certificate,
            "localhost",
            &["name constraints"],
        )
        .await;
    }
}

#[tokio::test]
async fn unsupported_algorithms_are_named_and_not_called_forgeries() {
    for (roots, certificate, words) in [
        (
            "rsa-1024-ca.pem",
            "rsa-1024-ca-leaf.pem",
            [
                "CA \"O=kubegate TEST ONLY, CN=rsa-1024-ca\"",
                "RSA key of 1024 bits; 2048 at least",
            ],
        ),
        (
            "p224-ca.pem",
            "p224-ca-leaf.pem",
            ["CN=p224-ca\"", "EC key on the curve P-224"],
        ),
        (
            "dsa-ca.pem",
            "dsa-ca-leaf.pem",
            ["CN=dsa-ca-leaf\"", "signed with DSA"],
        ),
        (
            "rsa-ca.pem",
            "sha1-leaf.pem",
            ["CN=sha1-leaf\"", "signed with SHA-1"],
        ),
        (
            "rsa-ca.pem",
            "md5-leaf.pem",
            ["CN=md5-leaf\"", "signed with MD5"],
        ),
    ] {
        refused_with_words(roots, certificate, "localhost", &words).await;
        let refusal = refused(&trust(&[roots]), certificate, "localhost").await;
        assert!(matches!(refusal, Refusal::Unsupported { .. }), "{refusal}");
    }
    // An unsupported CA in the bundle does not hide a wrong signature.
    let bundle = trust(&["rsa-1024-ca.pem", "same-name-ca.pem"]);
    let refusal = refused(&bundle, "localhost.pem", "localhost").await;
    assert!(
        matches!(refusal, Refusal::IssuerKeyChanged { .. }),
        "{refusal}"
    );
}
