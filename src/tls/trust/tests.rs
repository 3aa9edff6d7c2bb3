//! Real handshakes over an in-memory pipe, with the files in `certs/`.
#![allow(clippy::unwrap_used)]

mod as_go;

use std::{io, process::Command, time::Duration};

use rustls::{
    AlertDescription, HandshakeKind, ProtocolVersion, ServerConfig, server::ResolvesServerCert,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::{
    super::{Refusal, identity::certified_key, refusal, server::server_config, testing::file},
    *,
};

const REQUEST: &[u8] = b"GET /api/v1/secrets HTTP/1.1\r\nauthorization: Bearer t0ken\r\n\r\n";

/// What the server received from a client.
#[derive(Debug)]
struct Received {
    request: Vec<u8>,
    server_name: Option<String>,
    client: Option<CertificateDer<'static>>,
    kind: HandshakeKind,
}

/// A server's certificate and key, valid or not.
fn resolver(certificate: &str, key: &str) -> Arc<dyn ResolvesServerCert> {
    let chain = pem::certificates(&file(certificate), certificate).unwrap();
    let key = pem::private_key(&file(key), key).unwrap();
    let key = provider().key_provider.load_private_key(key).unwrap();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
}

fn server(certificate: &str, version: ProtocolVersion) -> ServerConfig {
    server_with(resolver(certificate, &key_of(certificate)), version)
}

fn key_of(certificate: &str) -> String {
    match certificate {
        "renewed-ca.pem" => "expired-ca.key".to_owned(),
        _ => certificate.replace(".pem", ".key"),
    }
}

fn server_with(shown: Arc<dyn ResolvesServerCert>, version: ProtocolVersion) -> ServerConfig {
    let version = match version {
        ProtocolVersion::TLSv1_2 => &rustls::version::TLS12,
        _ => &rustls::version::TLS13,
    };
    ServerConfig::builder_with_provider(provider().clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(shown)
}

/// Connects, sends [`REQUEST`] and waits for the server to close. Returns the results of both ends.
async fn exchange(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    asked: &str,
) -> (io::Result<()>, io::Result<Received>) {
    let asked = ServerName::try_from(asked.to_owned()).unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let client = async move {
        let mut stream = TlsConnector::from(client).connect(asked, near).await?;
        stream.write_all(REQUEST).await?;
        stream.shutdown().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    };
    let server = async move {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        let mut request = Vec::new();
        stream.read_to_end(&mut request).await?;
        stream.shutdown().await?;
        let connection = stream.get_ref().1;
        let certificates = connection.peer_certificates().unwrap_or_default();
        Ok(Received {
            request,
            server_name: connection.server_name().map(str::to_owned),
            client: certificates.first().map(|c| c.clone().into_owned()),
            kind: connection.handshake_kind().unwrap(),
        })
    };
    tokio::time::timeout(Duration::from_secs(30), async {
        tokio::join!(client, server)
    })
    .await
    .unwrap()
}

fn trust(names: &[&str]) -> Trust {
    let bundle: Vec<Vec<u8>> = names.iter().map(|name| file(name)).collect();
    Trust::roots(&bundle.concat(), "cluster \"test\": certificate-authority").unwrap()
}

const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3];

/// The server presents `certificate`, and over both TLS versions the request arrives.
async fn accepted(trust: &Trust, certificate: &str, asked: &str) -> Received {
    let mut last = None;
    for version in VERSIONS {
        let client = Arc::new(client_config(trust, None));
        let (sent, received) =
            exchange(client, Arc::new(server(certificate, version)), asked).await;
        sent.unwrap_or_else(|e| panic!("{certificate} over {version:?}: {e}"));
        let received = received.unwrap();
        assert_eq!(received.request, REQUEST);
        last = Some(received);
    }
    last.unwrap()
}

/// The server presents `certificate`, and over both TLS versions it receives nothing but an alert.
async fn refused(trust: &Trust, certificate: &str, asked: &str) -> Refusal {
    refused_with(trust, &resolver(certificate, &key_of(certificate)), asked).await
}

async fn refused_with(trust: &Trust, shown: &Arc<dyn ResolvesServerCert>, asked: &str) -> Refusal {
    let mut last = None;
    for version in VERSIONS {
        let client = Arc::new(client_config(trust, None));
        let server = Arc::new(server_with(shown.clone(), version));
        let (sent, received) = exchange(client, server, asked).await;
        let error = sent.expect_err("the client should have refused");
        last = refusal(&error).cloned();
        assert!(last.is_some(), "no reason in {error}");
        // The server is still in its handshake: no application byte has reached it.
        let received = received.unwrap_err();
        let inner = received.get_ref().and_then(|e| e.downcast_ref());
        assert!(
            matches!(inner, Some(rustls::Error::AlertReceived(alert))
                if *alert != AlertDescription::CloseNotify),
            "{received:?}"
        );
    }
    last.unwrap()
}

fn stamp(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_certificate_of_the_configured_ca_is_accepted() {
    for asked in ["localhost", "127.0.0.1", "::1"] {
        accepted(&trust(&["ca.pem"]), "localhost.pem", asked).await;
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
async fn an_expired_certificate_is_refused() {
    let refusal = refused(&trust(&["ca.pem"]), "expired.pem", "localhost").await;
    let Refusal::Expired { since, .. } = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(since, stamp("2021-01-01T00:00:00Z"));
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_refused() {
    let refusal = refused(&trust(&["ca.pem"]), "not-yet-valid.pem", "localhost").await;
    let Refusal::NotYetValid { from, .. } = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(from, stamp("2100-01-01T00:00:00Z"));
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
    assert_eq!(since, stamp("2021-01-01T00:00:00Z"));

    let refusal = refused(
        &trust(&["future-ca.pem"]),
        "future-ca-leaf.pem",
        "localhost",
    )
    .await;
    let Refusal::CaNotYetValid { from, .. } = refusal else {
        panic!("{refusal}")
    };
    assert_eq!(from, stamp("2100-01-01T00:00:00Z"));
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

#[tokio::test]
async fn a_client_certificate_is_refused_as_a_server() {
    for roots in ["ca.pem", "client-purpose.pem"] {
        let refusal = refused(&trust(&[roots]), "client-purpose.pem", "localhost").await;
        assert!(matches!(refusal, Refusal::WrongPurpose { .. }), "{refusal}");
    }
}

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
async fn a_server_without_its_certificates_key_is_refused_even_when_insecure() {
    let posing = resolver("localhost.pem", "dns-only.key");
    for trust in [trust(&["ca.pem"]), Trust::insecure()] {
        let refusal = refused_with(&trust, &posing, "localhost").await;
        assert!(matches!(refusal, Refusal::UnprovenKey { .. }), "{refusal}");
    }
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
    let name = "tls::trust::tests::the_cas_of_the_system_follow_the_same_rules";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(STORE, "1")
        .env("SSL_CERT_FILE", store.path())
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
}

fn mutual(certificate: &str, client_ca: &str) -> Arc<ServerConfig> {
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
    let server = mutual("localhost.pem", "ca.pem");

    let with = Arc::new(client_config(&ca, Some(identity.clone())));
    let (sent, received) = exchange(with.clone(), server.clone(), "localhost").await;
    sent.unwrap();
    assert_eq!(received.unwrap().client.as_ref(), identity.cert.first());

    let without = Arc::new(client_config(&ca, None));
    let (sent, received) = exchange(without, server, "localhost").await;
    sent.unwrap();
    assert_eq!(received.unwrap().client, None);

    // It is presented even to a server whose request names another CA, which refuses it.
    let (_, received) = exchange(with, mutual("localhost.pem", "other-ca.pem"), "localhost").await;
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

#[test]
fn validity_includes_its_last_second() {
    let verify = |roots: &str, certificate: &str, now: &str| {
        let chain = pem::certificates(&file(certificate), certificate).unwrap();
        let now = stamp(now).as_second().unsigned_abs();
        let asked = ServerName::try_from("localhost").unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let verifier = trust(&[roots]).verifier();
        verifier
            .verify_server_cert(&chain[0], &[], &asked, &[], now)
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
