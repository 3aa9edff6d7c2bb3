//! A frozen or unreachable server is distinguished from a slow one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, Request, Response};
use http_body::Frame;
use hyper::body::Incoming;

use crate::support::{
    Connection, Frames, Kubegate, Relay, Upstream, exchange, get, in_time, status,
};

const WATCH: &str = "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Liveness is probed much sooner than by default.
const QUICK_PROBES: &[&str] = &[
    "--upstream-ping-after",
    "200ms",
    "--upstream-ping-timeout",
    "500ms",
    "--upstream-silence-timeout",
    "1s",
];

/// What a busy machine and a build without optimization may add to a time limit.
const SLACK: Duration = Duration::from_secs(2);

/// Answers `/slow` after five seconds, a watch with one event and no end, and the rest at once.
/// Counts POSTs.
async fn http2(posts: Arc<AtomicUsize>) -> Upstream {
    Upstream::http2(move |request: Request<Incoming>| {
        let posts = posts.clone();
        async move {
            if request.method() == Method::POST {
                posts.fetch_add(1, Ordering::SeqCst);
            }
            if request.uri().path() == "/slow" {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            if request.uri().query() != Some("watch=1") {
                return Response::new(Frames::of("ok"));
            }
            let (sender, frames) = Frames::channel();
            sender.send(Frame::data("{}\n".into())).unwrap();
            tokio::spawn(async move { sender.closed().await });
            Response::new(frames)
        }
    })
    .await
}

/// The same over HTTP/1.1.
async fn http1() -> Upstream {
    Upstream::tls("localhost", async |mut server: Connection| {
        while let Some(request) = server.request().await {
            if request.head.contains("/slow") {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            if request.head.contains("watch=1") {
                server
                    .write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n")
                    .await;
                server.rest().await;
                return;
            }
            server.answer("ok").await;
        }
    })
    .await
}

async fn servers() -> [Upstream; 2] {
    [http2(Arc::default()).await, http1().await]
}

async fn watch(address: &str) -> Connection {
    let mut client = Connection::open(address).await;
    client.write(WATCH).await;
    in_time(client.head()).await.unwrap();
    assert_eq!(in_time(client.chunk()).await.unwrap(), b"{}\n");
    client
}

#[tokio::test]
async fn a_frozen_server_is_detected_within_five_seconds_and_found_again() {
    for upstream in servers().await {
        let relay = Relay::before(upstream.port()).await;
        let kubegate = Kubegate::before_url(&relay.url(), &[]);
        for _ in 0..4 {
            assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
        }
        relay.freeze();
        let started = Instant::now();
        let asking: Vec<_> = ["/version", "/api/v1/pods"]
            .map(|path| {
                let address = kubegate.address.clone();
                tokio::spawn(async move { get(&address, path).await })
            })
            .into_iter()
            .collect();
        for pending in asking {
            let response = in_time(pending).await.unwrap();
            assert_eq!(status(&response), 504, "{response}");
        }
        assert!(
            started.elapsed() < Duration::from_secs(5) + SLACK,
            "{:?}",
            started.elapsed()
        );
        relay.thaw();
        in_time(async {
            while status(&get(&kubegate.address, "/version").await) != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_watch_from_a_frozen_server_breaks_within_fifteen_seconds() {
    for upstream in servers().await {
        let relay = Relay::before(upstream.port()).await;
        let kubegate = Kubegate::before_url(&relay.url(), &[]);
        let mut client = watch(&kubegate.address).await;
        relay.freeze();
        let started = Instant::now();
        assert_eq!(in_time(client.chunk()).await, None);
        let took = started.elapsed();
        assert!(took >= Duration::from_secs(5), "{took:?}");
        assert!(took < Duration::from_secs(15) + SLACK, "{took:?}");
    }
}

#[tokio::test]
async fn a_slow_server_that_is_alive_is_never_aborted() {
    for upstream in servers().await {
        let kubegate = Kubegate::before(&upstream, QUICK_PROBES);
        let mut client = watch(&kubegate.address).await;
        let started = Instant::now();
        let slow = get(&kubegate.address, "/slow").await;
        assert_eq!(status(&slow), 200, "{slow}");
        assert!(started.elapsed() >= Duration::from_secs(5));
        // The watch received nothing all the time, and is still open.
        let more = tokio::time::timeout(Duration::from_secs(2), client.chunk()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

#[tokio::test]
async fn a_post_is_not_sent_twice_to_a_frozen_server() {
    let posts = Arc::new(AtomicUsize::new(0));
    let upstream = http2(posts.clone()).await;
    let relay = Relay::before(upstream.port()).await;
    let kubegate = Kubegate::before_url(&relay.url(), QUICK_PROBES);
    // There is an open connection, on which the POST is sent at once.
    for _ in 0..20 {
        assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
    }
    relay.freeze();
    let post =
        "POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let response = exchange(&kubegate.address, post).await;
    assert_eq!(status(&response), 504, "{response}");
    assert!(
        response.contains("did not answer liveness probes"),
        "{response}"
    );
    relay.thaw();
    in_time(async {
        while status(&get(&kubegate.address, "/version").await) != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    // The request that was under way arrives when the server continues, and nothing after it.
    in_time(async {
        while posts.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // Longer than another detection of a silent server takes.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(posts.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_with_a_slow_handshake_counts_as_alive() {
    let upstream = http1().await;
    let relay = Relay::far_before(upstream.port(), Duration::from_secs(2)).await;
    let kubegate = Kubegate::before_url(&relay.url(), &[]);
    assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
    let slow = "POST /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Length: 0\r\n\r\n";
    let response = exchange(&kubegate.address, slow).await;
    assert_eq!(status(&response), 200, "{response}");
}
