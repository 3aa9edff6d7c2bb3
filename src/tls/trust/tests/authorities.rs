//! Which certificate authorities are trusted.

use std::process::Command;

use super::{accepted, refused, trust};
use crate::tls::{Error, Refusal, testing::file, trust::Trust};

#[tokio::test]
async fn a_certificate_of_the_configured_ca_is_accepted() {
    for server_name in ["localhost", "127.0.0.1", "::1"] {
        accepted(&trust(&["ca.pem"]), "localhost.pem", server_name).await;
    }
    accepted(&trust(&["ca.pem"]), "rsa.pem", "localhost").await;
    accepted(&trust(&["ca.pem"]), "chain.pem", "localhost").await;
}

#[tokio::test]
async fn an_unknown_ca_is_refused_and_the_certificate_described() {
    let refusal = refused(&trust(&["other-ca.pem"]), "localhost.pem", "localhost").await;
    let Refusal::UnknownIssuer {
        subject,
        issuer,
        sha256,
        ..
    } = &refusal
    else {
        panic!("{refusal}")
    };
    assert_eq!(subject, "O=kubegate TEST ONLY, CN=localhost");
    assert_eq!(issuer, "O=kubegate TEST ONLY, CN=test CA");
    // The fingerprint that openssl printed when the certificate was created.
    let printed = String::from_utf8(file("localhost.sha256")).unwrap();
    assert_eq!(printed.trim().split_once('=').unwrap().1, sha256);
    let text = refusal.to_string();
    assert!(
        text.contains("cluster \"test\": certificate-authority"),
        "{text}"
    );
    assert!(text.contains(sha256) && text.contains("set certificate-authority"));

    accepted(
        &trust(&["ca.pem", "other-ca.pem"]),
        "localhost.pem",
        "localhost",
    )
    .await;
}

#[tokio::test]
async fn a_ca_of_the_same_name_with_another_key_is_distinguished() {
    let rebuilt = refused(&trust(&["same-name-ca.pem"]), "localhost.pem", "localhost").await;
    assert!(
        matches!(rebuilt, Refusal::IssuerKeyChanged { .. }),
        "{rebuilt}"
    );
    assert!(rebuilt.to_string().contains("fetch its kubeconfig"));

    let both = trust(&["same-name-ca.pem", "ca.pem"]);
    accepted(&both, "localhost.pem", "localhost").await;
}

#[tokio::test]
async fn a_client_certificate_is_refused_as_a_server() {
    for roots in ["ca.pem", "client-purpose.pem"] {
        let refusal = refused(&trust(&[roots]), "client-purpose.pem", "localhost").await;
        assert!(matches!(refusal, Refusal::WrongPurpose { .. }), "{refusal}");
    }
}

#[tokio::test]
async fn an_intermediate_and_a_version_1_ca_can_be_trusted() {
    accepted(&trust(&["intermediate-ca.pem"]), "chain.pem", "localhost").await;
    accepted(&trust(&["v1-ca.pem"]), "v1-ca-leaf.pem", "localhost").await;
}

#[tokio::test]
async fn unusable_certificates_are_skipped_while_one_remains() {
    let broken = b"-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n".to_vec();
    let mixed = [broken.clone(), file("ca.pem")].concat();
    accepted(
        &Trust::roots(&mixed, "x").unwrap(),
        "localhost.pem",
        "localhost",
    )
    .await;
    let error = Trust::roots(&broken, "ca.crt").unwrap_err();
    assert!(matches!(error, Error::NoReadableCertificate { .. }));
    assert!(error.to_string().starts_with("ca.crt: "));
}

#[tokio::test]
async fn insecure_accepts_any_certificate() {
    for certificate in [
        "expired.pem",
        "wrong-san.pem",
        "cn-only.pem",
        "self-signed.pem",
    ] {
        accepted(&Trust::insecure(), certificate, "127.0.0.1").await;
    }
}

/// The environment selects the system's CAs. Since a test must not change the environment of others, it
/// runs itself again in a process of its own.
#[tokio::test]
async fn the_cas_of_the_system_follow_the_same_rules() {
    const STORE: &str = "KUBEGATE_TEST_STORE";
    if std::env::var_os(STORE).is_some() {
        let system = Trust::system();
        accepted(&system, "localhost.pem", "localhost").await;
        let refusal = refused(&system, "self-signed.pem", "localhost").await;
        assert!(
            refusal.to_string().contains("a CA that this system trusts"),
            "{refusal}"
        );
        let refusal = refused(&system, "expired-ca-leaf.pem", "localhost").await;
        assert!(matches!(refusal, Refusal::CaExpired { .. }), "{refusal}");
        return;
    }
    let store = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&store, [file("ca.pem"), file("expired-ca.pem")].concat()).unwrap();
    let name = "tls::trust::tests::authorities::the_cas_of_the_system_follow_the_same_rules";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(STORE, "1")
        .env("SSL_CERT_FILE", store.path())
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let presented = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && presented.contains("1 passed"),
        "{presented}"
    );
}
