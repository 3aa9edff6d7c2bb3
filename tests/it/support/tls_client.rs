//! A raw client that speaks TLS.

use std::{io, path::PathBuf, sync::Arc};

use kubegate::tls::{identity, pem};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
    sign::SingleCertAndKey,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Connection, cert, in_time};

/// How to connect. Trusts `certs/ca.pem` and offers HTTP/1.1 to the name `localhost` by default.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsClient {
    /// Offers these protocols.
    pub fn new(alpn: &[&[u8]]) -> Self {
        Self::with(cert("ca.pem"), alpn, None)
    }

    /// Trusts another CA, and shows a certificate of `certs/`.
    pub fn with(authority: PathBuf, alpn: &[&[u8]], identity: Option<&str>) -> Self {
        let text = std::fs::read(authority).unwrap();
        let mut roots = RootCertStore::empty();
        for root in pem::certificates(&text, "the CA").unwrap() {
            roots.add(root).unwrap();
        }
        let provider = kubegate::tls::provider().clone();
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let file = |suffix: &str| std::fs::read(cert(&format!("{name}.{suffix}"))).unwrap();
                let pair = identity::certified_key(&file("pem"), "c", &file("key"), "k").unwrap();
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Self {
            config: Arc::new(config),
            name: ServerName::try_from("localhost").unwrap(),
        }
    }

    /// Connects to `https://ADDRESS`.
    pub async fn connect(&self, address: &str) -> io::Result<Connection> {
        Ok(self.connect_and_look(address).await?.0)
    }

    /// Connects, and returns the server's certificate and whether the session was resumed too.
    pub async fn connect_and_look(
        &self,
        address: &str,
    ) -> io::Result<(Connection, CertificateDer<'static>, bool)> {
        let address = address.strip_prefix("https://").unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let connector = TlsConnector::from(self.config.clone());
        let stream = in_time(connector.connect(self.name.clone(), tcp)).await?;
        let session = stream.get_ref().1;
        let leaf = session.peer_certificates().unwrap()[0].clone().into_owned();
        let resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        Ok((Connection::of_tls(stream), leaf, resumed))
    }
}
