//! Trusted certificates that are no authorities.

use super::{accepted, refused, trust};
use crate::tls::Refusal;

#[tokio::test]
async fn a_trusted_self_signed_certificate_is_accepted_byte_for_byte() {
    let itself = trust(&["self-signed.pem"]);
    accepted(&itself, "self-signed.pem", "localhost").await;
    accepted(&itself, "self-signed.pem", "127.0.0.1").await;
    accepted(
        &trust(&["ca.pem", "self-signed.pem"]),
        "self-signed.pem",
        "::1",
    )
    .await;

    let refusal = refused(&trust(&["ca.pem"]), "self-signed.pem", "localhost").await;
    assert!(
        matches!(refusal, Refusal::UnknownIssuer { .. }),
        "{refusal}"
    );
    let refusal = refused(&itself, "localhost.pem", "localhost").await;
    assert!(
        matches!(refusal, Refusal::UnknownIssuer { .. }),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_trusted_self_signed_certificate_needs_name_and_validity() {
    let refusal = refused(
        &trust(&["self-signed.pem"]),
        "self-signed.pem",
        "else.example",
    )
    .await;
    assert!(matches!(refusal, Refusal::WrongName { .. }), "{refusal}");
    let itself = trust(&["self-signed-expired.pem"]);
    let refusal = refused(&itself, "self-signed-expired.pem", "localhost").await;
    assert!(matches!(refusal, Refusal::Expired { .. }), "{refusal}");
    // A renewed certificate with the same name and key is not the trusted one.
    let refusal = refused(&trust(&["expired-ca.pem"]), "renewed-ca.pem", "localhost").await;
    assert!(
        matches!(refusal, Refusal::UnknownIssuer { .. }),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_pinned_server_certificate_issues_nothing() {
    let pinned = trust(&["localhost.pem"]);
    accepted(&pinned, "localhost.pem", "localhost").await;
    let refusal = refused(&pinned, "signed-by-leaf.pem", "localhost").await;
    let Refusal::IssuerIsNotCa { subject, why, .. } = &refusal else {
        panic!("{refusal}")
    };
    assert_eq!(subject, "O=kubegate TEST ONLY, CN=localhost");
    assert_eq!(why, "its basic constraints say CA:FALSE");
    assert!(refusal.to_string().contains("is not a CA certificate"));

    // A pinned certificate with the issuer's name and another key is not the issuer.
    let other = trust(&["cn-only.pem"]);
    let refusal = refused(&other, "signed-by-leaf.pem", "localhost").await;
    assert!(
        matches!(refusal, Refusal::UnknownIssuer { .. }),
        "{refusal}"
    );
}
