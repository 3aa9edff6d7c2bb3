//! What holds of HTTP/1.1 over TCP holds in TLS too.

use std::time::{Duration, Instant};

use super::with_certificate;
use crate::support::{Connection, Kubegate, TlsClient, Upstream, exchange, in_time, status};

fn start(upstream: &Upstream) -> Kubegate {
    let flags = with_certificate("localhost");
    Kubegate::before(
        upstream,
        &flags.iter().map(String::as_str).collect::<Vec<_>>(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_answered_and_closed_cleanly() {
    let upstream = super::echo().await;
    let kubegate = start(&upstream);
    let large = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(70_000)
    );
    for (bytes, expected) in [
        ("GET / HTTP/1.1\r\nHost: attacker.example\r\n\r\n", 403),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://attacker.example\r\n\r\n",
            403,
        ),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (
            "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            405,
        ),
        ("no http\r\n\r\n", 400),
        (&large, 431),
    ] {
        let lines = bytes.replace("\r\nHost", "\r\nConnection: close\r\nHost");
        let response = exchange(&kubegate.address, lines).await;
        assert_eq!(status(&response), expected, "{response}");
        assert!(response.contains("kubegate: "), "{response}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_flushes_at_once_and_ends_at_the_drain() {
    let upstream = Upstream::plain(|mut connection: Connection| async move {
        connection.request().await.unwrap();
        connection
            .write(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\
                 Date: Sun, 29 Nov 2026 08:00:00 GMT\r\n\r\n8\r\n{\"a\":1}\n\r\n",
            )
            .await;
        connection.rest().await;
    })
    .await;
    let kubegate = start(&upstream);
    let mut client = Connection::open(&kubegate.address).await;
    client
        .write("GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let head = in_time(client.head()).await.unwrap();
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    assert_eq!(in_time(client.chunk()).await.unwrap(), b"{\"a\":1}\n");
    kubegate.signal("TERM");
    assert_eq!(in_time(client.rest()).await, b"0\r\n\r\n");
    assert_eq!(kubegate.ended().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_gets_a_408() {
    let upstream = super::echo().await;
    let kubegate = start(&upstream);
    let mut client = Connection::open(&kubegate.address).await;
    client.write("GET / HTTP/1.1\r\nHost: loc").await;
    let started = Instant::now();
    let response = tokio::time::timeout(Duration::from_secs(19), client.rest()).await;
    let response = String::from_utf8(response.expect("it stays open")).unwrap();
    assert_eq!(status(&response), 408, "{response}");
    assert!(
        started.elapsed() > Duration::from_secs(9),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_response_is_not_lost_while_the_client_sends() {
    let upstream = super::echo().await;
    let kubegate = start(&upstream);
    let mut client = Connection::open(&kubegate.address).await;
    client
        .write(
            "POST /api/v1/namespaces/x/pods/p/exec HTTP/1.1\r\nHost: localhost\r\n\
             Content-Length: 10000000\r\n\r\n",
        )
        .await;
    for _ in 0..100 {
        client.write("x".repeat(10_000)).await;
    }
    let response = in_time(client.response()).await.unwrap();
    assert_eq!(status(&response.head), 403);
    assert!(
        response.head.to_lowercase().contains("connection: close"),
        "{}",
        response.head
    );
}

/// kubectl and browsers open many connections: they resume their session by a ticket.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_resumed() {
    let upstream = super::echo().await;
    let kubegate = start(&upstream);
    let client = TlsClient::new(&[b"http/1.1"]);
    for expected in [false, true] {
        let connected = client.connect_and_look(&kubegate.address).await.unwrap();
        let (mut connection, _, resumed) = connected;
        assert_eq!(resumed, expected);
        connection
            .write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await;
        let response = in_time(connection.rest()).await;
        assert_eq!(status(&String::from_utf8_lossy(&response)), 200);
    }
}
