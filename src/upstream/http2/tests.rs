#![allow(clippy::unwrap_used)]
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use http::{Request, Response, Uri};
use http_body::Body as _;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use super::*;
use crate::{
    dial::ReadAhead,
    upstream::{body::RequestBody, send_failure::SendFailure},
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:status: 200` (RFC 7541 appendix A).
const OK: &[u8] = &[0x88];

/// A server whose frames the test writes and reads (RFC 9113 section 4.1).
struct Server(TcpStream);

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// The two ends of a loopback connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(client, listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// A connection to a server that has sent `settings`.
async fn connected(settings: &[u8]) -> (Arc<Connection>, Server) {
    let (client, mut server) = pair().await;
    let connection =
        MaybeHttpsStream::Http(ReadAhead::new(MaybeHttpsStream::Http(TokioIo::new(client))));
    let connection = Connection::handshake(connection, Arc::default())
        .await
        .unwrap();
    let mut preface = [0; 24];
    server.read_exact(&mut preface).await.unwrap();
    let mut server = Server(server);
    server.send(SETTINGS, 0, 0, settings).await;
    (connection, server)
}

/// `SETTINGS_MAX_CONCURRENT_STREAMS`
fn max_streams(streams: u8) -> [u8; 6] {
    [0, 3, 0, 0, 0, streams]
}

impl Server {
    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next frame, except those that every connection has; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            in_time(self.0.read_exact(&mut head)).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            in_time(self.0.read_exact(&mut payload)).await.ok()?;
            if !matches!(head[3], SETTINGS | WINDOW_UPDATE) {
                return Some(Frame {
                    kind: head[3],
                    flags: head[4],
                    stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                    payload,
                });
            }
        }
    }

    /// The stream of the next request.
    async fn request(&mut self) -> u32 {
        let frame = self.next().await.unwrap();
        assert_eq!(
            (frame.kind, frame.flags),
            (HEADERS, END_STREAM | END_HEADERS)
        );
        frame.stream
    }

    async fn pong(&mut self) {
        let ping = self.next().await.unwrap();
        assert_eq!((ping.kind, ping.flags), (PING, 0));
        self.send(PING, ACK, 0, &ping.payload).await;
    }
}

async fn in_time<F: Future>(future: F) -> F::Output {
    let patience = Duration::from_secs(20);
    timeout(patience, future).await.expect("it hangs")
}

async fn until(mut what: impl FnMut() -> bool) {
    in_time(async {
        while !what() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

async fn get(stream: Stream) -> Result<Response<ResponseBody>, SendFailure> {
    let request = Request::new(RequestBody::Empty);
    let uri = Uri::from_static("https://localhost/x");
    send(&stream, request, &uri, std::future::pending()).await
}

/// The same in a task of its own.
fn spawn_get(
    stream: Stream,
) -> tokio::task::JoinHandle<Result<Response<ResponseBody>, SendFailure>> {
    tokio::spawn(get(stream))
}

#[tokio::test]
async fn no_more_streams_are_reserved_than_the_server_allows() {
    let (connection, mut server) = connected(&max_streams(2)).await;
    let limit = || connection.max_streams();
    until(|| limit() == 2).await;
    let first = connection.reserve().unwrap();
    let second = connection.reserve().unwrap();
    assert!(connection.reserve().is_none());
    assert_eq!(connection.streams(), 2);
    drop(first);
    assert!(connection.reserve().is_some());

    server.send(SETTINGS, 0, 0, &max_streams(1)).await;
    until(|| limit() == 1).await;
    assert!(connection.reserve().is_none());
    server.send(SETTINGS, 0, 0, &max_streams(3)).await;
    until(|| limit() == 3).await;
    assert!(connection.reserve().is_some());
    drop(second);
    assert_eq!(connection.streams(), 0);
}

#[tokio::test]
async fn one_ping_answers_all_who_asked_before_it_was_sent() {
    let (connection, mut server) = connected(&[]).await;
    let asking: Vec<_> = (0..10)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.ping().await })
        })
        .collect();
    server.pong().await;
    // A second answers those that asked while the first was in flight.
    server.pong().await;
    for request in asking {
        in_time(request).await.unwrap().ok().unwrap();
    }
    let before = connection.last_read();
    let (ping, ()) = tokio::join!(connection.ping(), async {
        sleep(Duration::from_millis(5)).await;
        server.pong().await;
    });
    ping.unwrap();
    assert!(connection.last_read() > before);
}

#[tokio::test]
async fn an_abandoned_ping_does_not_disturb_the_next() {
    let (connection, mut server) = connected(&[]).await;
    let brief = Duration::from_millis(20);
    for _ in 0..2 {
        assert!(timeout(brief, connection.ping()).await.is_err());
    }
    let (ping, ()) = tokio::join!(connection.ping(), server.pong());
    ping.unwrap();
    // An old answer says nothing of a server that has become silent since.
    assert!(timeout(brief, connection.ping()).await.is_err());
    let last_read = connection.last_read();
    sleep(brief).await;
    server.pong().await;
    until(|| connection.last_read() > last_read).await;
    assert!(timeout(brief, connection.ping()).await.is_err());
    let (ping, ()) = tokio::join!(connection.ping(), server.pong());
    ping.unwrap();
}

#[tokio::test]
async fn a_ping_over_a_connection_that_ends_is_an_error() {
    let (connection, server) = connected(&[]).await;
    let asking = connection.clone();
    let asking = tokio::spawn(async move { asking.ping().await });
    sleep(Duration::from_millis(5)).await;
    drop(server);
    assert!(in_time(asking).await.unwrap().is_err());
    until(|| !connection.is_open()).await;
    assert!(connection.reserve().is_none());
}

#[tokio::test]
async fn a_retired_connection_closes_when_its_last_stream_has_ended() {
    let (connection, mut server) = connected(&[]).await;
    let request = spawn_get(connection.reserve().unwrap());
    let spare = connection.reserve().unwrap();
    let stream = server.request().await;
    connection.retire();
    assert!(!connection.is_open() && connection.reserve().is_none());
    // A stream that was reserved before may still be used.
    let late = spawn_get(spare);
    let last = server.request().await;
    for stream in [stream, last] {
        let flags = END_STREAM | END_HEADERS;
        server.send(HEADERS, flags, stream, OK).await;
    }
    for request in [request, late] {
        assert_eq!(in_time(request).await.unwrap().ok().unwrap().status(), 200);
    }
    assert_eq!(server.next().await.unwrap().kind, GO_AWAY);
    assert!(server.next().await.is_none());
}

#[tokio::test]
async fn a_connection_that_is_retired_while_idle_closes_at_once() {
    let (connection, mut server) = connected(&[]).await;
    connection.retire();
    assert_eq!(server.next().await.unwrap().kind, GO_AWAY);
    assert!(server.next().await.is_none());
}

#[tokio::test]
async fn a_dropped_connection_closes_after_its_last_stream() {
    let (connection, mut server) = connected(&[]).await;
    let request = spawn_get(connection.reserve().unwrap());
    drop(connection);
    let stream = server.request().await;
    server
        .send(HEADERS, END_STREAM | END_HEADERS, stream, OK)
        .await;
    assert!(in_time(request).await.unwrap().is_ok());
    assert_eq!(server.next().await.unwrap().kind, GO_AWAY);
}

#[tokio::test]
async fn an_abort_fails_every_stream() {
    let (connection, mut server) = connected(&[]).await;
    let answered = spawn_get(connection.reserve().unwrap());
    let stream = server.request().await;
    server.send(HEADERS, END_HEADERS, stream, OK).await;
    server.send(DATA, 0, stream, b"one").await;
    let mut body = in_time(answered).await.unwrap().ok().unwrap().into_body();
    let mut frame = async || poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
    let data = in_time(frame()).await.unwrap().unwrap();
    assert_eq!(data.into_data().unwrap(), "one");
    let waiting = spawn_get(connection.reserve().unwrap());
    server.request().await;
    connection.abort();
    assert!(!connection.is_open());
    assert!(in_time(frame()).await.unwrap().is_err());
    let failure = in_time(waiting).await.unwrap().err().unwrap();
    assert!(failure.unsent.is_none(), "{}", failure.error);
}

#[tokio::test]
async fn a_request_is_unsent_only_where_the_server_did_not_process_it() {
    let went = |last: u32| [last.to_be_bytes(), [0; 4]].concat();
    for (kind, stream, payload, unsent) in [
        (RST_STREAM, 1, &[0, 0, 0, 7][..], true), // REFUSED_STREAM
        (RST_STREAM, 1, &[0, 0, 0, 2], false),    // INTERNAL_ERROR
        (RST_STREAM, 1, &[0, 0, 0, 0], false),
        (GO_AWAY, 0, &went(0), true),
        (GO_AWAY, 0, &went(1), false),
    ] {
        let (connection, mut server) = connected(&[]).await;
        let request = spawn_get(connection.reserve().unwrap());
        assert_eq!(server.request().await, 1);
        server.send(kind, 0, stream, payload).await;
        if kind == GO_AWAY {
            until(|| !connection.is_open()).await;
            drop(server);
        }
        let failure = in_time(request).await.unwrap().err().unwrap();
        let is_unsent = failure.unsent.is_some();
        assert_eq!(is_unsent, unsent, "{payload:?}: {}", failure.error);
    }
}

#[tokio::test]
async fn a_request_is_unsent_where_the_connection_ended_before_its_first_byte() {
    let (connection, mut server) = connected(&[]).await;
    in_time(async { tokio::join!(connection.ping(), server.pong()) })
        .await
        .0
        .unwrap();
    let (bell, ringer) = pair().await;
    ringer.writable().await.unwrap();
    // The runtime learns of both at once, and continues here before it polls the driver.
    drop(server);
    ringer.try_write(b"x").unwrap();
    bell.readable().await.unwrap();
    assert!(connection.is_open());
    let failure = in_time(get(connection.reserve().unwrap())).await;
    assert!(failure.err().unwrap().unsent.is_some());
}

#[tokio::test]
async fn a_request_that_is_dropped_cancels_its_stream_at_once() {
    let (connection, mut server) = connected(&[]).await;
    for answered in [false, true] {
        let request = spawn_get(connection.reserve().unwrap());
        let stream = server.request().await;
        if answered {
            server.send(HEADERS, END_HEADERS, stream, OK).await;
            drop(in_time(request).await.unwrap().ok().unwrap());
        } else {
            request.abort();
        }
        let reset = server.next().await.unwrap();
        assert_eq!((reset.kind, reset.stream), (RST_STREAM, stream));
        assert_eq!(reset.payload, [0, 0, 0, 8]); // CANCEL
        until(|| connection.streams() == 0).await;
    }
}
