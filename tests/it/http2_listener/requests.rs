//! What holds of requests over HTTP/1.1 holds over HTTP/2 too.

use crate::support::{
    Connection, Kubegate, Upstream,
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM},
    in_time,
    raw_http2::{OK, RawHttp2, block, frame, get},
};

use super::{before, start};

/// Sends a head and waits for the whole response: the first byte of its head, and its body.
async fn answer(client: &mut RawHttp2, stream: u32, head: &[u8]) -> (u8, String) {
    client
        .send(frame(HEADERS, END_HEADERS | END_STREAM, stream, head))
        .await;
    let (mut status, mut body) = (None, Vec::new());
    loop {
        let frame = client.next().await.expect("the connection has ended");
        if frame.stream != stream {
            continue;
        }
        match frame.kind {
            HEADERS if status.is_none() => status = frame.payload.first().copied(),
            DATA => body.extend(frame.payload),
            _ => {}
        }
        if frame.kind == RST_STREAM || frame.flags & END_STREAM != 0 {
            return (
                status.unwrap_or(0),
                String::from_utf8_lossy(&body).into_owned(),
            );
        }
    }
}

/// `:status: 400`
const BAD_REQUEST: u8 = 0x8c;

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_is_judged_as_the_host() {
    let (upstream, kubegate) = start(&[]).await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    let head = |authority: Option<&'static str>, host: Option<&'static str>| {
        let mut fields = vec![(":method", "GET"), (":scheme", "https"), (":path", "/x")];
        fields.extend(authority.map(|authority| (":authority", authority)));
        fields.extend(host.map(|host| ("host", host)));
        block(&fields)
    };
    for (number, (authority, host, expected)) in (1..).step_by(2).zip([
        (Some("localhost"), None, ""),
        (Some("localhost:8001"), None, ""),
        (None, Some("localhost"), ""),
        (Some("localhost:8001"), Some("localhost:8001"), ""),
        (Some("LOCALHOST"), Some("localhost"), ""),
        (Some("localhost"), Some("127.0.0.1"), "different hosts"),
        (Some("127.0.0.1"), Some("localhost"), "different hosts"),
        (Some("localhost:1"), Some("localhost:2"), "different hosts"),
        (None, None, "exactly one Host"),
        (Some("attacker.example"), None, "is not accepted"),
        (
            Some("attacker.example"),
            Some("localhost"),
            "different hosts",
        ),
        (Some("user@localhost"), None, "Host header"),
    ]) {
        let case = format!("{authority:?} {host:?}");
        let before = upstream.connections();
        let (status, body) = answer(&mut client, number, &head(authority, host)).await;
        if expected.is_empty() {
            assert_eq!(status, OK, "{case} {body}");
        } else {
            assert!(body.contains(expected), "{case} {body}");
            assert_eq!(upstream.connections(), before, "{case}");
        }
        if expected == "different hosts" {
            assert_eq!(status, BAD_REQUEST, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_judges_as_over_http_1() {
    let (upstream, kubegate) = start(&["--read-only"]).await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    let foreign = get("/x", &[("origin", "https://attacker.example")]);
    let site = get("/x", &[("sec-fetch-site", "cross-site")]);
    let exec = get("/api/v1/namespaces/a/pods/b/exec?command=sh", &[]);
    let method = |method| {
        block(&[
            (":method", method),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", "/api/v1/namespaces"),
        ])
    };
    let connect = block(&[(":method", "CONNECT"), (":authority", "localhost:443")]);
    for (number, (head, words)) in (1..).step_by(2).zip([
        (foreign, "--allow-origin"),
        (site, "Sec-Fetch-Site"),
        (exec, "--read-only"),
        (method("DELETE"), "--read-only"),
        (method("TRACE"), "never served"),
        (connect, "never served"),
    ]) {
        let (_, body) = answer(&mut client, number, &head).await;
        assert!(body.contains(words), "{words}: {body}");
    }
    assert_eq!(upstream.connections(), 0);
    let own = get(
        "/x",
        &[
            ("origin", "https://localhost"),
            ("sec-fetch-site", "same-origin"),
        ],
    );
    let (status, body) = answer(&mut client, 21, &own).await;
    assert_eq!(status, OK, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_headers_are_set_and_identities_removed() {
    let (_upstream, kubegate) = start(&[]).await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    let claimed = [
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-remote-user", "admin"),
        ("te", "trailers"),
    ];
    let (status, body) = answer(&mut client, 1, &get("/x?a=b", &claimed)).await;
    assert_eq!(status, OK);
    let lower = body.to_lowercase();
    assert!(lower.starts_with("get /x?a=b http/1.1\r\n"), "{body}");
    for line in [
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-proto: https\r\n",
    ] {
        assert!(lower.contains(line), "{line}: {body}");
    }
    for word in ["10.0.0.1", "x-remote-user"] {
        assert!(!lower.contains(word), "{word}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_have_the_same_limit() {
    let (_upstream, kubegate) = start(&[]).await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    let send = async |client: &mut RawHttp2, stream, length: usize| {
        let value = "x".repeat(length);
        let head = get("/x", &[("x-large", &value)]);
        let mut parts = head.chunks(16 * 1024).peekable();
        let (mut kind, mut flags) = (HEADERS, END_STREAM);
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                flags |= END_HEADERS;
            }
            client.send(frame(kind, flags, stream, part)).await;
            (kind, flags) = (crate::support::raw_http2::CONTINUATION, 0);
        }
        client.status_byte(stream).await
    };
    assert_eq!(send(&mut client, 1, 60 * 1024).await, OK);
    // A literal: 431 is not in the static table.
    assert_ne!(send(&mut client, 3, 70 * 1024).await, OK);
    assert!(client.serves(5).await);
}

/// Responses of a server that would be framed in two ways are refused, and connection headers go.
#[tokio::test(flavor = "multi_thread")]
async fn responses_are_framed_anew() {
    let upstream = Upstream::plain(|mut connection: Connection| async move {
        while let Some(request) = connection.request().await {
            let head = match request.head.split(' ').nth(1).unwrap() {
                "/twice" => "Content-Length: 2\r\nContent-Length: 3",
                "/coded" => "Transfer-Encoding: gzip, chunked",
                _ => {
                    "Content-Length: 2\r\nConnection: X-Hop\r\nX-Hop: hop\r\nKeep-Alive: timeout=5"
                }
            };
            connection
                .write(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nok"))
                .await;
        }
    })
    .await;
    let kubegate = before(&upstream, &[]);
    let mut client = RawHttp2::open(&kubegate.address).await;
    let (status, body) = answer(&mut client, 1, &get("/x", &[])).await;
    assert_eq!((status, body.as_str()), (OK, "ok"));
    for (stream, path) in [(3, "/twice"), (5, "/coded")] {
        let (status, body) = answer(&mut client, stream, &get(path, &[])).await;
        assert_ne!(status, OK, "{path} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_go_over_http_1_in_tls() {
    let upstream = Upstream::plain(|mut connection: Connection| async move {
        let request = connection.request().await.unwrap();
        let lower = request.head.to_lowercase();
        let protocol = if lower.contains("upgrade: websocket") { "websocket" } else { "SPDY/3.1" };
        connection
            .write(format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\nhello"
            ))
            .await;
        while let Some(ping) = connection.exactly(4).await {
            connection.write(ping).await;
        }
    })
    .await;
    let kubegate: Kubegate = before(&upstream, &["--allow-exec"]);
    for lines in [
        "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13",
        "Upgrade: SPDY/3.1",
    ] {
        let mut client = Connection::open(&kubegate.address).await;
        client
            .write(format!(
                "GET /api/v1/namespaces/a/pods/b/exec?command=sh HTTP/1.1\r\nHost: localhost\r\n\
                 Connection: Upgrade\r\n{lines}\r\n\r\n"
            ))
            .await;
        let head = in_time(client.head()).await.unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(in_time(client.exactly(5)).await.unwrap(), b"hello");
        for ping in [b"ping", b"pong"] {
            client.write(ping).await;
            assert_eq!(in_time(client.exactly(4)).await.unwrap(), ping);
        }
    }
}
