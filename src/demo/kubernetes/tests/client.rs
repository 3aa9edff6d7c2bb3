//! A small client with one connection, which sends and receives JSON.

use std::{collections::BTreeMap, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, client::IntoClientRequest},
};

use super::super::ControlPlane;

pub(super) fn config_map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "1"}})
}

pub(super) struct Client {
    sender: Sender,
    pub(super) authorization: Option<String>,
    host: String,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub(super) async fn connect(plane: &ControlPlane, protocol: &str) -> Self {
        let stream = tls(plane, protocol).await;
        let io = TokioIo::new(stream);
        let sender = if protocol == "h2" {
            let handshake = http2::handshake(TokioExecutor::new(), io).await;
            let (sender, connection) = handshake.unwrap();
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Sender::Http1(sender)
        };
        let mut client = Self {
            sender,
            authorization: None,
            host: plane.address().to_string(),
        };
        client.authorize(plane);
        client
    }

    pub(super) fn authorize(&mut self, plane: &ControlPlane) {
        self.authorization = Some(format!("Bearer {}", plane.token().0.expose()));
    }

    async fn request(
        &mut self,
        method: Method,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> http::Response<Incoming> {
        let mut request = Request::builder().method(method);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request = request.header(header::CONTENT_TYPE, format!("application/{kind}"));
        let body = Full::new(Bytes::from(body));
        match &mut self.sender {
            Sender::Http1(sender) => {
                let request = request.header(header::HOST, &self.host).uri(path);
                sender.ready().await.unwrap();
                sender
                    .send_request(request.body(body).unwrap())
                    .await
                    .unwrap()
            }
            Sender::Http2(sender) => {
                let request = request.uri(format!("https://{}{path}", self.host));
                sender.ready().await.unwrap();
                sender
                    .send_request(request.body(body).unwrap())
                    .await
                    .unwrap()
            }
        }
    }

    pub(super) async fn text(&mut self, path: &str) -> (StatusCode, String) {
        let response = self.request(Method::GET, path, "json", Vec::new()).await;
        let code = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(super) async fn get(&mut self, path: &str) -> (StatusCode, Value) {
        let (code, text) = self.text(path).await;
        (code, serde_json::from_str(&text).unwrap())
    }

    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let body = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        let response = self.request(method, path, "json", body).await;
        let code = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap())
    }

    pub(super) async fn patch(&mut self, path: &str, kind: &str, change: &Value) {
        let body = change.to_string().into_bytes();
        let response = self.request(Method::PATCH, path, kind, body).await;
        assert_eq!(response.status(), StatusCode::OK);
    }

    pub(super) async fn watch(&mut self, path: &str) -> Events {
        let response = self.request(Method::GET, path, "json", Vec::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        Events {
            body: response.into_body(),
            read: BytesMut::new(),
        }
    }
}

pub(super) struct Events {
    body: Incoming,
    read: BytesMut,
}

impl Events {
    /// The next event; `None` when the stream has ended or was cut.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.ok()?;
            self.read.extend_from_slice(frame.data_ref()?);
        }
    }
}

/// The SETTINGS frame with which the server begins an HTTP/2 connection, by identifier.
pub(super) async fn settings(plane: &ControlPlane) -> BTreeMap<u16, u32> {
    let mut stream = tls(plane, "h2").await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).await.unwrap();
    let length = u32::from(stream.read_u8().await.unwrap()) << 16
        | u32::from(stream.read_u16().await.unwrap());
    assert_eq!(
        stream.read_u8().await.unwrap(),
        4,
        "the first frame is SETTINGS"
    );
    let (_flags, _stream) = (
        stream.read_u8().await.unwrap(),
        stream.read_u32().await.unwrap(),
    );
    let mut settings = BTreeMap::new();
    for _ in 0..length / 6 {
        let id = stream.read_u16().await.unwrap();
        settings.insert(id, stream.read_u32().await.unwrap());
    }
    settings
}

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Opens a WebSocket. The error is the status of the refusal.
pub(super) async fn web_socket(
    plane: &ControlPlane,
    path: &str,
    origin: Option<&str>,
) -> Result<Socket, StatusCode> {
    let stream = tls(plane, "http/1.1").await;
    let url = format!("wss://{}{path}", plane.address());
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {}", plane.token().0.expose());
    let headers = request.headers_mut();
    headers.insert(header::AUTHORIZATION, bearer.parse().unwrap());
    if let Some(origin) = origin {
        headers.insert(header::ORIGIN, origin.parse().unwrap());
    }
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(response.status()),
        Err(other) => panic!("{other}"),
    }
}

pub(super) async fn message(socket: &mut Socket) -> Value {
    let message = socket.next().await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

pub(super) async fn tls(plane: &ControlPlane, protocol: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(plane.ca_pem().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let mut config = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let tcp = TcpStream::connect(plane.address()).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    connector.connect(name, tcp).await.unwrap()
}
