//! Keys, client certificates and resumed sessions.

use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, ServerConfig, client::Resumption};

use super::{exchange, key_of, refused_with, resolver, server, trust};
use crate::tls::{
    Refusal,
    identity::certified_key,
    pem,
    server::server_config,
    testing::file,
    trust::{Trust, client_config},
};

#[tokio::test]
async fn a_server_without_its_certificates_key_is_refused_even_when_insecure() {
    let wrong_key = resolver("localhost.pem", "dns-only.key");
    for trust in [trust(&["ca.pem"]), Trust::insecure()] {
        let refusal = refused_with(&trust, &wrong_key, "localhost").await;
        assert!(matches!(refusal, Refusal::UnprovenKey { .. }), "{refusal}");
    }
}

fn mutual_tls(certificate: &str, client_ca: &str) -> Arc<ServerConfig> {
    let chain = pem::certificates(&file(certificate), certificate).unwrap();
    let key = pem::private_key(&file(&key_of(certificate)), "key").unwrap();
    let ca = pem::certificates(&file(client_ca), client_ca).unwrap();
    let config = server_config(chain, key, &[b"h2", b"http/1.1"], ca.into_iter().next());
    Arc::new(config.unwrap())
}

#[tokio::test]
async fn a_client_certificate_is_presented_on_request_and_is_optional() {
    let pem = file("client.pem");
    let identity = certified_key(&pem, "client.pem", &file("client.key"), "client.key").unwrap();
    let ca = trust(&["ca.pem"]);
    let server = mutual_tls("localhost.pem", "ca.pem");

    let with = Arc::new(client_config(&ca, Some(identity.clone())));
    let (sent, received) = exchange(with.clone(), server.clone(), "localhost").await;
    sent.unwrap();
    assert_eq!(received.unwrap().client.as_ref(), identity.cert.first());

    let without = Arc::new(client_config(&ca, None));
    let (sent, received) = exchange(without, server, "localhost").await;
    sent.unwrap();
    assert_eq!(received.unwrap().client, None);

    // It is presented even to a server whose request names another CA, which refuses it.
    let (_, received) = exchange(
        with,
        mutual_tls("localhost.pem", "other-ca.pem"),
        "localhost",
    )
    .await;
    let error = received.unwrap_err();
    let inner = error.get_ref().and_then(|e| e.downcast_ref());
    let expected = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    assert_eq!(inner, Some(&expected));
}

#[tokio::test]
async fn every_connection_is_verified_again() {
    let server = Arc::new(server("localhost.pem", ProtocolVersion::TLSv1_2));
    let kinds = async |config: ClientConfig| {
        let config = Arc::new(config);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let (sent, received) = exchange(config.clone(), server.clone(), "localhost").await;
            sent.unwrap();
            kinds.push(received.unwrap().kind);
        }
        kinds
    };
    let ours = client_config(&trust(&["ca.pem"]), None);
    let mut resuming = ours.clone();
    resuming.resumption = Resumption::in_memory_sessions(8);
    assert_eq!(
        kinds(ours).await,
        [HandshakeKind::Full, HandshakeKind::Full]
    );
    assert_eq!(kinds(resuming).await[1], HandshakeKind::Resumed);
}
