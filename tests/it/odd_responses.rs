//! Responses as older servers and bad gateways frame them, mended where they have one meaning.

use std::fmt::Write as _;

use crate::support::{Connection, Kubegate, Upstream, exchange, get, in_time, status, tls_config};

/// Answers the request of each connection with these bytes, and closes the connection cleanly.
async fn answering(response: impl Into<Vec<u8>>) -> Upstream {
    let response = response.into();
    Upstream::with(
        tls_config("localhost", &[b"http/1.1"]),
        move |mut server: Connection| {
            let response = response.clone();
            async move {
                if server.head().await.is_some() {
                    server.write(response).await;
                    server.shutdown().await;
                    server.rest().await;
                }
            }
        },
    )
    .await
}

/// The head and the body of the response that a client gets.
async fn passed_on(response: &str) -> (String, String) {
    let upstream = answering(response).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let got = get(&kubegate.address, "/x").await;
    let (head, body) = got.split_once("\r\n\r\n").unwrap_or((&got, ""));
    (head.to_ascii_lowercase(), body.to_owned())
}

fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(n, _)| *n == name).map(|(_, v)| v).collect()
}

#[tokio::test]
async fn equal_lengths_become_one_and_differing_ones_are_502() {
    for lines in [
        "Content-Length: 2",
        "Content-Length: 2, 2",
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2,2\r\nContent-Length:  2 ",
        "Content-Length: 02",
        "Content-Length : 2",
        "Content-Length:\r\n 2",
    ] {
        let (head, body) = passed_on(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\nok")).await;
        assert!(head.starts_with("http/1.1 200 "), "{lines:?}: {head}");
        assert_eq!(values(&head, "content-length"), ["2"], "{lines:?}");
        assert_eq!(body, "ok", "{lines:?}");
    }
    for lines in [
        "Content-Length: 2, 3",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: +2",
        "Content-Length: 2,",
        "Content-Length: 2 2",
        "Content-Length: 18446744073709551616",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        let response = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        let (head, body) = passed_on(&response).await;
        assert!(head.starts_with("http/1.1 502 "), "{lines:?}: {head}");
        assert!(body.contains("\"kind\":\"Status\""), "{lines:?}: {body}");
    }
    // The length in the response to a HEAD request is mended in the same way.
    let upstream = answering("HTTP/1.1 200 OK\r\nContent-Length: 7, 7\r\n\r\n").await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let head = "HEAD /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let got = exchange(&kubegate.address, head).await.to_ascii_lowercase();
    assert_eq!(values(&got, "content-length"), ["7"], "{got}");
    assert!(got.ends_with("\r\n\r\n"), "{got}");
}

#[tokio::test]
async fn an_http_1_0_response_becomes_http_1_1_on_a_persistent_connection() {
    for (lines, body) in [
        ("Content-Length: 2\r\n", "ok"),
        ("Connection: keep-alive\r\nContent-Length: 2\r\n", "ok"),
        (
            "Connection: Keep-Alive\r\nKeep-Alive: timeout=5\r\n",
            "to the end",
        ),
        ("", "to the end"),
    ] {
        let upstream = answering(format!("HTTP/1.0 200 OK\r\n{lines}\r\n{body}")).await;
        let kubegate = Kubegate::before(&upstream, &[]);
        let mut client = Connection::open(&kubegate.address).await;
        for _ in 0..2 {
            client
                .write("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .await;
            let response = in_time(client.response()).await.unwrap();
            assert!(
                response.head.starts_with("HTTP/1.1 200 OK\r\n"),
                "{}",
                response.head
            );
            let head = response.head.to_ascii_lowercase();
            assert!(values(&head, "connection").is_empty(), "{head}");
            assert!(values(&head, "keep-alive").is_empty(), "{head}");
            assert_eq!(response.body, body.as_bytes());
        }
    }
    // HTTP/1.0 has no chunked framing.
    let (head, _) =
        passed_on("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 502 "), "{head}");
}

#[tokio::test]
async fn odd_heads_are_mended_where_they_have_one_meaning() {
    for (response, name, value) in [
        (
            "HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 2\r\n\r\nok",
            "x-a",
            "1",
        ),
        (
            "HTTP/1.1 200 OK\r\nX-A\t: 1\r\nContent-Length: 2\r\n\r\nok",
            "x-a",
            "1",
        ),
        (
            "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\n\t3\r\nContent-Length: 2\r\n\r\nok",
            "x-a",
            "1 2 3",
        ),
        (
            "HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 2\n\nok",
            "x-a",
            "1",
        ),
        (
            "HTTP/1.1 200\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok",
            "x-a",
            "1",
        ),
        (
            "HTTP/1.1 200 \r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok",
            "x-a",
            "1",
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
             HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok",
            "x-a",
            "1",
        ),
    ] {
        let (head, body) = passed_on(response).await;
        assert!(head.starts_with("http/1.1 200 "), "{response:?}: {head}");
        assert_eq!(values(&head, name), [value], "{response:?}: {head}");
        assert_eq!(body, "ok", "{response:?}");
        assert!(!head.contains("link"), "{head}");
    }
    // As in Go's transport, a line that is not a header is an error.
    for response in [
        "HTTP/1.1 200 OK\r\nX(A): 1\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-A: 1\0\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let (head, _) = passed_on(response).await;
        assert!(head.starts_with("http/1.1 502 "), "{response:?}: {head}");
    }
}

#[tokio::test]
async fn heads_of_upgrade_responses_are_mended_too() {
    const ASK: &str = "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n\
        Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let many = (0..300).fold(String::new(), |mut lines, n| {
        let _ = write!(lines, "X-{n}: {}\r\n", "v".repeat(1000));
        lines
    });
    for (response, code) in [
        (
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection : Upgrade\r\n\
                 Upgrade: \r\n websocket\r\nContent-Length: 0, 0\r\n{many}\r\nthrough"
            ),
            101,
        ),
        (
            "HTTP/1.0 403 Forbidden\r\nX-A : 1\r\nContent-Length: 7, 7\r\n\r\nthrough".into(),
            403,
        ),
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 7, 8\r\n\r\nthrough".into(),
            502,
        ),
    ] {
        let upstream = answering(response).await;
        let kubegate = Kubegate::before(&upstream, &[]);
        let got = exchange(&kubegate.address, ASK).await;
        let (head, rest) = got.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 "), "{head}");
        assert_eq!(status(&got), code, "{head}");
        if code != 502 {
            assert_eq!(rest, "through");
        }
        let head = head.to_ascii_lowercase();
        let lengths = values(&head, "content-length");
        assert_eq!(lengths.len(), usize::from(code != 101), "{head}");
    }
}

