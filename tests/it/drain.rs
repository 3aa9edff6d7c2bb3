//! Draining: requests complete, watches end cleanly, what does not end in time is cut off visibly,
//! and nothing hangs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
};

use crate::support::{Connection, Kubegate, PATIENCE, Upstream, get, in_time, status};

/// Much less than the 25 s after which a hanging drain would be cut off.
const AT_ONCE: Duration = Duration::from_secs(10);

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                       Transfer-Encoding: chunked\r\n\r\n";

/// Responds by path; `half` watches and `/slow` continue when `go_on` is notified.
fn script(go_on: &Arc<Notify>) -> impl Fn(Connection) -> Scripted + Send + Sync + 'static {
    let go_on = go_on.clone();
    move |connection| Box::pin(serve(connection, go_on.clone()))
}

type Scripted = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn serve(mut connection: Connection, go_on: Arc<Notify>) {
    while let Some(request) = connection.request().await {
        let path = request.head.split(' ').nth(1).unwrap().to_owned();
        match path.as_str() {
            "/slow" => {
                connection
                    .write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
                    .await;
                go_on.notified().await;
                connection.write(" last").await;
            }
            "/api/v1/pods?watch=1" => {
                connection
                    .write(format!("{CHUNKED}8\r\n{{\"a\":1}}\n\r\n"))
                    .await;
                connection.rest().await;
            }
            "/api/v1/pods?watch=1&half" => {
                connection.write(format!("{CHUNKED}4\r\n{{\"a\"\r\n")).await;
                go_on.notified().await;
                connection.write("4\r\n:1}\n\r\n").await;
                connection.rest().await;
            }
            "/api/v1/namespaces/watch/pods" | "/api/v1/namespaces/x/pods/p?watch=1" => {
                connection.write(format!("{CHUNKED}2\r\n{{\n\r\n")).await;
                go_on.notified().await;
                connection.write("2\r\n}\n\r\n0\r\n\r\n").await;
            }
            "/log?follow=true" => {
                connection.write(format!("{CHUNKED}5\r\nline\n\r\n")).await;
                connection.rest().await;
            }
            "/tunnel" => {
                connection
                    .write(
                        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                            Upgrade: SPDY/3.1\r\n\r\nhello",
                    )
                    .await;
                while let Some(ping) = connection.exactly(4).await {
                    connection.write(ping).await;
                }
            }
            _ => connection.answer("ok").await,
        }
    }
}

/// A client that has received a part of a response.
struct Client {
    stream: TcpStream,
    seen: String,
}

impl Client {
    async fn ask(address: &str, path: &str, until: &str) -> Self {
        let upgrade = if path == "/tunnel" {
            "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
        } else {
            ""
        };
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{upgrade}\r\n");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut client = Self {
            stream,
            seen: String::new(),
        };
        while !client.seen.contains(until) {
            let mut buffer = [0; 4096];
            let n = in_time(client.stream.read(&mut buffer)).await.unwrap();
            assert_ne!(n, 0, "it ended after {:?}", client.seen);
            client
                .seen
                .push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        }
        client
    }

    /// Sends four bytes through a tunnel and reads them back.
    async fn ping(&mut self) {
        self.stream.write_all(b"ping").await.unwrap();
        let mut pong = [0; 4];
        in_time(self.stream.read_exact(&mut pong)).await.unwrap();
        assert_eq!(&pong, b"ping");
    }

    /// Returns the whole response up to the end of the connection, clean or not.
    async fn rest(mut self) -> String {
        let mut rest = Vec::new();
        let _ = in_time(self.stream.read_to_end(&mut rest)).await;
        self.seen.push_str(std::str::from_utf8(&rest).unwrap());
        self.seen
    }
}

