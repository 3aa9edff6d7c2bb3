//! A scripted API server with real TCP and TLS, whose responses tests write byte by byte.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use kubegate::tls::{pem, server::server_config};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::{Connection, cert, in_time};

/// A server that runs a script for each connection. It stops with the test.
pub struct Upstream {
    address: SocketAddr,
    scheme: &'static str,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    handshakes: AtomicUsize,
    ended: AtomicUsize,
    bytes: Arc<AtomicUsize>,
}

impl Upstream {
    /// Starts a server with TLS, `certs/{leaf}.pem` and only HTTP/1.1. `script` runs for each
    /// connection.
    pub async fn tls<S, F>(leaf: &str, script: S) -> Self
    where
        S: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with(tls_config(leaf, &[b"http/1.1"]), script).await
    }

    /// Starts a server with this TLS configuration.
    pub async fn with<S, F>(config: ServerConfig, script: S) -> Self
    where
        S: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), script).await
    }

    /// Starts a server with TLS and `certs/localhost.pem`, whose connections the test itself serves.
    pub async fn handed() -> (Self, Handed) {
        let (sender, handed) = mpsc::unbounded_channel();
        let upstream = Self::tls("localhost", move |connection| {
            // An error means that the test has ended.
            let _ = sender.send(connection);
            std::future::ready(())
        });
        (upstream.await, Handed(handed))
    }

    /// Starts a server without TLS.
    pub async fn plain<S, F>(script: S) -> Self
    where
        S: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start(None, script).await
    }

    async fn start<S, F>(tls: Option<TlsAcceptor>, script: S) -> Self
    where
        S: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let counts = Arc::new(Counts::default());
        let (script, counted) = (Arc::new(script), counts.clone());
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (tls, script, counts) = (tls.clone(), script.clone(), counted.clone());
                counts.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    // A client that refuses the certificate ends here.
                    if let Some(mut connection) = Connection::accept(tcp, tls).await {
                        counts.handshakes.fetch_add(1, Ordering::SeqCst);
                        connection.bytes = counts.bytes.clone();
                        script(connection).await;
                    }
                    counts.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            scheme,
            counts,
            task,
        }
    }

    /// `https://localhost:PORT`
    pub fn url(&self) -> String {
        self.url_for("localhost")
    }

    /// The URL with another name of this machine.
    pub fn url_for(&self, host: &str) -> String {
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The number of TCP connections accepted so far.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// The number of connections whose handshake was completed.
    pub fn handshakes(&self) -> usize {
        self.counts.handshakes.load(Ordering::SeqCst)
    }

    /// The number of connections that have ended.
    pub fn ended(&self) -> usize {
        self.counts.ended.load(Ordering::SeqCst)
    }

    /// The number of application bytes that scripts have read so far.
    pub fn bytes(&self) -> usize {
        self.counts.bytes.load(Ordering::SeqCst)
    }

    /// Waits until every connection accepted so far has ended.
    pub async fn settled(&self) {
        // Connections that have arrived are accepted and counted first.
        tokio::task::yield_now().await;
        in_time(async {
            while self.ended() < self.connections() {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        })
        .await;
    }
}

/// Connections that the test itself serves.
pub struct Handed(mpsc::UnboundedReceiver<Connection>);

impl Handed {
    /// The next connection.
    pub async fn next(&mut self) -> Connection {
        in_time(self.0.recv()).await.unwrap()
    }
}

/// A TLS configuration with `certs/{leaf}.pem` and `alpn`, which asks for client certificates.
pub fn tls_config(leaf: &str, alpn: &[&[u8]]) -> ServerConfig {
    let (chain, key) = certified(leaf);
    let (mut ca, _) = certified("ca");
    server_config(chain, key, alpn, ca.pop()).unwrap()
}

/// `certs/{name}.pem` and its key.
pub fn certified(name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let pem = std::fs::read(cert(&format!("{name}.pem"))).unwrap();
    let key = std::fs::read(cert(&format!("{name}.key"))).unwrap();
    (
        pem::certificates(&pem, name).unwrap(),
        pem::private_key(&key, name).unwrap(),
    )
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
