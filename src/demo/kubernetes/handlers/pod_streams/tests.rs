//! The streams over loopback, with a WebSocket client.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::header::SEC_WEBSOCKET_PROTOCOL;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::CancellationToken;

use crate::demo::kubernetes::encoding::response;

const PATIENCE: Duration = Duration::from_secs(20);
const V4: &str = "v4.channel.k8s.io";
const V5: &str = "v5.channel.k8s.io";

fn pod() -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"name": "app", "image": "nginx:1"}]},
    })
}

/// Serves the pod's streams at `/{subresource}`, with a tick of 10 ms.
async fn server(stop: CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stop = stop.clone();
            let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
                request.extensions_mut().insert(stop.clone());
                let request = request.map(crate::demo::request_body::RequestBody::from);
                let subresource = request.uri().path()[1..].to_owned();
                let tick = Duration::from_millis(10);
                let response = super::respond_with_tick(request, pod(), &subresource, tick);
                let response = response.unwrap_or_else(|status| response::failure(&status));
                std::future::ready(Ok::<_, hyper::Error>(response))
            });
            let server = hyper::server::conn::http1::Builder::new();
            let connection = server.serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    address
}

/// A WebSocket client of a pod's stream.
struct Client {
    socket: WebSocketStream<TcpStream>,
    protocol: Option<String>,
}

async fn connect(path: &str, protocols: Option<&'static str>) -> Result<Client, Error> {
    let server = server(CancellationToken::new()).await;
    connect_to(server, path, protocols).await
}

async fn connect_to(
    address: SocketAddr,
    path: &str,
    protocols: Option<&'static str>,
) -> Result<Client, Error> {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("ws://{address}{path}")
        .into_client_request()
        .unwrap();
    if let Some(protocols) = protocols {
        let headers = request.headers_mut();
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocols.parse().unwrap());
    }
    let (socket, response) = client_async(request, stream).await?;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let protocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
    let protocol = protocol.map(|name| name.to_str().unwrap().to_owned());
    Ok(Client { socket, protocol })
}

async fn open(path: &str, protocol: &'static str) -> Client {
    let client = connect(path, Some(protocol)).await.unwrap();
    assert_eq!(client.protocol.as_deref(), Some(protocol));
    client
}

impl Client {
    async fn send(&mut self, channel: u8, data: &[u8]) {
        let message = [&[channel], data].concat();
        self.socket.send(Message::binary(message)).await.unwrap();
    }

