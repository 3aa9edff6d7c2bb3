//! The TLS handshake of an accepted connection, within a time limit.

use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::server::Acceptor;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};

use super::{Certificates, HttpsListener};
use crate::{serve::reject, tls};

/// How long a handshake may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The response to a client that speaks HTTP without TLS.
const PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    connection: close\r\n\r\nkubegate: this address speaks https; begin the URL with https://\n";

/// A connection after its handshake.
#[derive(Debug)]
pub(in crate::serve) struct Handshake {
    /// The connection.
    pub(in crate::serve) stream: TlsStream<TcpStream>,
    /// Whether the client chose HTTP/2.
    pub(in crate::serve) is_http2: bool,
    /// The name in the client's certificate, if it has shown one.
    pub(in crate::serve) client: Option<Arc<str>>,
}

impl HttpsListener {
    /// Does the handshake.
    ///
    /// # Errors
    /// The client breaks off, speaks no TLS, shows a certificate that is not accepted, or takes too long.
    pub(in crate::serve) async fn accept(&self, stream: TcpStream) -> io::Result<Handshake> {
        let stream = self.handshake(stream, false).await?;
        let (_, session) = stream.get_ref();
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let chain = session.peer_certificates().unwrap_or_default();
        let client = tls::identity::client_name(chain, SystemTime::now());
        Ok(Handshake {
            stream,
            is_http2,
            client: client.map(Into::into),
        })
    }

    /// Does the handshake of a connection that gets a response in HTTP/1.1, whatever it requests.
    ///
    /// # Errors
    /// Those of [`HttpsListener::accept`].
    pub(in crate::serve) async fn accept_to_reject(
        &self,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        self.handshake(stream, true).await
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        rejects: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        timeout(TIMEOUT, self.handshake_without_limit(stream, rejects)).await?
    }

    async fn handshake_without_limit(
        &self,
        stream: TcpStream,
        rejects: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0].is_ascii_alphabetic() {
            reject::send_and_close(PLAIN_HTTP, stream).await;
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "HTTP without TLS",
            ));
        }
        let accepting = LazyConfigAcceptor::new(Acceptor::default(), stream);
        let started = accepting.await?;
        if let Certificates::SelfSigned(issuing) = &self.certificates {
            issuing.prepare(started.client_hello().server_name()).await;
        }
        let configs = self.configs.load_full();
        let config = if rejects {
            &configs.rejecting
        } else {
            &configs.serving
        };
        started.into_stream(Arc::clone(config)).await
    }
}
