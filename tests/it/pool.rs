//! How many connections there are to the API server, and who travels on which.

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

/// Watches stay open with one event each; anything else is answered by its HTTP version.
fn answer(request: &Request<Incoming>, watches: &Senders) -> Response<Frames> {
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
        let answer = answer(&request, &held);
        async { answer }
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
async fn watches_that_fill_their_connections_hold_up_no_get() {
    let (upstream, _watches) = watched().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut clients = Vec::new();
    // As many as one connection takes, for each of the workers.
    for _ in 0..100 * worker_count() {
        clients.push(in_time(watch(&kubegate.address)).await);
    }
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
    }
    assert!(started.elapsed() < Duration::from_secs(2));
    // One more watch finds room too.
    clients.push(in_time(watch(&kubegate.address)).await);
}

#[tokio::test]
async fn connections_that_nobody_uses_are_closed_and_those_with_a_watch_are_not() {
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
    // And what comes then gets a new one.
    assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
}

#[tokio::test]
async fn a_connection_that_has_aged_takes_no_more_and_what_runs_on_it_goes_on() {
    let (upstream, watches) = watched().await;
    let kubegate = Kubegate::before(&upstream, &["--upstream-max-age", "1s"]);
    let mut client = in_time(watch(&kubegate.address)).await;
    assert_eq!(upstream.connections(), 1);
    in_time(async {
        // Each on a connection of its worker, which ages and is replaced.
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

/// Speaks whichever protocol the client chose. What comes over HTTP/1.1 is counted, and answered
/// once there is a permit for it.
async fn both(http1: Arc<AtomicUsize>, gate: Arc<Semaphore>) -> Upstream {
    let config = tls_config("localhost", &[b"h2", b"http/1.1"]);
    Upstream::with(config, move |mut connection: Connection| {
        let (http1, gate) = (http1.clone(), gate.clone());
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
                let _permit = gate.acquire().await.unwrap();
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
async fn lists_travel_over_http_1_and_the_rest_over_http_2() {
    let upstream = both(Arc::default(), open()).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for (path, version) in [
        ("/api/v1/pods", "HTTP/1.1"),
        ("/api/v1/namespaces/x/pods/p/log", "HTTP/1.1"),
        ("/api/v1/namespaces/x/pods/p", "HTTP/2.0"),
        ("/version", "HTTP/2.0"),
    ] {
        let answer = get(&kubegate.address, path).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(
            answer.contains(&format!("\r\n\r\n{version}"))
                || answer.contains(&format!("\r\n{version}\r\n")),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_crowd_of_lists_opens_no_crowd_of_connections() {
    let (http1, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let upstream = both(http1.clone(), gate.clone()).await;
    // However busy the machine, the server is not taken for dead.
    let kubegate = Kubegate::before(&upstream, &["--upstream-ping-after", "60s"]);
    let answered = Arc::new(AtomicUsize::new(0));
    let lists: Vec<_> = (0..600)
        .map(|_| {
            let (address, answered) = (kubegate.address.clone(), answered.clone());
            tokio::spawn(async move {
                let answer = get(&address, "/api/v1/pods").await;
                answered.fetch_add(1, Ordering::SeqCst);
                status(&answer)
            })
        })
        .collect();
    // While those that wait have every connection, the others go another way.
    in_time(async {
        while answered.load(Ordering::SeqCst) + http1.load(Ordering::SeqCst) < lists.len() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let waiting = http1.load(Ordering::SeqCst);
    assert!((1..=64 * worker_count()).contains(&waiting), "{waiting}");
    gate.add_permits(1);
    for list in lists {
        assert_eq!(in_time(list).await.unwrap(), 200);
    }
}

#[tokio::test]
async fn lists_make_do_with_the_connection_there_is_where_the_server_takes_no_more() {
    let upstream = both(Arc::default(), open()).await;
    let relay = Relay::before(upstream.port()).await;
    let kubegate = Kubegate::before_url(&relay.url(), &[]);
    assert_eq!(status(&get(&kubegate.address, "/version").await), 200);
    relay.close();
    for _ in 0..3 {
        let answer = get(&kubegate.address, "/api/v1/pods").await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.contains("HTTP/2.0"), "{answer}");
    }
}
