//! A scripted API server: real TCP and TLS, and answers as a test writes them, byte for byte.
//! Its [`Connection`] serves raw clients as well.

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
    HandshakeKind, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{cert, in_time, secrets};

/// A server that runs a script for each connection. Stops with the test.
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

trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// What it runs over, where that is TCP.
    fn tcp(&self) -> Option<&TcpStream>;
}

impl Io for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Io for TlsStream<TcpStream> {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.get_ref().0)
    }
}

impl Io for UnixStream {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

/// A connection that a script speaks over.
pub struct Connection {
    io: Box<dyn Io>,
    pending: Vec<u8>,
    bytes: Arc<AtomicUsize>,
    /// What the client said of itself in the handshake; `None` in plain text.
    pub handshake: Option<Handshake>,
}

/// How a TLS client presented itself.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// SNI
    pub server_name: Option<String>,
    /// The protocol that was agreed on by ALPN.
    pub alpn: Option<String>,
    /// Such as `TLSv1_3`.
    pub version: String,
    /// Its certificate.
    pub certificate: Option<CertificateDer<'static>>,
    /// Whether it took up an earlier session in place of proving anew who it is.
    pub resumed: bool,
}

/// A request or an answer as it arrived.
#[derive(Clone, Debug)]
pub struct Message {
    /// First line and headers, as they came.
    pub head: String,
    /// The body, dechunked where it was chunked.
    pub body: Vec<u8>,
}

