//! Exactly one well-framed request goes upstream, or the client gets a 4xx and a close.

use std::sync::{Arc, Mutex};

use crate::support::{Connection, Kubegate, Message, Upstream, exchange, in_time, status};

/// A kubegate before a server that answers each whole request and then closes.
struct Fixture {
    kubegate: Kubegate,
    upstream: Upstream,
    requests: Arc<Mutex<Vec<Message>>>,
}

impl Fixture {
    async fn start() -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let upstream = Upstream::plain({
            let requests = requests.clone();
            move |mut connection: Connection| {
                let requests = requests.clone();
                async move {
                    if let Some(request) = connection.request().await {
                        requests.lock().unwrap().push(request);
                        connection
                            .write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
                            .await;
                        let more = connection.rest().await;
                        assert_eq!(String::from_utf8_lossy(&more), "");
                    }
                }
            }
        })
        .await;
        Self {
            kubegate: Kubegate::before(&upstream, &[]),
            upstream,
            requests,
        }
    }

    /// Sends `bytes` over a connection of their own. Returns when that was closed from the
    /// other side and all is over upstream: what the client saw, and each whole request that
    /// reached the server.
    async fn send(&self, bytes: impl AsRef<[u8]>) -> (String, Vec<Message>) {
        let response = exchange(&self.kubegate.address, bytes).await;
        (response, self.take().await)
    }

    /// The whole requests that reached the server since the last look, once all is over there.
    async fn take(&self) -> Vec<Message> {
        self.upstream.settled().await;
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// A POST with these header lines and whatever follows them.
    async fn post(&self, rest: &str) -> (String, Vec<Message>) {
        self.send(format!("POST /x HTTP/1.1\r\nHost: localhost\r\n{rest}"))
            .await
    }

    /// Sends what must not reach the server.
    async fn refuses(&self, bytes: impl AsRef<[u8]>) {
        let shown = String::from_utf8_lossy(bytes.as_ref()).into_owned();
        let (response, requests) = self.send(bytes).await;
        assert!(
            response.starts_with("HTTP/1.1 4"),
            "{shown:?}: {response:?}"
        );
        assert_eq!(
            response.matches("HTTP/1.1 ").count(),
            1,
            "{shown:?}: {response}"
        );
        assert!(requests.is_empty(), "{shown:?}: {requests:?}");
    }
}

/// A request that must never be taken for one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn well_framed_bodies_pass_byte_for_byte() {
    let fixture = Fixture::start().await;
    for (rest, body) in [
        ("Connection: close\r\n\r\n", ""),
        ("Connection: close\r\nContent-Length: 0\r\n\r\n", ""),
        (
            "Connection: close\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
        ),
        // RFC 9110 section 8.6: the same length twice may be taken for one.
        (
            "Connection: close\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
        ),
        (
            "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "hello",
        ),
        (
            "Connection: close\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b;c\r\nhel\r\n02\r\nlo\r\n0\r\n\r\n",
            "hello",
        ),
    ] {
        let (response, requests) = fixture.post(rest).await;
        assert_eq!(status(&response), 200, "{rest:?}: {response}");
        assert_eq!(requests.len(), 1, "{rest:?}: {requests:?}");
        assert_eq!(requests[0].body, body.as_bytes(), "{rest:?}");
    }
}

