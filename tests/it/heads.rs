//! Request heads that arrive slowly or are too large.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Connection, Kubegate, Upstream, exchange, in_time, status};

/// The limit from a head's first byte to its end.
const LIMIT: Duration = Duration::from_secs(10);

/// How late things may happen while all tests run.
const LATE: Duration = Duration::from_secs(8);

async fn start() -> (Upstream, Kubegate) {
    let upstream = Upstream::plain(|connection: Connection| connection.echo()).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    (upstream, kubegate)
}

fn ordinary(address: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: {address}\r\n\r\n")
}

/// A client whose first request is complete.
async fn used(address: &str) -> Connection {
    let mut client = Connection::open(address).await;
    client.write(ordinary(address)).await;
    let response = in_time(client.response()).await.unwrap();
    assert_eq!(status(&response.head), 200, "{}", response.head);
    client
}

/// Sends a byte every five seconds until the connection is closed. Returns the time from the first
/// byte to the close, and the response.
async fn trickle(mut client: Connection, head: String) -> (Duration, String) {
    let started = Instant::now();
    let response = async {
        let mut bytes = head.bytes();
        loop {
            client.write([bytes.next().unwrap()]).await;
            let response = tokio::time::timeout(Duration::from_secs(5), client.rest()).await;
            if let Ok(response) = response {
                return response;
            }
        }
    };
    let response = tokio::time::timeout(LIMIT + LATE, response).await;
    let response = response.expect("the connection of a slow head stays open");
    (started.elapsed(), String::from_utf8(response).unwrap())
}

fn assert_closed_in_time(after: Duration, response: &str) {
    assert!(after >= LIMIT, "{after:?}");
    assert!(after < LIMIT + LATE, "{after:?}");
    assert_eq!(status(response), 408, "{response}");
    assert!(response.contains("within 10 s"), "{response}");
}

#[tokio::test]
async fn a_slow_head_is_refused_after_ten_seconds() {
    let (_upstream, kubegate) = start().await;
    let address = &kubegate.address;
    let fresh = trickle(Connection::open(address).await, ordinary(address));
    let used = trickle(used(address).await, ordinary(address));
    let (fresh, used) = tokio::join!(fresh, used);
    assert_closed_in_time(fresh.0, &fresh.1);
    assert_closed_in_time(used.0, &used.1);
}

#[tokio::test]
async fn each_head_has_ten_seconds_of_its_own() {
    let (_upstream, kubegate) = start().await;
    let mut client = Connection::open(&kubegate.address).await;
    let request = ordinary(&kubegate.address);
    let (first, rest) = request.split_at(20);
    // Two heads of six seconds each take more than ten seconds together.
    for _ in 0..2 {
        client.write(first).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        client.write(rest).await;
        let response = in_time(client.response()).await.unwrap();
        assert_eq!(status(&response.head), 200, "{}", response.head);
    }
}

#[tokio::test]
async fn idle_connections_stay_open() {
    let (_upstream, kubegate) = start().await;
    let mut used = used(&kubegate.address).await;
    let mut unused = Connection::open(&kubegate.address).await;
    tokio::time::sleep(Duration::from_secs(13)).await;
    for client in [&mut used, &mut unused] {
        client.write(ordinary(&kubegate.address)).await;
        let response = in_time(client.response()).await.unwrap();
        assert_eq!(status(&response.head), 200, "{}", response.head);
    }
}

#[tokio::test]
async fn a_slow_body_is_not_refused() {
    let (_upstream, kubegate) = start().await;
    let mut client = Connection::open(&kubegate.address).await;
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: {}\r\nContent-Length: 4\r\n\r\n",
        kubegate.address
    );
    client.write(head).await;
    for byte in ["s", "l", "o", "w"] {
        tokio::time::sleep(Duration::from_secs(3)).await;
        client.write(byte).await;
    }
    let response = in_time(client.response()).await.unwrap();
    assert!(response.body.ends_with(b"slow"), "{response:?}");
}

/// A request with this many fields, `Host` and `Connection` among them.
fn with_fields(address: &str, count: usize) -> String {
    let mut request = format!("GET /x HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for n in 2..count {
        write!(request, "X-Field-{n}: {n}\r\n").unwrap();
    }
    request + "\r\n"
}

/// A request whose head has this length, because of its path or of a field.
fn of_length(address: &str, by_path: bool, length: usize) -> String {
    let filled = |fill: &str| {
        let (path, field) = if by_path { (fill, "") } else { ("", fill) };
        format!(
            "GET /x{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-Fill: {field}\r\n\r\n"
        )
    };
    filled(&"a".repeat(length - filled("").len()))
}

fn assert_too_large(response: &str) {
    let message = too_large(response);
    assert!(message.contains("100 fields or 64 KiB"), "{message}");
}

