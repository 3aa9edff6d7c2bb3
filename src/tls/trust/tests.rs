//! Real handshakes over an in-memory pipe, with the files in `certs/`.
#![allow(clippy::unwrap_used)]

mod as_go;
mod authorities;
mod handshakes;
mod names;
mod self_signed;
mod validity;

use std::{io, sync::Arc, time::Duration};

use rustls::{
    AlertDescription, ClientConfig, HandshakeKind, ProtocolVersion, ServerConfig,
    pki_types::{CertificateDer, ServerName},
    server::ResolvesServerCert,
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Trust, client_config};
use crate::tls::{Refusal, pem, provider, refusal, testing::file};

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

fn server_with(presented: Arc<dyn ResolvesServerCert>, version: ProtocolVersion) -> ServerConfig {
    let version = match version {
        ProtocolVersion::TLSv1_2 => &rustls::version::TLS12,
        _ => &rustls::version::TLS13,
    };
    ServerConfig::builder_with_provider(provider().clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(presented)
}

/// Connects, sends [`REQUEST`] and waits for the server to close. Returns the results of both ends.
async fn exchange(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    server_name: &str,
) -> (io::Result<()>, io::Result<Received>) {
    let server_name = ServerName::try_from(server_name.to_owned()).unwrap();
    let (client_end, server_end) = tokio::io::duplex(64 * 1024);
    let client = async move {
        let mut stream = TlsConnector::from(client)
            .connect(server_name, client_end)
            .await?;
        stream.write_all(REQUEST).await?;
        stream.shutdown().await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    };
    let server = async move {
        let mut stream = TlsAcceptor::from(server).accept(server_end).await?;
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
async fn accepted(trust: &Trust, certificate: &str, server_name: &str) -> Received {
    let mut last = None;
    for version in VERSIONS {
        let client = Arc::new(client_config(trust, None));
        let (sent, received) =
            exchange(client, Arc::new(server(certificate, version)), server_name).await;
        sent.unwrap_or_else(|e| panic!("{certificate} over {version:?}: {e}"));
        let received = received.unwrap();
        assert_eq!(received.request, REQUEST);
        last = Some(received);
    }
    last.unwrap()
}

/// The server presents `certificate`, and over both TLS versions it receives nothing but an alert.
async fn refused(trust: &Trust, certificate: &str, server_name: &str) -> Refusal {
    refused_with(
        trust,
        &resolver(certificate, &key_of(certificate)),
        server_name,
    )
    .await
}

async fn refused_with(
    trust: &Trust,
    presented: &Arc<dyn ResolvesServerCert>,
    server_name: &str,
) -> Refusal {
    let mut last = None;
    for version in VERSIONS {
        let client = Arc::new(client_config(trust, None));
        let server = Arc::new(server_with(presented.clone(), version));
        let (sent, received) = exchange(client, server, server_name).await;
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

fn timestamp(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}