#[tokio::test]
async fn a_chunked_body_passes_with_every_method() {
    let fixture = Fixture::start().await;
    for method in ["GET", "DELETE", "PATCH", "OPTIONS", "SEARCH"] {
        let request = format!(
            "{method} /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        let (response, requests) = fixture.send(request).await;
        assert_eq!(status(&response), 200, "{method}: {response}");
        assert_eq!(requests[0].body, b"hello", "{method}: {requests:?}");
        assert!(requests[0].head.starts_with(method), "{requests:?}");
    }
}

#[tokio::test]
async fn a_length_beside_chunks_never_counts() {
    let fixture = Fixture::start().await;
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nContent-Length: 900",
        "Transfer-Encoding: chunked\r\nContent-Length: +1",
    ] {
        let (response, requests) = fixture
            .post(&format!("{lines}\r\n\r\n0\r\n\r\n{SMUGGLED}"))
            .await;
        // Refused, or read as chunks alone; closed either way, and nothing behind it is read.
        assert_eq!(
            response.matches("HTTP/1.1 ").count(),
            1,
            "{lines:?}: {response}"
        );
        if !response.starts_with("HTTP/1.1 4") {
            assert_eq!(requests.len(), 1, "{lines:?}: {requests:?}");
            assert!(requests[0].body.is_empty(), "{requests:?}");
            assert!(
                !requests[0]
                    .head
                    .to_lowercase()
                    .contains("content-length: 5")
            );
        }
        assert!(
            requests.iter().all(|r| r.head.starts_with("POST /x ")),
            "{requests:?}"
        );
    }
}

