//! The same over HTTP/2 upstream.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, Collected};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::support::{
    Connection, Frames, Kubegate, Upstream, exchange, get, in_time, status, tls_config,
};

/// What the server was asked, as text, with the body's length behind it.
async fn echo_head(request: Request<Incoming>) -> Response<Frames> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(Collected::to_bytes);
    let text = format!(
        "{:?} {} {}\n{:?}\n{}",
        head.version,
        head.method,
        head.uri,
        head.headers,
        body.map_or_else(|e| e.to_string(), |b| b.len().to_string()),
    );
    Response::new(Frames::of(text))
}

/// A server that hands requests and the senders of their answers' frames to the test.
async fn handed() -> (
    Upstream,
    mpsc::UnboundedReceiver<(Request<Incoming>, mpsc::UnboundedSender<Frame<Bytes>>)>,
) {
    let (hand, requests) = mpsc::unbounded_channel();
    let upstream = Upstream::http2(move |request| {
        let hand = hand.clone();
        async move {
            let (sender, frames) = Frames::channel();
            hand.send((request, sender)).unwrap();
            Response::builder()
                .header("trailer", "x-end")
                .body(frames)
                .unwrap()
        }
    })
    .await;
    (upstream, requests)
}

#[tokio::test]
async fn a_get_arrives_as_the_client_wrote_it() {
    let upstream = Upstream::http2(echo_head).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = exchange(
        &kubegate.address,
        "GET /version//v1/%2F?x=%20 HTTP/1.1\r\nHost: localhost\r\nConnection: close, X-Own\r\n\
         X-Own: 1\r\nX-Remote-User: admin\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nX-A: b\r\n\r\n",
    )
    .await;
    assert_eq!(status(&response), 200, "{response}");
    let line = format!("HTTP/2.0 GET {}/version//v1/%2F?x=%20\n", upstream.url());
    assert!(response.contains(&line), "{response}");
    assert!(
        response.contains("\"x-a\": \"b\"") && response.ends_with("\n0\r\n0\r\n\r\n"),
        "{response}"
    );
    for removed in ["x-own", "x-remote", "keep-alive\":", "upgrade\":", "\"host"] {
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(!body.contains(removed), "{removed}: {response}");
    }
    // Sequential requests and other clients share the connection.
    for _ in 0..10 {
        assert_eq!(status(&get(&kubegate.address, "/").await), 200);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn the_token_goes_over_http_2_and_heads_stay_heads() {
    let upstream = Upstream::http2(async |request: Request<Incoming>| {
        assert_eq!(request.version(), Version::HTTP_2);
        let allowed = request
            .headers()
            .get("authorization")
            .is_some_and(|v| v == "Bearer sesame");
        Response::builder()
            .status(if allowed { 200 } else { 500 })
            .header("x-method", request.method().as_str())
            .body(Frames::of("body"))
            .unwrap()
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = exchange(
        &kubegate.address,
        "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n\
         GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(
        response.matches("HTTP/1.1 200 OK\r\n").count(),
        2,
        "{response}"
    );
    assert_eq!(response.matches("body").count(), 1, "{response}");
    assert!(
        response.contains("x-method: HEAD\r\n") && response.contains("x-method: GET\r\n"),
        "{response}"
    );
}

#[tokio::test]
async fn te_passes_only_where_it_says_trailers_and_nothing_else() {
    let upstream = Upstream::http2(echo_head).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for (lines, passes) in [
        ("TE: trailers\r\n", true),
        // HTTP/2 servers take any other value for a malformed request.
        ("TE: trailers\r\nTE: gzip\r\n", false),
        ("TE: gzip\r\n", false),
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
        let response = exchange(&kubegate.address, head).await;
        assert_eq!(status(&response), 200, "{lines:?}: {response}");
        assert_eq!(response.contains("\"te\""), passes, "{lines:?}: {response}");
    }
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let (upstream, mut requests) = handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    in_time(async {
        client
            .write("POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        let (request, response) = requests.recv().await.unwrap();
        let mut body = request.into_body();
        let one = "one".to_owned();
        let large = "large".repeat(40_000);
        for part in [&one, &large] {
            client
                .write(format!("{:x}\r\n{part}\r\n", part.len()))
                .await;
            let mut arrived = Vec::new();
            while arrived.len() < part.len() {
                let frame = body.frame().await.unwrap().unwrap();
                arrived.extend(frame.into_data().unwrap());
            }
            assert_eq!(arrived, part.as_bytes());
        }
        client.write("0\r\n\r\n").await;
        assert!(body.collect().await.unwrap().to_bytes().is_empty());
        client.head().await.unwrap();
        for part in [&one, &large] {
            response.send(Frame::data(part.clone().into())).unwrap();
            let mut arrived = Vec::new();
            while arrived.len() < part.len() {
                arrived.extend(client.chunk().await.unwrap());
            }
            assert_eq!(arrived, part.as_bytes());
        }
        drop(response);
        assert_eq!(client.chunk().await.unwrap(), b"");
    })
    .await;
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let (upstream, mut requests) = handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    in_time(async {
        client
            .write(
                "POST /x HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nTrailer: x-sum\r\n\
                 Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\
                 X-Remote-User: admin\r\nAuthorization: Bearer mine\r\n\r\n",
            )
            .await;
        let (request, response) = requests.recv().await.unwrap();
        assert_eq!(request.headers()["te"], "trailers");
        let body = request.into_body().collect().await.unwrap();
        let trailers = body.trailers().unwrap();
        assert_eq!(trailers["x-sum"], "7");
        // Not even unannounced, as HTTP/2 would let them pass.
        assert_eq!(trailers.len(), 1, "{trailers:?}");
        response.send(Frame::data("b".into())).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", "8".parse().unwrap());
        response.send(Frame::trailers(trailers)).unwrap();
        drop(response);
        client.head().await.unwrap();
        assert_eq!(client.chunk().await.unwrap(), b"b");
        assert_eq!(client.chunk().await.unwrap(), b"");
        assert_eq!(client.trailers().await.unwrap(), "x-end: 8\r\n\r\n");
    })
    .await;
}

#[tokio::test]
async fn more_watches_than_one_connection_may_carry_all_get_their_first_event() {
    const WATCHES: usize = 250;
    let held = Arc::new(Mutex::new(Vec::new()));
    let upstream = {
        let held = held.clone();
        Upstream::http2(move |_| {
            let held = held.clone();
            async move {
                let (sender, frames) = Frames::channel();
                sender
                    .send(Frame::data("{\"type\":\"ADDED\"}\n".into()))
                    .unwrap();
                held.lock().unwrap().push(sender);
                Response::new(frames)
            }
        })
        .await
    };
    let kubegate = Kubegate::before(&upstream, &[]);
    let watches: Vec<_> = (0..WATCHES)
        .map(|_| {
            let address = kubegate.address.clone();
            tokio::spawn(async move {
                let mut client = Connection::open(&address).await;
                client
                    .write("GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    .await;
                client.head().await.unwrap();
                assert_eq!(client.chunk().await.unwrap(), b"{\"type\":\"ADDED\"}\n");
                client
            })
        })
        .collect();
    let mut clients = Vec::new();
    for watch in watches {
        clients.push(in_time(watch).await.unwrap());
    }
    assert_eq!(held.lock().unwrap().len(), WATCHES);
    let connections = upstream.connections();
    assert!((3..20).contains(&connections), "{connections}");
    // And all get their second one.
    for sender in held.lock().unwrap().drain(..) {
        sender.send(Frame::data("{}\n".into())).unwrap();
    }
    for client in &mut clients {
        assert_eq!(in_time(client.chunk()).await.unwrap(), b"{}\n");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_stream_and_gives_its_place_back() {
    let (upstream, mut requests) = handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    in_time(async {
        // More in all than one connection may carry at once.
        for _ in 0..150 {
            let mut client = Connection::open(&kubegate.address).await;
            client
                .write("GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .await;
            client.head().await.unwrap();
            let (_, response) = requests.recv().await.unwrap();
            drop(client);
            response.closed().await;
        }
    })
    .await;
    assert_eq!(upstream.connections(), 1);
}

/// Counts one less when it is dropped.
struct Cancelled(Arc<AtomicUsize>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_head_cancels_its_stream() {
    let waiting = Arc::new(AtomicUsize::new(0));
    let (seen, mut arrived) = mpsc::unbounded_channel();
    let upstream = {
        let waiting = waiting.clone();
        Upstream::http2(move |_| {
            let (waiting, seen) = (waiting.clone(), seen.clone());
            async move {
                waiting.fetch_add(1, Ordering::SeqCst);
                let _cancelled = Cancelled(waiting);
                seen.send(()).unwrap();
                std::future::pending().await
            }
        })
        .await
    };
    let kubegate = Kubegate::before(&upstream, &[]);
    in_time(async {
        let mut client = Connection::open(&kubegate.address).await;
        client
            .write("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        arrived.recv().await.unwrap();
        assert_eq!(waiting.load(Ordering::SeqCst), 1);
        drop(client);
        while waiting.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn bad_chunks_reset_the_stream_and_are_400() {
    let (upstream, mut requests) = handed_late().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = exchange(
        &kubegate.address,
        "POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!(status(&response), 400, "{response}");
    assert!(in_time(requests.recv()).await.unwrap().is_err());
    // The control, over the same connection.
    let response = exchange(
        &kubegate.address,
        "POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!(status(&response), 200, "{response}");
    assert_eq!(in_time(requests.recv()).await.unwrap().unwrap(), "hello");
    assert_eq!(upstream.connections(), 1);
}

/// A server that reads each body before it answers, and tells how that went.
async fn handed_late() -> (
    Upstream,
    mpsc::UnboundedReceiver<Result<Bytes, hyper::Error>>,
) {
    let (hand, bodies) = mpsc::unbounded_channel();
    let upstream = Upstream::http2(move |request: Request<Incoming>| {
        let hand = hand.clone();
        async move {
            let body = request.into_body().collect().await;
            hand.send(body.map(Collected::to_bytes)).unwrap();
            Response::new(Frames::of("ok"))
        }
    })
    .await;
    (upstream, bodies)
}

#[tokio::test]
async fn a_large_answer_head_passes() {
    let upstream = Upstream::http2(async |_| {
        let mut response = Response::new(Frames::of("ok"));
        for n in 0..200 {
            let cookie = format!("c{n}={}", "v".repeat(300));
            response
                .headers_mut()
                .append("set-cookie", cookie.parse().unwrap());
        }
        response
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = get(&kubegate.address, "/").await;
    assert_eq!(response.matches("set-cookie: ").count(), 200, "{response}");
}

/// Frames of the first stream (RFC 9113 section 6), each with its length and type.
const HEAD: &[u8] = b"\0\0\x01\x01\x04\0\0\0\x01\x88";
const HELLO: &[u8] = b"\0\0\x05\0\0\0\0\0\x01hello";
const END: &[u8] = b"\0\0\0\0\x01\0\0\0\x01";
const RESET_WITHOUT_ERROR: &[u8] = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\0";
const GO_AWAY_WITHOUT_ERROR: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0";

/// Answers the first request by these frames, and ends the connection.
async fn frames(mut server: Connection, response: &[&[u8]]) {
    if server.first_http2_request().await.is_none() {
        return;
    }
    server.write(response.concat()).await;
    server.shutdown().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_without_an_error_is_seen_to_break_off() {
    let responses: [(&[&[u8]], bool); 5] = [
        (&[HEAD, HELLO, END], true),
        (&[HEAD, HELLO, END, GO_AWAY_WITHOUT_ERROR], true),
        (&[HEAD, HELLO, RESET_WITHOUT_ERROR], false),
        (&[HEAD, HELLO, GO_AWAY_WITHOUT_ERROR], false),
        (&[HEAD, HELLO], false),
    ];
    for (i, (response, whole)) in responses.into_iter().enumerate() {
        let upstream = Upstream::with(tls_config("localhost", &[b"h2"]), move |server| {
            frames(server, response)
        })
        .await;
        let kubegate = Kubegate::before(&upstream, &[]);
        let response = get(&kubegate.address, "/").await;
        let ended = response.ends_with("5\r\nhello\r\n0\r\n\r\n");
        assert_eq!(ended, whole, "{i}: {response}");
        // Where all comes at once, the head may fall with the body.
        assert!(
            response.is_empty() || status(&response) == 200,
            "{i}: {response}"
        );
    }
}