/// Waits until the proxy takes no new connections.
async fn closed(address: &str) {
    let started = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(started.elapsed() < PATIENCE, "it still listens");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn start(go_on: &Arc<Notify>, args: &[&str]) -> (Upstream, Kubegate) {
    let upstream = Upstream::plain(script(go_on)).await;
    let url = upstream.url();
    let kubegate = Kubegate::start(["--server", &url].iter().chain(args));
    (upstream, kubegate)
}

#[tokio::test]
async fn a_request_in_flight_completes() {
    for signal in ["TERM", "INT"] {
        let go_on = Arc::new(Notify::new());
        let (_upstream, kubegate) = start(&go_on, &[]).await;
        let client = Client::ask(&kubegate.address, "/slow", "first").await;
        kubegate.signal(signal);
        closed(&kubegate.address).await;
        go_on.notify_one();
        let response = client.rest().await;
        assert!(response.ends_with("\r\n\r\nfirst last"), "{response}");
        let ended = kubegate.ended();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.took < AT_ONCE, "{ended:?}");
        assert!(ended.stderr.contains("drained"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_request_that_only_looks_like_a_watch_completes() {
    for path in [
        "/api/v1/namespaces/watch/pods",
        "/api/v1/namespaces/x/pods/p?watch=1",
    ] {
        let go_on = Arc::new(Notify::new());
        let (_upstream, kubegate) = start(&go_on, &[]).await;
        let client = Client::ask(&kubegate.address, path, "{\n").await;
        kubegate.signal("TERM");
        closed(&kubegate.address).await;
        go_on.notify_one();
        let response = client.rest().await;
        assert!(
            response.ends_with("}\n\r\n0\r\n\r\n"),
            "{path}: {response:?}"
        );
        assert_eq!(kubegate.ended().code, Some(0));
    }
}

#[tokio::test]
async fn a_watch_ends_cleanly_and_at_once() {
    let (_upstream, kubegate) = start(&Arc::default(), &[]).await;
    let client = Client::ask(&kubegate.address, "/api/v1/pods?watch=1", "}\n").await;
    kubegate.signal("TERM");
    let response = client.rest().await;
    assert!(
        response.ends_with("\r\n{\"a\":1}\n\r\n0\r\n\r\n"),
        "{response:?}"
    );
    let ended = kubegate.ended();
    assert_eq!(ended.code, Some(0));
    assert!(ended.took < AT_ONCE, "{ended:?}");
}

#[tokio::test]
async fn a_watch_ends_after_the_current_event() {
    let go_on = Arc::new(Notify::new());
    let (_upstream, kubegate) = start(&go_on, &[]).await;
    let client = Client::ask(&kubegate.address, "/api/v1/pods?watch=1&half", "{\"a\"").await;
    kubegate.signal("TERM");
    closed(&kubegate.address).await;
    go_on.notify_one();
    let response = client.rest().await;
    assert!(
        response.ends_with("4\r\n{\"a\"\r\n4\r\n:1}\n\r\n0\r\n\r\n"),
        "{response:?}"
    );
    let ended = kubegate.ended();
    assert_eq!(ended.code, Some(0));
    assert!(ended.took < AT_ONCE, "{ended:?}");
}

#[tokio::test]
async fn a_followed_log_and_a_tunnel_are_cut_off_at_the_limit() {
    let (_upstream, kubegate) = start(&Arc::default(), &["--drain-timeout", "1s"]).await;
    let log = Client::ask(&kubegate.address, "/log?follow=true", "line\n").await;
    let tunnel = Client::ask(&kubegate.address, "/tunnel", "hello").await;
    let started = Instant::now();
    kubegate.signal("TERM");
    let log = log.rest().await;
    assert!(
        started.elapsed() >= Duration::from_millis(900),
        "before the limit"
    );
    assert!(log.contains("\r\nline\n"), "{log:?}");
    assert!(!log.ends_with("0\r\n\r\n"), "it looks complete: {log:?}");
    assert!(tunnel.rest().await.ends_with("hello"));
    let ended = kubegate.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(started.elapsed() < AT_ONCE, "{ended:?}");
    assert!(ended.stderr.contains("cutting off"), "{ended:?}");
}

#[tokio::test]
async fn the_drain_waits_for_a_tunnel_alone() {
    let (_upstream, kubegate) = start(&Arc::default(), &["--drain-timeout", "1s"]).await;
    let tunnel = Client::ask(&kubegate.address, "/tunnel", "hello").await;
    let started = Instant::now();
    kubegate.signal("TERM");
    assert!(tunnel.rest().await.ends_with("hello"));
    assert!(
        started.elapsed() >= Duration::from_millis(900),
        "before the limit"
    );
    assert_eq!(kubegate.ended().code, Some(0));
}

#[tokio::test]
async fn requests_watches_and_tunnels_together_end_as_alone() {
    const LIMIT: Duration = Duration::from_secs(4);
    let go_on = Arc::new(Notify::new());
    let (_upstream, kubegate) = start(&go_on, &["--drain-timeout", "4s"]).await;
    let address = kubegate.address.clone();
    let (mut requests, mut watches, mut tunnels) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..20 {
        requests.push(Client::ask(&address, "/slow", "first").await);
        watches.push(Client::ask(&address, "/api/v1/pods?watch=1", "}\n").await);
        tunnels.push(Client::ask(&address, "/tunnel", "hello").await);
    }
    let started = Instant::now();
    kubegate.signal("TERM");
    for watch in watches {
        let response = watch.rest().await;
        assert!(
            response.ends_with("{\"a\":1}\n\r\n0\r\n\r\n"),
            "{response:?}"
        );
    }
    assert!(started.elapsed() < LIMIT, "watches end only with the rest");
    closed(&address).await;
    for tunnel in &mut tunnels {
        tunnel.ping().await;
    }
    for request in requests {
        go_on.notify_one();
        let response = request.rest().await;
        assert!(response.ends_with("\r\n\r\nfirst last"), "{response}");
    }
    assert!(
        started.elapsed() < LIMIT,
        "it took too long to try the limit"
    );
    for tunnel in tunnels {
        assert!(tunnel.rest().await.ends_with("hello"));
    }
    assert!(started.elapsed() >= LIMIT * 9 / 10, "before the limit");
    let ended = kubegate.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(started.elapsed() < LIMIT + AT_ONCE, "{ended:?}");
    assert!(ended.stderr.contains("tunnels=20"), "{ended:?}");
}

#[tokio::test]
async fn a_second_signal_exits_at_once() {
    for second in ["TERM", "INT"] {
        let (_upstream, kubegate) = start(&Arc::default(), &[]).await;
        let client = Client::ask(&kubegate.address, "/log?follow=true", "line\n").await;
        kubegate.signal("TERM");
        closed(&kubegate.address).await;
        kubegate.signal(second);
        let log = client.rest().await;
        assert!(!log.ends_with("0\r\n\r\n"), "it looks complete: {log:?}");
        let ended = kubegate.ended();
        assert!(ended.took < AT_ONCE, "{ended:?}");
        assert!(ended.code.is_some(), "{ended:?}");
        assert!(ended.stderr.contains("second signal"), "{ended:?}");
    }
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_drain() {
    let (_upstream, kubegate) = start(&Arc::default(), &[]).await;
    let used = Client::ask(&kubegate.address, "/", "\r\n\r\nok").await;
    let unused = TcpStream::connect(&kubegate.address).await.unwrap();
    // Connections are accepted in order, so the unused one has been accepted now.
    assert_eq!(status(&get(&kubegate.address, "/").await), 200);
    kubegate.signal("TERM");
    let ended = kubegate.ended();
    assert_eq!(ended.code, Some(0));
    assert!(ended.took < AT_ONCE, "{ended:?}");
    assert!(ended.stderr.contains("drained"), "{ended:?}");
    drop((used, unused));
}