    async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        next.unwrap().map(Result::unwrap)
    }

    /// Reads standard output until it contains `text`.
    async fn read_until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            let Some(Message::Binary(message)) = self.next().await else {
                panic!("the end instead of {text:?} after {seen:?}");
            };
            assert_eq!(message[0], 1, "{message:?}");
            seen += std::str::from_utf8(&message[1..]).unwrap();
        }
        seen
    }

    /// The number in the next line of the main process.
    async fn tick(&mut self) -> u64 {
        let line = self.read_until("\n").await;
        let number = line.trim_end().strip_prefix("tick ");
        number
            .unwrap_or_else(|| panic!("{line:?}"))
            .parse()
            .unwrap()
    }

    /// Reads to the normal close. Returns the data of channels 0 to 3.
    async fn finish(mut self) -> [Vec<u8>; 4] {
        let mut channels: [Vec<u8>; 4] = Default::default();
        loop {
            match self.next().await.unwrap() {
                Message::Binary(message) => {
                    channels[usize::from(message[0])].extend_from_slice(&message[1..]);
                }
                Message::Close(frame) => {
                    assert_eq!(u16::from(frame.unwrap().code), 1000);
                    return channels;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn status(channels: &[Vec<u8>; 4]) -> Value {
    serde_json::from_slice(&channels[3]).unwrap()
}

#[tokio::test]
async fn exec_sends_output_errors_and_a_status() {
    for protocol in [V4, V5] {
        let path = "/exec?command=sh&command=-c&command=echo+out%3Becho+err+%3E%262\
                    &stdout=1&stderr=1";
        let channels = open(path, protocol).await.finish().await;
        assert_eq!(channels[1], b"out\n");
        assert_eq!(channels[2], b"err\n");
        assert_eq!(
            status(&channels),
            json!({"metadata": {}, "status": "Success"})
        );
    }
}

#[tokio::test]
async fn a_stream_that_was_not_requested_is_not_sent() {
    let path = "/exec?command=sh&command=-c&command=echo+out%3Becho+err+%3E%262&stderr=1";
    let channels = open(path, V5).await.finish().await;
    assert_eq!(
        (channels[1].as_slice(), channels[2].as_slice()),
        (&b""[..], &b"err\n"[..])
    );
}

#[tokio::test]
async fn an_exit_code_has_the_form_of_kubelets() {
    let path = "/exec?command=sh&command=-c&command=exit+3&stdout=1";
    let channels = open(path, V5).await.finish().await;
    assert_eq!(
        status(&channels),
        json!({
            "metadata": {},
            "status": "Failure",
            "message": "command terminated with non-zero exit code: \
                        error executing command [sh -c exit 3], exit code 3",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
        })
    );
}

#[tokio::test]
async fn cat_returns_a_mebibyte_after_the_input_is_closed() {
    let sent: Vec<u8> = (0..1024 * 1024 + 7u32)
        .map(|n| (n * 31 / 7).to_le_bytes()[0])
        .collect();
    let client = open("/exec?command=cat&stdin=1&stdout=1", V5).await;
    let (mut sink, mut stream) = client.socket.split();
    let write = async {
        for piece in sent.chunks(32 * 1024) {
            sink.send(Message::binary([&[0], piece].concat()))
                .await
                .unwrap();
        }
        sink.send(Message::binary(&[255, 0][..])).await.unwrap();
    };
    let read = async {
        let mut channels: [Vec<u8>; 4] = Default::default();
        while let Message::Binary(message) = stream.next().await.unwrap().unwrap() {
            channels[usize::from(message[0])].extend_from_slice(&message[1..]);
        }
        channels
    };
    let both = async { tokio::join!(write, read).1 };
    let channels = tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert!(
        channels[1] == sent,
        "{} bytes of {}",
        channels[1].len(),
        sent.len()
    );
    assert_eq!(status(&channels)["status"], "Success");
}

#[tokio::test]
async fn input_that_is_not_read_blocks_the_client() {
    let client = open("/exec?command=sleep&command=1000&stdin=1&stdout=1", V5).await;
    let (mut sink, _stream) = client.socket.split();
    let piece = Bytes::from(vec![0; 1024 * 1024]);
    for _ in 0..64 {
        // Far longer than the process needs to read one piece.
        let sent = tokio::time::timeout(
            Duration::from_secs(2),
            sink.send(Message::Binary(piece.clone())),
        );
        if sent.await.is_err() {
            return;
        }
    }
    panic!("64 MiB were read from the client and buffered");
}

#[tokio::test]
async fn input_after_the_end_of_a_command_is_discarded() {
    let mut client = open("/exec?command=true&stdin=1&stdout=1", V5).await;
    while client.next().await.unwrap().into_data()[0] != 3 {}
    // The client has the status. A server that closed its socket now would reset the connection
    // when these bytes arrive, and the client could lose the last messages.
    for _ in 0..64 {
        client.send(0, &[b'x'; 4096]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.finish().await[1], b"");
}

#[tokio::test]
async fn a_terminal_is_interactive_and_can_be_resized() {
    let path = "/exec?command=sh&stdin=1&stdout=1&stderr=1&tty=1";
    let mut client = open(path, V5).await;
    client.read_until("$ ").await;
    client.send(4, br#"{"Width":101,"Height":33}"#).await;
    client.send(0, b"stty size\r").await;
    client.read_until("33 101\r\n$ ").await;
    client.send(4, br#"{"Width":60,"Height":20}"#).await;
    client.send(0, b"stty size; nope\r").await;
    client
        .read_until("20 60\r\nsh: nope: not found\r\n$ ")
        .await;
    client.send(0, b"sleep 1000\r").await;
    client.send(0, b"\x03").await;
    client.read_until("^C\r\n$ ").await;
    client.send(0, b"exit 5\r").await;
    let channels = client.finish().await;
    assert_eq!(status(&channels)["details"]["causes"][0]["message"], "5");
}

#[tokio::test]
async fn attach_sends_the_new_lines_of_the_main_process() {
    let mut client = open("/attach?stdout=1&stderr=1", V5).await;
    let (first, second) = (client.tick().await, client.tick().await);
    assert_eq!(second, first + 1);
}

#[tokio::test]
async fn attach_with_input_echoes_it() {
    let mut client = open("/attach?stdin=1&stdout=1&container=app", V5).await;
    client.send(0, b"hello").await;
    client.read_until("hello").await;
    client.send(255, &[0]).await;
    assert_eq!(status(&client.finish().await)["status"], "Success");
}

/// Waits until this number of tasks is alive.
async fn wait_for_alive_tasks(expected: usize) {
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let settle = async {
        while alive() != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let settled = tokio::time::timeout(PATIENCE, settle).await;
    assert!(settled.is_ok(), "{} tasks, not {expected}", alive());
}

#[tokio::test]
async fn a_process_ends_when_its_client_disconnects() {
    for path in [
        "/exec?command=sleep&command=1000&stdout=1",
        "/exec?command=cat&stdin=1&stdout=1",
        "/attach?stdout=1",
    ] {
        let before = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        let mut client = open(path, V5).await;
        client.next().await;
        // The tasks of the server and of the process. That of the connection ended with the upgrade.
        wait_for_alive_tasks(before + 2).await;
        drop(client);
        wait_for_alive_tasks(before + 1).await;
    }
}

#[tokio::test]
async fn streams_end_with_the_control_plane() {
    let stop = CancellationToken::new();
    let server = server(stop.clone()).await;
    let path = "/exec?command=sleep&command=1000&stdout=1";
    let mut client = connect_to(server, path, Some(V5)).await.unwrap();
    assert_eq!(client.next().await, Some(Message::binary(&[1][..])));
    stop.cancel();
    let end = tokio::time::timeout(PATIENCE, client.socket.next()).await;
    assert!(matches!(end, Ok(None | Some(Err(_)))), "{end:?}");
}

/// Status code and `Status` of a WebSocket handshake that is refused.
async fn refusal(path: &str, protocol: &'static str) -> (u16, Value) {
    let refused = connect(path, Some(protocol)).await;
    let Err(Error::Http(response)) = refused else {
        panic!("{path} was not refused over HTTP");
    };
    let code = response.status().as_u16();
    let status: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
    assert_eq!(status["kind"], "Status");
    assert_eq!(status["code"], code);
    (code, status)
}

#[tokio::test]
async fn invalid_requests_are_refused_before_the_upgrade() {
    for (path, code, message) in [
        (
            "/exec?stdout=1",
            400,
            "you must specify at least 1 command for the container",
        ),
        (
            "/exec?command=id",
            400,
            "you must specify at least 1 of stdin, stdout, stderr",
        ),
        (
            "/exec?command=id&stdout=1&container=x",
            400,
            "container x is not valid for pod web",
        ),
        (
            "/attach?stdout=1&container=x",
            400,
            "container x is not valid for pod web",
        ),
        ("/portforward", 400, "query parameter \"ports\" is required"),
    ] {
        let (found, status) = refusal(path, V4).await;
        assert_eq!(
            (found, &status["message"]),
            (code, &json!(message)),
            "{path}"
        );
    }
    let (code, _) = refusal("/exec?command=id&stdout=1", "v9.channel.k8s.io").await;
    assert_eq!(code, 403);
    // This is SPDY tunnelled in a WebSocket, which kubectl tries first.
    let (code, _) = refusal("/portforward?ports=80", "SPDY/3.1+portforward.k8s.io").await;
    assert_eq!(code, 403);
}

/// A request without a WebSocket.
async fn plain(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> hyper::Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(server(CancellationToken::new()).await)
        .await
        .unwrap();
    let stream = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "x");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    sender.send_request(request).await.unwrap()
}

async fn text(response: hyper::Response<hyper::body::Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn exec_without_a_websocket_is_refused() {
    let path = "/exec?command=id&stdout=1";
    let response = plain("GET", path, &[]).await;
    assert_eq!(response.status(), 400);
    assert!(
        text(response)
            .await
            .contains("\"Upgrade request required\"")
    );

    let spdy = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
    let response = plain("POST", path, &spdy).await;
    assert_eq!(response.status(), 400);
    assert!(text(response).await.contains("SPDY/3.1 is not offered"));
}

#[tokio::test]
async fn logs_are_plain_text_and_end_unless_followed() {
    let response = plain("GET", "/log?limitBytes=24", &[]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert_eq!(text(response).await, "started app from nginx:1");

    let response = plain("GET", "/log?follow=true", &[]).await;
    let mut body = response.into_body();
    let mut seen = String::new();
    while !seen.contains("tick 3\n") {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap();
        seen += std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap();
    }
    assert!(
        seen.starts_with("started app from nginx:1\ntick 1\ntick 2\n"),
        "{seen}"
    );
}

#[tokio::test]
async fn logs_that_do_not_exist_are_refused() {
    for (path, message) in [
        ("/log?container=x", "container x is not valid for pod web"),
        (
            "/log?previous=true",
            "previous terminated container \\\"app\\\" in pod \\\"web\\\" not found",
        ),
    ] {
        let response = plain("GET", path, &[]).await;
        assert_eq!(response.status(), 400);
        let text = text(response).await;
        assert!(text.contains(message), "{text}");
    }
    assert_eq!(plain("POST", "/log", &[]).await.status(), 405);
}

#[tokio::test]
async fn a_forwarded_port_sends_its_number_and_responds() {
    let mut client = open("/portforward?ports=8080&ports=81", V4).await;
    for (channel, port) in [(0, 8080u16), (1, 8080), (2, 81), (3, 81)] {
        let [low, high] = port.to_le_bytes();
        let expected = Message::binary(vec![channel, low, high]);
        assert_eq!(client.next().await, Some(expected));
    }
    client.send(2, b"ping").await;
    assert_eq!(client.next().await, Some(Message::binary(&b"\x02ping"[..])));
    client.send(0, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let Some(Message::Binary(reply)) = client.next().await else {
        panic!("no reply");
    };
    assert!(reply.starts_with(b"\0HTTP/1.1 200 OK\r\n"));
    assert!(reply.ends_with(b"hello from pod web, port 8080\n"));
}
