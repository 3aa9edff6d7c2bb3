//! One connection, of a scripted server or of a raw client.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use rustls::{HandshakeKind, ServerConnection, pki_types::CertificateDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::{TlsAcceptor, client, server::TlsStream};

use super::{TlsClient, secrets};

trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// The TCP connection below it, if there is one.
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

impl Io for client::TlsStream<TcpStream> {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.get_ref().0)
    }
}

impl Io for UnixStream {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

/// A connection on which a test reads and writes.
pub struct Connection {
    io: Box<dyn Io>,
    pending: Vec<u8>,
    /// Counts the bytes that are read.
    pub(super) bytes: Arc<AtomicUsize>,
    /// The TLS handshake of the client; `None` without TLS.
    pub handshake: Option<Handshake>,
}

/// The properties of a TLS client.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The server name it asked for (SNI).
    pub server_name: Option<String>,
    /// The protocol that ALPN selected.
    pub alpn: Option<String>,
    /// Such as `TLSv1_3`.
    pub version: String,
    /// Its certificate.
    pub certificate: Option<CertificateDer<'static>>,
    /// Whether it resumed an earlier session.
    pub resumed: bool,
}

/// A request or a response.
#[derive(Clone, Debug)]
pub struct Message {
    /// The first line and the headers.
    pub head: String,
    /// The body, without the framing of chunks.
    pub body: Vec<u8>,
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
    /// Connects to `address` as a raw client, by TLS if it begins with `https://`.
    pub async fn open(address: &str) -> Self {
        if address.starts_with("https://") {
            let client = TlsClient::new(&[b"http/1.1"]);
            return client.connect(address).await.unwrap();
        }
        Self::new(Box::new(TcpStream::connect(address).await.unwrap()))
    }

    /// Like [`Self::open`], over a unix socket.
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

    pub(super) fn of_tls(stream: client::TlsStream<TcpStream>) -> Self {
        Self::new(Box::new(stream))
    }

    pub(super) async fn accept(tcp: TcpStream, tls: Option<TlsAcceptor>) -> Option<Self> {
        let Some(tls) = tls else {
            return Some(Self::new(Box::new(tcp)));
        };
        let stream = tls.accept(tcp).await.ok()?;
        let handshake = Handshake::of(stream.get_ref().1);
        let mut connection = Self::new(Box::new(stream));
        connection.handshake = Some(handshake);
        Some(connection)
    }

    /// The byte stream. It begins with the bytes that were read ahead.
    pub fn into_stream(self) -> impl AsyncRead + AsyncWrite + Send + Unpin + 'static {
        let (reader, writer) = tokio::io::split(self.io);
        tokio::io::join(std::io::Cursor::new(self.pending).chain(reader), writer)
    }

    /// The next request with its whole body, or `None` at the end of the connection.
    pub async fn request(&mut self) -> Option<Message> {
        self.message().await
    }

    /// The next response with its whole body, which must have a length or be chunked.
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

    /// The head of the next message, including the empty line. The body is read later.
    pub async fn head(&mut self) -> Option<String> {
        let head = self.through(b"\r\n\r\n").await?;
        secrets::register_head(&head);
        Some(head)
    }

    /// The bytes up to the end of `mark`.
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

    /// Waits for the first bytes. Returns whether there are any before the end.
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

    /// The bytes up to the end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await.is_some() {}
        std::mem::take(&mut self.pending)
    }

    /// The data of the next chunk. The last one is empty, and [`Self::trailers`] follow. Returns
    /// `None` if the connection ends before it.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.through(b"\r\n").await?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let data = self.exactly(size).await?;
        if size > 0 {
            assert_eq!(self.exactly(2).await?, b"\r\n");
        }
        Some(data)
    }

    /// The lines after the last chunk, including the empty line at their end.
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

    /// Writes and flushes. A client that has disconnected is no error.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.io.write_all(bytes.as_ref()).await;
        let _ = self.io.flush().await;
    }

    /// Closes the direction of writing.
    pub async fn shutdown(&mut self) {
        let _ = self.io.shutdown().await;
    }

    /// Resets the connection without a TLS closure alert.
    pub fn reset(self) {
        self.io.tcp().unwrap().set_zero_linger().unwrap();
    }

    /// Responds with 200 and a text.
    pub async fn answer(&mut self, text: &str) {
        let length = text.len();
        self.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}"
        ))
        .await;
    }

    /// Responds to every request with its own head and body as text.
    pub async fn echo(mut self) {
        while let Some(request) = self.request().await {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            self.answer(&format!("{}{body}", request.head)).await;
        }
    }
}
