//! Certificates that have expired or are not valid yet.

use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};

use super::{accepted, refused, timestamp, trust};
use crate::tls::{Refusal, pem, refusal, testing::file};

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let refusal = refused(&trust(&["ca.pem"]), "expired.pem", "localhost").await;
    let Refusal::Expired { since, .. } = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(since, timestamp("2021-01-01T00:00:00Z"));
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_refused() {
    let refusal = refused(&trust(&["ca.pem"]), "not-yet-valid.pem", "localhost").await;
    let Refusal::NotYetValid { from, .. } = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(from, timestamp("2100-01-01T00:00:00Z"));
}

#[tokio::test]
async fn an_expired_ca_is_refused_although_the_leaf_is_valid() {
    let refusal = refused(
        &trust(&["expired-ca.pem"]),
        "expired-ca-leaf.pem",
        "localhost",
    )
    .await;
    let Refusal::CaExpired { subject, since, .. } = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(subject, "O=kubegate TEST ONLY, CN=expiring test CA");
    assert_eq!(since, timestamp("2021-01-01T00:00:00Z"));

    let refusal = refused(
        &trust(&["future-ca.pem"]),
        "future-ca-leaf.pem",
        "localhost",
    )
    .await;
    let Refusal::CaNotYetValid { from, .. } = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(from, timestamp("2100-01-01T00:00:00Z"));
}

#[tokio::test]
async fn only_the_valid_cas_of_a_bundle_are_used() {
    let bundle = trust(&["expired-ca.pem", "ca.pem", "future-ca.pem"]);
    accepted(&bundle, "localhost.pem", "localhost").await;
    let refusal = refused(&bundle, "expired-ca-leaf.pem", "localhost").await;
    assert!(matches!(refusal, Refusal::CaExpired { .. }), "{refusal}");
    let refusal = refused(&bundle, "cn-only.pem", "localhost").await;
    assert!(
        matches!(refusal, Refusal::CommonNameOnly { .. }),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_renewed_ca_of_the_same_key_counts_in_any_order() {
    for bundle in [
        ["expired-ca.pem", "renewed-ca.pem"],
        ["renewed-ca.pem", "expired-ca.pem"],
    ] {
        accepted(&trust(&bundle), "expired-ca-leaf.pem", "localhost").await;
    }
}

#[tokio::test]
async fn an_expired_intermediate_is_refused_by_name() {
    let refusal = refused(&trust(&["ca.pem"]), "expired-chain.pem", "localhost").await;
    let Refusal::CaExpired { subject, .. } = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(
        subject,
        "O=kubegate TEST ONLY, CN=expired intermediate test CA"
    );
}

#[test]
fn validity_includes_its_last_second() {
    let verify = |roots: &str, certificate: &str, now: &str| {
        let chain = pem::certificates(&file(certificate), certificate).unwrap();
        let now = timestamp(now).as_second().unsigned_abs();
        let server_name = ServerName::try_from("localhost").unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let verifier = trust(&[roots]).verifier();
        verifier
            .verify_server_cert(&chain[0], &[], &server_name, &[], now)
            .map_err(|error| refusal(&error).cloned().unwrap())
    };
    verify("ca.pem", "localhost.pem", "2126-01-01T00:00:00Z").unwrap();
    verify(
        "self-signed-expired.pem",
        "self-signed-expired.pem",
        "2021-01-01T00:00:00Z",
    )
    .unwrap();
    verify(
        "future-ca.pem",
        "future-ca-leaf.pem",
        "2100-01-01T00:00:00Z",
    )
    .unwrap();
    for (roots, certificate, now) in [
        ("ca.pem", "localhost.pem", "2126-01-01T00:00:01Z"),
        (
            "self-signed-expired.pem",
            "self-signed-expired.pem",
            "2021-01-01T00:00:01Z",
        ),
    ] {
        let refusal = verify(roots, certificate, now).unwrap_err();
        assert!(matches!(refusal, Refusal::Expired { .. }), "{refusal}");
    }
    let refusal = verify(
        "future-ca.pem",
        "future-ca-leaf.pem",
        "2099-12-31T23:59:59Z",
    );
    assert!(matches!(refusal, Err(Refusal::CaNotYetValid { .. })));
}