impl Upstream {
    /// Over TLS with `certs/{leaf}.pem`, HTTP/1.1 alone; `script` runs for each connection.
    pub async fn tls<S, F>(leaf: &str, script: S) -> Self
    where
        S: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with(tls_config(leaf, &[b"http/1.1"]), script).await
    }

    /// Over TLS as `config` says.
    pub async fn with<S, F>(config: ServerConfig, script: S) -> Self
    where
        S: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), script).await
    }

    /// Over TLS with `certs/localhost.pem`; the test itself speaks for the server, over each
    /// connection as it comes.
    pub async fn handed() -> (Self, Handed) {
        let (sender, handed) = mpsc::unbounded_channel();
        let upstream = Self::tls("localhost", move |connection| {
            // A test that has ended wants no more of them.
            let _ = sender.send(connection);
            std::future::ready(())
        });
        (upstream.await, Handed(handed))
    }

    /// In plain text.
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
                    // A client that refuses our certificate ends here, as it should.
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

    /// The URL under another name of this machine.
    pub fn url_for(&self, host: &str) -> String {
        format!("{}://{host}:{}", self.scheme, self.address.port())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// TCP connections accepted so far.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// Of those, the ones whose handshake was completed.
    pub fn handshakes(&self) -> usize {
        self.counts.handshakes.load(Ordering::SeqCst)
    }

    /// Connections that have ended, whoever ended them.
    pub fn ended(&self) -> usize {
        self.counts.ended.load(Ordering::SeqCst)
    }

    /// Application bytes received so far, by scripts that read.
    pub fn bytes(&self) -> usize {
        self.counts.bytes.load(Ordering::SeqCst)
    }

    /// Waits until every connection accepted so far has ended.
    pub async fn settled(&self) {
        // What has arrived is accepted, and counted, first.
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

/// A listener that shows `certs/{leaf}.pem`, offers `alpn` and asks for client certificates.
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

impl Handshake {
    fn of(tls: &ServerConnection) -> Self {
        let alpn = tls.alpn_protocol();
        let chain = tls.peer_certificates().unwrap_or_default();
        Self {
            server_name: tls.server_name().map(str::to_owned),
            alpn: alpn.map(|p| String::from_utf8_lossy(p).into_owned()),
            version: format!("{:?}", tls.protocol_version().unwrap()),
            certificate: chain.first().cloned().map(CertificateDer::into_owned),
            resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }
}

impl Connection {
    /// A raw client of `address`.
    pub async fn open(address: &str) -> Self {
        Self::new(Box::new(TcpStream::connect(address).await.unwrap()))
    }

    /// The same over a unix socket.
    pub async fn open_unix(path: &str) -> Self {
        Self::new(Box::new(UnixStream::connect(path).await.unwrap()))
    }

    fn new(io: Box<dyn Io>) -> Self {
        Self {
            io,
            pending: Vec::new(),
            bytes: Arc::default(),
            handshake: None,
        }
    }

    async fn accept(tcp: TcpStream, tls: Option<TlsAcceptor>) -> Option<Self> {
        let Some(tls) = tls else {
            return Some(Self::new(Box::new(tcp)));
        };
        let stream = tls.accept(tcp).await.ok()?;
        let handshake = Handshake::of(stream.get_ref().1);
        let mut connection = Self::new(Box::new(stream));
        connection.handshake = Some(handshake);
        Some(connection)
    }

    /// The bytes alone, for both directions at once. What was read ahead comes first.
    pub fn into_stream(self) -> impl AsyncRead + AsyncWrite + Send + Unpin + 'static {
        let (reader, writer) = tokio::io::split(self.io);
        tokio::io::join(std::io::Cursor::new(self.pending).chain(reader), writer)
    }

    /// The next request with its whole body, or `None` at the end of the connection.
    pub async fn request(&mut self) -> Option<Message> {
        self.message().await
    }

    /// The next answer with its whole body, which must have a length or be chunked.
    pub async fn response(&mut self) -> Option<Message> {
        self.message().await
    }

    async fn message(&mut self) -> Option<Message> {
        let head = self.head().await?;
        let lower = head.to_ascii_lowercase();
        let body = if lower.contains("\r\ntransfer-encoding: chunked\r\n") {
            self.chunks().await?
        } else {
            let length = lower.split("\r\ncontent-length: ").nth(1);
            let length = length.and_then(|rest| rest.split("\r\n").next());
            self.exactly(length.map_or(0, |n| n.trim().parse().unwrap()))
                .await?
        };
        Some(Message { head, body })
    }

    /// A message's head up to and with its empty line; the body stays to be read.
    pub async fn head(&mut self) -> Option<String> {
        let head = self.through(b"\r\n\r\n").await?;
        secrets::register_head(&head);
        Some(head)
    }

    /// All up to and with `mark`.
    pub async fn through(&mut self, mark: &[u8]) -> Option<String> {
        let end = loop {
            if let Some(at) = self.pending.windows(mark.len()).position(|w| w == mark) {
                break at + mark.len();
            }
            self.fill().await?;
        };
        let text: Vec<u8> = self.pending.drain(..end).collect();
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// Waits for the first bytes; not all that connect have something to say.
    pub async fn speaks(&mut self) -> bool {
        !self.pending.is_empty() || self.fill().await.is_some()
    }

    /// Exactly `n` bytes.
    pub async fn exactly(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.pending.len() < n {
            self.fill().await?;
        }
        Some(self.pending.drain(..n).collect())
    }

    /// All bytes up to the other end's end.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await.is_some() {}
        std::mem::take(&mut self.pending)
    }

    /// The next chunk's data; empty is the last, behind which [`Self::trailers`] stand. `None`
    /// where the connection ends before.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.through(b"\r\n").await?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let data = self.exactly(size).await?;
        if size > 0 {
            assert_eq!(self.exactly(2).await?, b"\r\n");
        }
        Some(data)
    }

    /// The lines behind the last chunk, with the empty one that ends them.
    pub async fn trailers(&mut self) -> Option<String> {
        let mut trailers = String::new();
        while !trailers.ends_with("\r\n\r\n") && trailers != "\r\n" {
            trailers += &self.through(b"\r\n").await?;
        }
        Some(trailers)
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match self.chunk().await? {
                end if end.is_empty() => break,
                data => body.extend(data),
            }
        }
        self.trailers().await?;
        Some(body)
    }

    async fn fill(&mut self) -> Option<()> {
        let mut buffer = vec![0; 64 * 1024];
        match self.io.read(&mut buffer).await {
            Ok(0) | Err(_) => None,
            Ok(n) => {
                self.bytes.fetch_add(n, Ordering::SeqCst);
                self.pending.extend_from_slice(&buffer[..n]);
                Some(())
            }
        }
    }

    /// Writes and flushes; the end of a client that went away is not an error here.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.io.write_all(bytes.as_ref()).await;
        let _ = self.io.flush().await;
    }

    /// Ends our direction; the other stays open.
    pub async fn shutdown(&mut self) {
        let _ = self.io.shutdown().await;
    }

    /// Goes without a word of TLS: the other end is reset.
    pub fn reset(self) {
        self.io.tcp().unwrap().set_zero_linger().unwrap();
    }

    /// Answers 200 with a text.
    pub async fn answer(&mut self, text: &str) {
        let length = text.len();
        self.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}"
        ))
        .await;
    }

    /// Answers every request by its own head and body, as text.
    pub async fn echo(mut self) {
        while let Some(request) = self.request().await {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            self.answer(&format!("{}{body}", request.head)).await;
        }
    }
}
