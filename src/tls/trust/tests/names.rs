//! The names and addresses of a certificate.

use super::{accepted, refused, trust};
use crate::tls::Refusal;

#[tokio::test]
async fn a_wrong_name_is_refused_and_its_names_listed() {
    let ca = trust(&["ca.pem"]);
    let refusal = refused(&ca, "wrong-san.pem", "localhost").await;
    assert_eq!(
        refusal,
        Refusal::WrongName {
            asked: "localhost".to_owned(),
            presented: vec!["other.example".to_owned()],
        }
    );
    assert!(refusal.to_string().contains("tls-server-name"));
    let refusal = refused(&ca, "localhost.pem", "127.0.0.2").await;
    assert_eq!(
        refusal,
        Refusal::WrongName {
            asked: "127.0.0.2".to_owned(),
            presented: ["localhost", "127.0.0.1", "::1"]
                .map(str::to_owned)
                .to_vec(),
        }
    );
}

#[tokio::test]
async fn the_server_name_is_sent_and_verified_and_an_address_is_not_sent() {
    let ca = trust(&["ca.pem"]);
    let received = accepted(&ca, "wrong-san.pem", "other.example").await;
    assert_eq!(received.server_name.as_deref(), Some("other.example"));
    for address in ["127.0.0.1", "::1"] {
        let received = accepted(&ca, "localhost.pem", address).await;
        assert_eq!(received.server_name, None);
    }
}

#[tokio::test]
async fn an_address_needs_an_address_in_the_certificate() {
    let ca = trust(&["ca.pem"]);
    let refusal = refused(&ca, "dns-only.pem", "127.0.0.1").await;
    let Refusal::NoAddress { presented, .. } = &refusal else {
        panic!("{refusal}")
    };
    assert_eq!(*presented, ["localhost"]);
    accepted(&ca, "dns-only.pem", "localhost").await;
}

#[tokio::test]
async fn a_common_name_alone_is_refused() {
    for certificate in ["cn-only.pem", "v1-cn-only.pem"] {
        let refusal = refused(&trust(&["ca.pem"]), certificate, "localhost").await;
        assert_eq!(
            refusal,
            Refusal::CommonNameOnly {
                asked: "localhost".to_owned(),
                common_name: "localhost".to_owned(),
            }
        );
    }
}