const LINE: usize = 4000;
const LINES: usize = 250;

/// A value with which [`LINES`] lines make a million bytes.
fn large_value() -> String {
    "v".repeat(LINE - 10)
}

#[tokio::test]
async fn a_head_of_a_megabyte_comes_through_over_http_1() {
    let lines = (0..LINES).fold(String::new(), |mut lines, n| {
        let _ = write!(lines, "X-{n:05}: {}\r\n", large_value());
        lines
    });
    assert!(lines.len() >= 1_000_000);
    let response = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok");
    let (head, body) = passed_on(&response).await;
    assert!(head.starts_with("http/1.1 200 "), "{head:.200}");
    assert_eq!(head.matches("\r\nx-").count(), LINES);
    assert_eq!(body, "ok");
    // The control: a head without an end is refused.
    let endless = format!("HTTP/1.1 200 OK\r\n{lines}{}", lines.replace("X-", "Y-"));
    let (head, _) = passed_on(&endless).await;
    assert!(head.starts_with("http/1.1 502 "), "{head:.200}");
}

/// A response with this many header lines.
fn many_lines(lines: usize) -> String {
    let lines = (0..lines).fold(String::new(), |mut all, n| {
        let _ = write!(all, "X-{n:05}: v\r\n");
        all
    });
    format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok")
}

#[tokio::test]
async fn a_head_of_thousands_of_lines_comes_through_over_http_1() {
    for lines in [500, 600, 5_000, 16_000] {
        let upstream = answering(many_lines(lines)).await;
        let kubegate = Kubegate::before(&upstream, &[]);
        for round in 0..2 {
            let got = get(&kubegate.address, "/x").await;
            let (head, body) = got.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 "), "{lines}: {head:.300}");
            let count = head.to_ascii_lowercase().matches("\r\nx-").count();
            assert_eq!(count, lines, "in round {round}");
            assert_eq!(body, "ok", "{lines} in round {round}");
        }
        // Only the first request is sent twice, as the number of lines is known after that.
        let attempts = if lines < 512 { 2 } else { 3 };
        assert_eq!(upstream.connections(), attempts, "{lines}");
    }
    // The control: for still more lines, the error says how many are taken.
    let upstream = answering(many_lines(16_400)).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let got = get(&kubegate.address, "/x").await;
    assert_eq!(status(&got), 502, "{got:.300}");
    assert!(got.contains("more than 16384 header lines"), "{got:.600}");
}

#[tokio::test]
async fn a_post_with_too_many_response_lines_says_how_many_are_taken() {
    let upstream = answering(many_lines(600)).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let post = "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
                Connection: close\r\n\r\n";
    let got = exchange(&kubegate.address, post).await;
    assert_eq!(status(&got), 502, "{got:.300}");
    assert!(got.contains("more than 512 header lines"), "{got:.600}");
    assert_eq!(upstream.connections(), 1);
    // The next such response comes through.
    let got = exchange(&kubegate.address, post).await;
    assert_eq!(status(&got), 200, "{got:.300}");
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn a_head_of_a_megabyte_comes_through_over_http_2_in_small_frames() {
    let (upstream, mut connections) = Upstream::http2_frames().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let address = kubegate.address.clone();
    let pending = tokio::spawn(async move { get(&address, "/x").await });
    let mut server = connections.next().await;
    let (stream, _) = server.request().await;
    // Each line is a literal without indexing (RFC 7541 section 6.2.2), the length of its value an
    // integer of several bytes (section 5.1).
    let mut block = vec![0x88];
    let value = large_value();
    for n in 0..LINES {
        let name = format!("x-{n:05}");
        block.extend([0, u8::try_from(name.len()).unwrap()]);
        block.extend(name.as_bytes());
        let more = value.len() - 127;
        let more = [more & 127 | 128, more >> 7].map(|b| u8::try_from(b).unwrap());
        block.push(127);
        block.extend(more);
        block.extend(value.as_bytes());
    }
    assert!(block.len() >= 1_000_000);
    server.answer_with(stream, &block, b"ok").await;
    let response = in_time(pending).await.unwrap();
    assert_eq!(status(&response), 200, "{response:.300}");
    assert_eq!(response.matches("\r\nx-0").count(), LINES);
    assert!(response.contains("ok"), "{response:.300}");
    // The connection still works.
    let address = kubegate.address.clone();
    let pending = tokio::spawn(async move { get(&address, "/x").await });
    let (stream, _) = server.request().await;
    server.inform(stream).await;
    server.answer_with(stream, &[0x88], b"ok").await;
    assert_eq!(status(&in_time(pending).await.unwrap()), 200);
    assert_eq!(upstream.connections(), 1);
}
