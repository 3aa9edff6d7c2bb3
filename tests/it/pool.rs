//! How many connections to the API server are open, and which requests use which.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use kubegate::serve::worker_count;
use tokio::sync::{Semaphore, mpsc};

use crate::support::{
    Connection, Frames, Kubegate, Relay, Upstream, get, in_time, status, tls_config,
};

const WATCH: &str = "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";

type Senders = Arc<Mutex<Vec<mpsc::UnboundedSender<Frame<bytes::Bytes>>>>>;

/// Answers a watch with one event and leaves it open, and anything else with its HTTP version.
fn respond(request: &Request<Incoming>, watches: &Senders) -> Response<Frames> {
    if request.uri().query() != Some("watch=1") {
        return Response::new(Frames::of(format!("{:?}", request.version())));
    }
    let (sender, frames) = Frames::channel();
    sender.send(Frame::data("{}\n".into())).unwrap();
    watches.lock().unwrap().push(sender);
    Response::new(frames)
}

async fn watched() -> (Upstream, Senders) {
    let watches = Senders::default();
    let held = watches.clone();
    let upstream = Upstream::http2(move |request| {
        let response = respond(&request, &held);
        async { response }
    });
    (upstream.await, watches)
}

async fn watch(address: &str) -> Connection {
    let mut client = Connection::open(address).await;
    client.write(WATCH).await;
    client.head().await.unwrap();
    assert_eq!(client.chunk().await.unwrap(), b"{}\n");
    client
}

#[tokio::test]
async fn watches_that_fill_their_connections_delay_no_get() {
    let (upstream, _watches) = watched().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut clients = Vec::new();
    // As many as one connection allows, for each worker.
    for _ in 0..100 * worker_count() {
        clients.push(in_time(watch(&kubegate.address)).await);
    }
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
    }
    assert!(started.elapsed() < Duration::from_secs(2));
    // One more watch gets a stream too.
    clients.push(in_time(watch(&kubegate.address)).await);
}

#[tokio::test]
async fn unused_connections_are_closed_and_those_with_a_watch_are_not() {
    let (upstream, watches) = watched().await;
    let kubegate = Kubegate::before(&upstream, &["--upstream-idle-timeout", "1s"]);
    assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
    upstream.settled().await;
    let mut client = in_time(watch(&kubegate.address)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    watches.lock().unwrap()[0]
        .send(Frame::data("{}\n".into()))
        .unwrap();
    assert_eq!(in_time(client.chunk()).await.unwrap(), b"{}\n");
    drop(client);
    upstream.settled().await;
    // The next request opens a new one.
    assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
}

#[tokio::test]
async fn an_old_connection_takes_no_new_requests_and_finishes_its_own() {
    let (upstream, watches) = watched().await;
    let kubegate = Kubegate::before(&upstream, &["--upstream-max-age", "1s"]);
    let mut client = in_time(watch(&kubegate.address)).await;
    assert_eq!(upstream.connections(), 1);
    in_time(async {
        // The connection of each worker ages and is replaced.
        while upstream.connections() < 8 {
            assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    watches.lock().unwrap()[0]
        .send(Frame::data("{}\n".into()))
        .unwrap();
    assert_eq!(in_time(client.chunk()).await.unwrap(), b"{}\n");
}

/// Speaks the protocol that the client chose. Requests over HTTP/1.1 are counted, and each is
/// answered when it gets a permit.
async fn both(http1: Arc<AtomicUsize>, permits: Arc<Semaphore>) -> Upstream {
    let config = tls_config("localhost", &[b"h2", b"http/1.1"]);
    Upstream::with(config, move |mut connection: Connection| {
        let (http1, permits) = (http1.clone(), permits.clone());
        async move {
            let handshake = connection.handshake.as_ref().unwrap();
            if handshake.alpn.as_deref() == Some("h2") {
                let answered = |request: Request<Incoming>| async move {
                    Response::new(Frames::of(format!("{:?}", request.version())))
                };
                return connection.serve_http2(answered).await;
            }
            while connection.request().await.is_some() {
                http1.fetch_add(1, Ordering::SeqCst);
                let _permit = permits.acquire().await.unwrap();
                connection.answer("HTTP/1.1").await;
            }
        }
    })
    .await
}

fn open() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

#[tokio::test]
async fn lists_use_http_1_and_other_requests_http_2() {
    let upstream = both(Arc::default(), open()).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for (path, version) in [
        ("/api/v1/pods", "HTTP/1.1"),
        ("/api/v1/namespaces/x/pods/p/log", "HTTP/1.1"),
        ("/api/v1/namespaces/x/pods/p", "HTTP/2.0"),
        ("/version", "HTTP/2.0"),
    ] {
        let response = get(&kubegate.address, path).await;
        assert_eq!(status(&response), 200, "{response}");
        assert!(
            response.contains(&format!("\r\n\r\n{version}"))
                || response.contains(&format!("\r\n{version}\r\n")),
            "{path}: {response}"
        );
    }
}

#[tokio::test]
async fn six_hundred_lists_open_no_more_than_the_limit_of_connections() {
    let (http1, permits) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let upstream = both(http1.clone(), permits.clone()).await;
    // The server counts as alive, however busy this machine is.
    let kubegate = Kubegate::before(&upstream, &["--upstream-ping-after", "60s"]);
    let answered = Arc::new(AtomicUsize::new(0));
    let lists: Vec<_> = (0..600)
        .map(|_| {
            let (address, answered) = (kubegate.address.clone(), answered.clone());
            tokio::spawn(async move {
                let response = get(&address, "/api/v1/pods").await;
                answered.fetch_add(1, Ordering::SeqCst);
                status(&response)
            })
        })
        .collect();
    // While the waiting requests use all HTTP/1.1 connections, the others use HTTP/2.
    in_time(async {
        while answered.load(Ordering::SeqCst) + http1.load(Ordering::SeqCst) < lists.len() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let waiting = http1.load(Ordering::SeqCst);
    assert!((1..=64 * worker_count()).contains(&waiting), "{waiting}");
    permits.add_permits(1);
    for list in lists {
        assert_eq!(in_time(list).await.unwrap(), 200);
    }
}

#[tokio::test]
async fn lists_use_http_2_where_the_server_accepts_no_more_connections() {
    let upstream = both(Arc::default(), open()).await;
    let relay = Relay::before(upstream.port()).await;
    let kubegate = Kubegate::before_url(&relay.url(), &[]);
    assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
    relay.close();
    for _ in 0..3 {
        let response = get(&kubegate.address, "/api/v1/pods").await;
        assert_eq!(status(&response), 200, "{response}");
        assert!(response.contains("HTTP/2.0"), "{response}");
    }
}