/// The message of a 431.
fn too_large(response: &str) -> String {
    assert_eq!(status(response), 431, "{response}");
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("connection: close"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["kind"], "Status");
    assert_eq!(body["code"], 431);
    body["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_head_of_more_than_100_fields_is_refused_with_431() {
    let (upstream, kubegate) = start().await;
    let response = exchange(&kubegate.address, with_fields(&kubegate.address, 100)).await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(response.contains("x-field-99: 99\r\n"), "{response}");
    let received = upstream.bytes();
    let response = exchange(&kubegate.address, with_fields(&kubegate.address, 101)).await;
    assert_too_large(&response);
    assert_eq!(upstream.bytes(), received);
}

#[tokio::test]
async fn a_head_of_more_than_64_kib_is_refused_with_431() {
    let (upstream, kubegate) = start().await;
    for by_path in [false, true] {
        let longest = of_length(&kubegate.address, by_path, 64 * 1024);
        let response = exchange(&kubegate.address, longest).await;
        assert_eq!(status(&response), 200, "{response}");
        let received = upstream.bytes();
        for length in [64 * 1024 + 1, 300_000] {
            let request = of_length(&kubegate.address, by_path, length);
            assert_too_large(&exchange(&kubegate.address, request).await);
        }
        assert_eq!(upstream.bytes(), received);
    }
}

#[tokio::test]
async fn a_target_that_is_too_long_encoded_is_refused() {
    let (_upstream, kubegate) = start().await;
    let address = &kubegate.address;
    let raw = |count: usize| {
        let query = "<".repeat(count);
        format!("GET /x?{query} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
    };
    let fits = exchange(address, raw(20_000)).await;
    assert_eq!(status(&fits), 200, "{fits}");
    let message = too_large(&exchange(address, raw(30_000)).await);
    let numbers: Vec<usize> = message
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    let [limit, received, encoded] = numbers[..] else {
        panic!("{message}");
    };
    assert_eq!(limit, 64, "{message}");
    assert!(received <= 30_100 && encoded > 64 * 1024, "{message}");
    assert!(encoded > 2 * received, "{message}");
}

#[tokio::test]
async fn a_client_that_still_sends_receives_the_refusal() {
    let (_upstream, kubegate) = start().await;
    let mut client = TcpStream::connect(&kubegate.address).await.unwrap();
    let request = of_length(&kubegate.address, false, 900_000);
    // A failed write would mean that the connection was reset and the response lost.
    in_time(client.write_all(request.as_bytes())).await.unwrap();
    let mut response = String::new();
    in_time(client.read_to_string(&mut response)).await.unwrap();
    assert_too_large(&response);
}

#[tokio::test]
async fn incomplete_heads_share_a_limited_memory() {
    let (_upstream, kubegate) = start().await;
    let address = &kubegate.address;
    let large = || of_length(address, false, 60_000);
    assert_eq!(status(&exchange(address, large()).await), 200);
    let before = kubegate.resident();
    let mut crowd = Vec::new();
    for _ in 0..600 {
        let mut client = Connection::open(address).await;
        let head = large();
        client.write(&head[..head.len() - 4]).await;
        crowd.push(client);
    }
    // The last one is refused with the reason.
    let response = String::from_utf8(in_time(crowd.pop().unwrap().rest()).await).unwrap();
    assert_eq!(status(&response), 503, "{response}");
    assert!(response.contains("connection: close\r\n"), "{response}");
    assert!(response.contains("less than 8 KiB"), "{response}");
    // Without the limit, 600 heads of 60 KB in buffers of up to 137 KB would take 80 MB.
    let grown = kubegate.resident().saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KiB");
    for length in [200, 8 * 1024] {
        let response = exchange(address, of_length(address, false, length)).await;
        assert_eq!(status(&response), 200, "{response}");
    }
    assert_eq!(status(&exchange(address, large()).await), 503);
    drop(crowd);
    let until = Instant::now() + LATE;
    while status(&exchange(address, large()).await) != 200 {
        assert!(Instant::now() < until, "the memory is not released");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn responses_before_a_bad_head_arrive_complete() {
    let (_upstream, kubegate) = start().await;
    let mut client = Connection::open(&kubegate.address).await;
    let good = ordinary(&kubegate.address);
    client
        .write(format!("{good}{good}no request\r\n\r\n"))
        .await;
    for _ in 0..2 {
        let response = in_time(client.response()).await.unwrap();
        assert_eq!(status(&response.head), 200, "{}", response.head);
    }
    let response = String::from_utf8(in_time(client.rest()).await).unwrap();
    assert_eq!(status(&response), 400, "{response}");
    assert!(response.contains("cannot be understood"), "{response}");
    assert_eq!(response.matches("HTTP/1.1").count(), 1, "{response}");
}