#[tokio::test]
async fn odd_codings_and_lengths_are_refused() {
    let fixture = Fixture::start().await;
    let body = "5\r\nhello\r\n0\r\n\r\n";
    for lines in [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5.0",
        "Content-Length: ",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 15\r\nContent-Length:",
    ] {
        fixture
            .refuses(format!(
                "POST /x HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n{body}"
            ))
            .await;
    }
    fixture
        .refuses(format!(
            "POST /x HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ))
        .await;
    let (response, requests) = fixture
        .post(&format!(
            "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ))
        .await;
    assert_eq!((status(&response), requests.len()), (200, 1), "{response}");
}

#[tokio::test]
async fn bad_chunks_are_400_and_the_request_never_becomes_whole_upstream() {
    let fixture = Fixture::start().await;
    for chunks in [
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "xyz\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX",
        "5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        "5\r\nhello\r\n5\r\nwor",
    ] {
        let request = format!(
            "POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        );
        // An end of the client's bytes tells a body that was cut from one still to come.
        let mut client = Connection::open(&fixture.kubegate.address).await;
        client.write(&request).await;
        if chunks.ends_with('X') || chunks.ends_with("wor") {
            drop(client);
            assert!(fixture.take().await.is_empty(), "{chunks:?}");
            continue;
        }
        let response = in_time(client.rest()).await;
        let response = String::from_utf8_lossy(&response);
        assert!(
            response.starts_with("HTTP/1.1 400 "),
            "{chunks:?}: {response:?}"
        );
        assert_eq!(
            response.matches("HTTP/1.1 ").count(),
            1,
            "{chunks:?}: {response}"
        );
        let requests = fixture.take().await;
        assert!(requests.is_empty(), "{chunks:?}: {requests:?}");
    }
}

#[tokio::test]
async fn a_body_that_ends_early_never_becomes_whole_upstream() {
    let fixture = Fixture::start().await;
    for rest in [
        "Content-Length: 10\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "Transfer-Encoding: chunked\r\n\r\na\r\nhello",
    ] {
        let mut client = Connection::open(&fixture.kubegate.address).await;
        client
            .write(format!("POST /x HTTP/1.1\r\nHost: localhost\r\n{rest}"))
            .await;
        client.shutdown().await;
        let response = in_time(client.rest()).await;
        let response = String::from_utf8_lossy(&response);
        assert!(
            response.is_empty() || response.starts_with("HTTP/1.1 400 "),
            "{rest:?}: {response}"
        );
        let requests = fixture.take().await;
        assert!(requests.is_empty(), "{rest:?}: {requests:?}");
    }
}

#[tokio::test]
async fn malformed_heads_are_refused() {
    let fixture = Fixture::start().await;
    for head in [
        // Folded lines, in all places.
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n\tb\r\n\r\n",
        "GET / HTTP/1.1\r\n X: a\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n \r\n\r\n",
        // Line ends that are none, and NUL.
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rY: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX\x00: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n\rX: a\r\n\r\n",
        "GET /a\x00b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /a\rb HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\rHost: localhost\r\n\r\n",
        // Names.
        "GET / HTTP/1.1\r\nHost: localhost\r\nX : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length : 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX(Y): a\r\n\r\n",
        // Hosts.
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        // Request lines.
        "GET /\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1 x\r\nHost: localhost\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "G(T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03 a TLS hello\r\n\r\n",
        // Targets that are no path.
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET localhost:8001 HTTP/1.1\r\nHost: localhost:8001\r\nConnection: close\r\n\r\n",
        "GET ftp://localhost/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET http://user@localhost/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        // Methods that are never served.
        "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n",
        "CONNECT / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT /api HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        fixture.refuses(head).await;
    }
    let (response, requests) = fixture
        .send("GET http://localhost:8001/api?x HTTP/1.1\r\nHost: localhost:8001\r\nX: a\tb \r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!((status(&response), requests.len()), (200, 1), "{response}");
    assert!(
        requests[0].head.starts_with("GET /api?x HTTP/1.1\r\n"),
        "{requests:?}"
    );
    assert!(requests[0].head.contains("x: a\tb\r\n"), "{requests:?}");
    let (response, requests) = fixture
        .send("GET http://localhost?q=a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!((status(&response), requests.len()), (200, 1), "{response}");
    assert!(
        requests[0].head.starts_with("GET /?q=a HTTP/1.1\r\n"),
        "{requests:?}"
    );
}

#[tokio::test]
async fn bare_line_feeds_are_refused_or_become_line_ends_once_and_for_all() {
    let fixture = Fixture::start().await;
    let length = SMUGGLED.len();
    for head in [
        "GET /x HTTP/1.1\nHost: localhost\nConnection: close\n\n".to_owned(),
        "GET /x HTTP/1.1\r\nHost: localhost\nConnection: close\r\n\r\n".to_owned(),
        "POST /x HTTP/1.1\r\nHost: localhost\r\nX: a\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n".to_owned(),
        format!("POST /x HTTP/1.1\r\nHost: localhost\r\nX: a\nContent-Length: {length}\nConnection: close\r\n\r\n{SMUGGLED}"),
    ] {
        let (response, requests) = fixture.send(&head).await;
        assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{head:?}: {response}");
        assert!(
            response.starts_with("HTTP/1.1 4") == requests.is_empty(),
            "{head:?}: {response}"
        );
        for request in requests {
            let lines = request.head.replace("\r\n", "");
            assert!(!lines.contains(['\n', '\r']), "{head:?}: {request:?}");
            assert!(
                request.head.contains(" /x HTTP/1.1"),
                "{head:?}: {request:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_raw_hash_never_cuts_off_the_rest_of_a_target() {
    let fixture = Fixture::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    for (line, sent) in [
        // The controls: what a target that is cut off at the # would ask for.
        (format!("DELETE {maps}/"), format!("DELETE {maps}/")),
        (format!("DELETE {maps}/a"), format!("DELETE {maps}/a")),
        (format!("DELETE {maps}/#a"), format!("DELETE {maps}/%23a")),
        (format!("DELETE {maps}/a#b"), format!("DELETE {maps}/a%23b")),
        (format!("DELETE {maps}#"), format!("DELETE {maps}%23")),
        (
            format!("DELETE http://localhost{maps}/#a"),
            format!("DELETE {maps}/%23a"),
        ),
        (
            format!("DELETE {maps}?labelSelector=a&x=#&dryRun=All"),
            format!("DELETE {maps}?labelSelector=a&x=%23&dryRun=All"),
        ),
        (
            "GET /api/v1/pods?x=a#b".into(),
            "GET /api/v1/pods?x=a%23b".into(),
        ),
        ("GET http://localhost?x=a#b".into(), "GET /?x=a%23b".into()),
        ("GET /#".into(), "GET /%23".into()),
        ("GET /#?#".into(), "GET /%23?%23".into()),
        ("GET http://localhost".into(), "GET /".into()),
    ] {
        let (response, requests) = fixture
            .send(format!(
                "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(
            (status(&response), requests.len()),
            (200, 1),
            "{line}: {response}"
        );
        let sent = format!("{sent} HTTP/1.1\r\n");
        assert!(requests[0].head.starts_with(&sent), "{line}: {requests:?}");
    }
    for target in [
        "#",
        "#/a",
        "*#",
        "http://localhost#",
        "http://localhost#a",
        "http://localhost#/a",
        "http://localhost:80#/a",
    ] {
        let (response, requests) = fixture
            .send(format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(status(&response), 400, "{target}: {response}");
        assert!(
            response.contains("# before its path"),
            "{target}: {response}"
        );
        assert!(requests.is_empty(), "{target}: {requests:?}");
    }
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &["--api-prefix=/k8s/"]);
    let response = exchange(
        &kubegate.address,
        format!("DELETE /k8s{maps}/#a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    )
    .await;
    assert!(
        response.contains(&format!("DELETE {maps}/%23a HTTP/1.1")),
        "{response}"
    );
}

#[tokio::test]
async fn a_raw_hash_behind_an_unanswered_request_is_400() {
    let fixture = Fixture::start().await;
    let raw = "DELETE /api/v1/namespaces/default/configmaps/#a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let post = |rest: &str| format!("POST /x HTTP/1.1\r\nHost: localhost\r\n{rest}");
    for first in [
        SMUGGLED.to_owned(),
        post("Content-Length: 5\r\n\r\nhello"),
        post("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let bytes = format!("{first}{raw}");
        // In one piece, and cut within the second request's line before and behind the #.
        for cut in [
            bytes.len(),
            first.len() + 10,
            first.len() + 46,
            first.len() + 60,
        ] {
            let mut client = Connection::open(&fixture.kubegate.address).await;
            client.write(&bytes[..cut]).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            client.write(&bytes[cut..]).await;
            let response = in_time(client.rest()).await;
            let response = String::from_utf8_lossy(&response);
            // Behind a chunked body, whose end is not known, part of a head ends the connection.
            let closes = first.contains("chunked") && cut < bytes.len();
            let refused = response.contains("HTTP/1.1 400 ");
            assert!(refused || closes, "{cut}: {response}");
            assert!(response.starts_with("HTTP/1.1 200 "), "{cut}: {response}");
            let requests = fixture.take().await;
            assert_eq!(requests.len(), 1, "{cut}: {requests:?}");
            assert!(!requests[0].head.starts_with("DELETE"), "{requests:?}");
        }
    }
    // The control: a line of a body that is no request line, however its end arrives.
    let harmless = post("Transfer-Encoding: chunked\r\n\r\n11\r\n\n# see HTTP/1.1.\n\r\n0\r\n\r\n");
    let second = "GET /y HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for cut in [harmless.len() - 2, harmless.len() + second.len()] {
        let bytes = format!("{harmless}{second}");
        let mut client = Connection::open(&fixture.kubegate.address).await;
        client.write(&bytes[..cut]).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        client.write(&bytes[cut..]).await;
        let response = in_time(client.rest()).await;
        let response = String::from_utf8_lossy(&response);
        let served = response.matches("HTTP/1.1 200 ").count();
        assert_eq!(
            (served, fixture.take().await.len()),
            (2, 2),
            "{cut}: {response}"
        );
    }
    // The control: a # elsewhere does no harm to requests that wait.
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    for _ in 0..2 {
        for rest in [
            "X: #\r\nContent-Length: 5\r\n\r\n#####",
            "Transfer-Encoding: chunked\r\n\r\n5\r\n#####\r\n0\r\n\r\n",
        ] {
            client.write(post(rest)).await;
            let response = in_time(client.response()).await.unwrap();
            assert_eq!(status(&response.head), 200, "{response:?}");
        }
    }
}

#[tokio::test]
async fn what_is_raw_in_a_target_is_encoded_and_nothing_else() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    let cases: [(&[u8], &str); 8] = [
        (
            br#"/api/v1/query?query=up{job="a"}>0"#,
            "/api/v1/query?query=up{job=%22a%22}%3E0",
        ),
        (
            b"/api/v1/pods?labelSelector=rank>5",
            "/api/v1/pods?labelSelector=rank%3E5",
        ),
        (b"/a<b>`c", "/a%3Cb%3E%60c"),
        (b"/caf\xe9?\xff\xc3\xa9", "/caf%E9?%FF\u{e9}"),
        ("/caf\u{e9}?\u{e9}".as_bytes(), "/caf\u{e9}?\u{e9}"),
        (b"/p\"{}^|[]~'%2f", "/p\"{}^|[]~'%2f"),
        (b"/?\\^`{|}[]'%22&a=1;b,c", "/?\\^`{|}[]'%22&a=1;b,c"),
        (b"//x/./y?/../", "//x/./y?/../"),
    ];
    let field = r#"GET /<">` HTTP/1.1"#;
    for (raw, sent) in cases {
        // One connection for all, in one piece or two, with and without bodies before.
        for (method, body) in [
            ("GET", ""),
            ("POST", "GET /< HTTP/1.1\r\n\r\n"),
            ("DELETE", "x"),
        ] {
            let mut bytes = [
                method.as_bytes(),
                b" ",
                raw,
                b" HTTP/1.1\r\nHost: localhost\r\n",
            ]
            .concat();
            bytes.extend(format!("X-Raw: {field}\r\n").into_bytes());
            if !body.is_empty() {
                bytes.extend(format!("Content-Length: {}\r\n", body.len()).into_bytes());
            }
            bytes.extend(format!("\r\n{body}").into_bytes());
            for cut in [bytes.len(), method.len() + 4] {
                client.write(&bytes[..cut]).await;
                if cut < bytes.len() {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    client.write(&bytes[cut..]).await;
                }
                let response = in_time(client.response()).await.unwrap();
                let shown = String::from_utf8_lossy(raw).into_owned();
                assert_eq!(status(&response.head), 200, "{shown}: {response:?}");
                let echo = String::from_utf8_lossy(&response.body).into_owned();
                let line = format!("{method} {sent} HTTP/1.1\r\n");
                assert!(echo.starts_with(&line), "{shown}: {echo}");
                assert!(
                    echo.contains(&format!("x-raw: {field}\r\n")),
                    "{shown}: {echo}"
                );
                assert!(
                    echo.ends_with(&format!("\r\n\r\n{body}")),
                    "{shown}: {echo}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_guard_judges_a_raw_target_as_it_is_sent() {
    let fixture = Fixture::start().await;
    for (target, code) in [
        (&b"/api/v1/namespaces/x/pods/p/exec?command=<"[..], 403),
        (b"/api/v1/namespaces/x/pods/p/exec?command=#", 403),
        (b"/api/v1/namespaces/x/pods/p#/exec", 403),
        (b"/x#/../exec", 400),
        (b"/a\\b", 400),
        (b"/a\xc0\xafb", 400),
        (b"/a<b>/../c", 400),
        (b"/a b<", 400),
        (b"/a\tb<", 400),
        (b"/a<\x7f", 400),
        (b"/a<\x00", 400),
    ] {
        let request = [
            b"GET ",
            target,
            b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        ];
        let (response, requests) = fixture.send(request.concat()).await;
        assert_eq!(status(&response), code, "{target:?}: {response}");
        assert!(requests.is_empty(), "{requests:?}");
    }
    // Behind a request that did not wait for its answer a raw line is not known for one.
    let (response, requests) = fixture
        .send(format!(
            "{SMUGGLED}GET /< HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ))
        .await;
    assert_eq!(response.matches("HTTP/1.1 ").count(), 2, "{response}");
    assert!(response.contains("HTTP/1.1 400 "), "{response}");
    assert_eq!(requests.len(), 1, "{requests:?}");
}

#[tokio::test]
async fn a_request_hidden_in_a_body_stays_a_body() {
    let fixture = Fixture::start().await;
    let length = SMUGGLED.len();
    for rest in [
        format!("Connection: close\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"),
        format!(
            "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{SMUGGLED}\r\n0\r\n\r\n"
        ),
        // Refused before its body was read.
        format!("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        format!("X: y\r\nHost: two\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"),
        format!("Origin: null\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"),
    ] {
        let (response, requests) = fixture.post(&rest).await;
        assert_eq!(
            response.matches("HTTP/1.1 ").count(),
            1,
            "{rest:?}: {response}"
        );
        assert!(requests.len() <= 1, "{rest:?}: {requests:?}");
        if let [request] = &requests[..] {
            assert_eq!(request.body, SMUGGLED.as_bytes(), "{rest:?}");
        } else {
            assert!(response.starts_with("HTTP/1.1 4"), "{rest:?}: {response}");
        }
    }
    // The control: behind a whole body it is a request.
    let (response, requests) = fixture
        .post(&format!(
            "Content-Length: 5\r\n\r\nhello{}",
            SMUGGLED.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
        ))
        .await;
    assert_eq!(response.matches("HTTP/1.1 200").count(), 2, "{response}");
    assert!(
        requests[1].head.starts_with("GET /smuggled "),
        "{requests:?}"
    );
}

#[tokio::test]
async fn a_refused_body_is_not_read_as_the_next_request() {
    let fixture = Fixture::start().await;
    // A 403 keeps the connection; its body must be gone when the next request is read.
    let length = SMUGGLED.len();
    let refused = format!(
        "POST /x HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"
    );
    let next = "GET /next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let (response, requests) = fixture.send(format!("{refused}{next}")).await;
    assert_eq!(status(&response), 403, "{response}");
    assert!(
        requests.iter().all(|r| r.head.starts_with("GET /next ")),
        "{requests:?}"
    );
    assert_eq!(
        response.matches("HTTP/1.1 200").count(),
        requests.len(),
        "{response}"
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let get = |n: u32, more: &str| format!("GET /{n} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
    let mut bytes = get(1, "");
    bytes += "POST /2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    // One that is answered here, between others that go upstream.
    bytes += &get(3, "Origin: null\r\n");
    bytes += "POST /4 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    bytes += &get(5, "Connection: close\r\n");
    let response = exchange(&kubegate.address, bytes).await;
    let places: Vec<_> = [
        "GET /1 ",
        "POST /2 ",
        "403 Forbidden",
        "POST /4 ",
        "GET /5 ",
    ]
    .map(|mark| response.find(mark))
    .into();
    assert!(places.is_sorted() && places[0].is_some(), "{response}");
    assert!(response.contains("\r\n\r\nhello"), "{response}");
    assert!(response.contains("\r\n\r\nabc"), "{response}");
    assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 4, "{response}");
}

#[tokio::test]
async fn http_1_0_is_served_and_closed() {
    let fixture = Fixture::start().await;
    let (response, requests) = fixture
        .send("POST /x HTTP/1.0\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
        .await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(
        requests[0].head.starts_with("POST /x HTTP/1.1\r\n"),
        "{requests:?}"
    );
    assert_eq!(requests[0].body, b"hello");
}

#[tokio::test]
async fn a_client_that_speaks_http_2_at_once_reaches_nothing() {
    let fixture = Fixture::start().await;
    let (response, requests) = fixture.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    // A 4xx in HTTP/1.1 would be noise to it: its preface is made so that others close.
    assert!(
        response.is_empty() || response.starts_with("HTTP/1.1 4"),
        "{response}"
    );
    assert!(requests.is_empty());
}
