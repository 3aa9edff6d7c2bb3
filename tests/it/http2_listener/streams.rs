//! Bodies over HTTP/2: watches, uploads, early responses, trailers, and the drain.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::support::{
    Connection, Kubegate, Upstream,
    frames::{DATA, END_HEADERS, END_STREAM, GO_AWAY, HEADERS, RST_STREAM},
    in_time,
    raw_http2::{OK, PING, RawHttp2, SETTINGS, WINDOW_UPDATE, block, frame, get},
};

use super::before;

const WATCH: &str = "/api/v1/pods?watch=1";

/// A server whose connections the test itself serves.
async fn handed() -> (Upstream, mpsc::UnboundedReceiver<Connection>, Kubegate) {
    let (sender, handed) = mpsc::unbounded_channel();
    let upstream = Upstream::plain(move |connection| {
        // An error means that the test has ended.
        let _ = sender.send(connection);
        std::future::ready(())
    })
    .await;
    let kubegate = before(&upstream, &[]);
    (upstream, handed, kubegate)
}

async fn next(handed: &mut mpsc::UnboundedReceiver<Connection>) -> Connection {
    in_time(handed.recv()).await.unwrap()
}

/// Begins a watch over HTTP/2, with one event.
async fn watch(
    client: &mut RawHttp2,
    stream: u32,
    handed: &mut mpsc::UnboundedReceiver<Connection>,
) -> Connection {
    client.get(stream, WATCH).await;
    let mut server = next(handed).await;
    in_time(server.request()).await.unwrap();
    server
        .write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(client.status_byte(stream).await, OK);
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_watches_are_passed_on_at_once() {
    let (_upstream, mut handed, kubegate) = handed().await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    let mut one = watch(&mut client, 1, &mut handed).await;
    let mut two = watch(&mut client, 3, &mut handed).await;
    for (server, stream) in [(&mut one, 1), (&mut two, 3)] {
        for event in ["{\"a\":1}\n", "{\"b\":2}\n"] {
            server
                .write(format!("{:x}\r\n{event}\r\n", event.len()))
                .await;
            let data = client.next_of(DATA).await;
            assert_eq!((data.stream, &*data.payload), (stream, event.as_bytes()));
        }
    }
    one.write("0\r\n\r\n").await;
    let end = client.next_of(DATA).await;
    assert_eq!((end.stream, end.flags & END_STREAM), (1, END_STREAM));
    assert!(end.payload.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_watch_ends_upstream_too() {
    let (_upstream, mut handed, kubegate) = handed().await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    let mut server = watch(&mut client, 1, &mut handed).await;
    client.send(frame(RST_STREAM, 0, 1, [0, 0, 0, 8])).await;
    in_time(server.rest()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_sends_goaway_ends_watches_and_completes_requests() {
    let (_upstream, mut handed, kubegate) = handed().await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    let mut watched = watch(&mut client, 1, &mut handed).await;
    watched.write("8\r\n{\"a\":1}\n\r\n").await;
    assert_eq!(client.next_of(DATA).await.payload, b"{\"a\":1}\n");
    client.get(3, "/slow").await;
    let mut slow = next(&mut handed).await;
    in_time(slow.request()).await.unwrap();
    slow.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst")
        .await;
    assert_eq!(client.next_of(DATA).await.payload, b"first");
    let mut silent = RawHttp2::open(&kubegate.address).await;
    assert_eq!(silent.next().await.unwrap().kind, SETTINGS);
    let started = Instant::now();
    kubegate.signal("TERM");
    let (mut told, mut watch_ended) = (false, false);
    while !(told && watch_ended) {
        let frame = client.next().await.expect("the connection has ended");
        match frame.kind {
            GO_AWAY => {
                told = true;
                assert_eq!(frame.payload[4..8], [0; 4], "no error");
            }
            DATA if frame.stream == 1 => watch_ended = frame.flags & END_STREAM != 0,
            // The last GOAWAY follows the acknowledgement.
            PING if frame.flags == 0 => {
                client
                    .send(crate::support::raw_http2::frame(PING, 1, 0, frame.payload))
                    .await;
            }
            _ => {}
        }
    }
    slow.write(" end").await;
    let data = client.next_of(DATA).await;
    assert_eq!((data.stream, &*data.payload), (3, &b" end"[..]));
    let ended = kubegate.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(started.elapsed() < Duration::from_secs(15), "{ended:?}");
    assert!(ended.stderr.contains("drained"), "{ended:?}");
}

fn post(more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/api/v1/namespaces"),
    ];
    fields.extend(more);
    block(&fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_waits_for_a_server_that_does_not_read() {
    let (_upstream, mut handed, kubegate) = handed().await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    client.send(frame(HEADERS, END_HEADERS, 1, post(&[]))).await;
    let mut server = next(&mut handed).await;
    in_time(server.head()).await.unwrap();
    // The window of a stream, which every byte counts against.
    let settings = client.next_of(SETTINGS).await;
    let window = settings
        .payload
        .chunks(6)
        .find(|one| one[..2] == [0, 4])
        .unwrap();
    let window = u32::from_be_bytes(window[2..].try_into().unwrap());
    assert!(window <= 1 << 20, "{window}");
    let piece = [b'x'; 16 * 1024];
    let mut sent = 0;
    let piece_size = i64::try_from(piece.len()).unwrap();
    let mut allowed = i64::from(window);
    // Fills the windows and buffers until no update comes.
    loop {
        while allowed >= piece_size && sent < 64 << 20 {
            client.send(frame(DATA, 0, 1, piece)).await;
            allowed -= piece_size;
            sent += piece.len();
        }
        let update = tokio::time::timeout(Duration::from_secs(1), client.next()).await;
        let Ok(Some(update)) = update else {
            break;
        };
        if update.kind == WINDOW_UPDATE && update.stream == 1 {
            let more: [u8; 4] = update.payload[..].try_into().unwrap();
            allowed += i64::from(u32::from_be_bytes(more));
        }
    }
    assert!(sent < 32 << 20, "{sent} bytes are held");
    // Others of the connection go on.
    client.get(3, "/x").await;
    let mut other = next(&mut handed).await;
    in_time(other.request()).await.unwrap();
    other.answer("ok").await;
    assert_eq!(client.status_byte(3).await, OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_response_arrives_and_the_connection_goes_on() {
    let (_upstream, mut handed, kubegate) = handed().await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    client
        .send(frame(
            HEADERS,
            END_HEADERS,
            1,
            post(&[("content-length", "100000")]),
        ))
        .await;
    client.send(frame(DATA, 0, 1, [b'x'; 1000])).await;
    let mut server = next(&mut handed).await;
    in_time(server.head()).await.unwrap();
    server
        .write("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        .await;
    server.shutdown().await;
    assert_ne!(client.status_byte(1).await, OK);
    assert_eq!(client.next_of(DATA).await.payload, b"no");
    // NO_ERROR (RFC 9113 section 8.1): the rest of the request is not needed.
    let reset = client.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, &*reset.payload), (1, &[0; 4][..]));
    client.get(3, "/x").await;
    let mut other = next(&mut handed).await;
    in_time(other.request()).await.unwrap();
    other.answer("ok").await;
    assert_eq!(client.status_byte(3).await, OK);
    // Of kubegate itself.
    let exec = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/api/v1/namespaces/a/pods/b/exec?command=sh"),
    ];
    client
        .send(frame(HEADERS, END_HEADERS, 5, block(&exec)))
        .await;
    assert_ne!(client.status_byte(5).await, OK);
    let data = client.next_of(DATA).await;
    assert!(String::from_utf8_lossy(&data.payload).contains("--allow-exec"));
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass_both_ways() {
    let (_upstream, mut handed, kubegate) = handed().await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    client
        .send(frame(
            HEADERS,
            END_HEADERS,
            1,
            post(&[("te", "trailers"), ("trailer", "x-sum")]),
        ))
        .await;
    client.send(frame(DATA, 0, 1, "body")).await;
    let trailers = block(&[("x-sum", "7"), ("x-remote-user", "admin")]);
    client
        .send(frame(HEADERS, END_HEADERS | END_STREAM, 1, trailers))
        .await;
    let mut server = next(&mut handed).await;
    in_time(server.head()).await.unwrap();
    assert_eq!(in_time(server.chunk()).await.unwrap(), b"body");
    assert_eq!(in_time(server.chunk()).await.unwrap(), b"");
    let got = in_time(server.trailers()).await.unwrap().to_lowercase();
    assert!(
        got.contains("x-sum: 7") && !got.contains("x-remote-user"),
        "{got}"
    );
    server
        .write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n")
        .await;
    assert_eq!(client.status_byte(1).await, OK);
    assert_eq!(client.next_of(DATA).await.payload, b"ok");
    let end = client.next_of(HEADERS).await;
    assert_eq!(end.flags & END_STREAM, END_STREAM);
}

/// RFC 9113 section 5.1.2
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_a_thousand_streams() {
    let (upstream, mut handed, kubegate) = handed().await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    let mut held = Vec::new();
    for number in 0..1000_u32 {
        let request = frame(HEADERS, END_HEADERS, 2 * number + 1, get("/x", &[]));
        client.send(request).await;
    }
    let refused = frame(HEADERS, END_HEADERS | END_STREAM, 2001, get("/x", &[]));
    client.send(refused).await;
    let reset = client.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, &*reset.payload), (2001, &[0, 0, 0, 7][..]));
    held.push(next(&mut handed).await);
    assert!(upstream.connections() > 0);
}
