//! Clients that send much that is cheap to send and costly to serve, or leave things unfinished. Each
//! connection ends, and others are served.

use std::time::{Duration, Instant};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::support::{
    Connection, Kubegate, TlsClient, Upstream,
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM},
    in_time,
    raw_http2::{
        CONTINUATION, Ended, PING, PREFACE, PRIORITY, RawHttp2, SETTINGS, WINDOW_UPDATE, block,
        frame, get,
    },
};

use super::start;

const CALM: Ended = Ended::Connection(0xb);

/// h2 has limits of its own, some of which are protocol errors.
const ENDS: [Ended; 3] = [CALM, Ended::Connection(1), Ended::Closed];

/// Sends `bytes` again and again until the server ends the connection, and returns how it did and how
/// many times they were sent.
async fn flood(
    address: &str,
    begin: Vec<u8>,
    bytes: impl Fn(u32) -> Vec<u8>,
    most: u32,
) -> (Ended, u32) {
    let mut client = RawHttp2::open(address).await;
    client.send(begin).await;
    let mut sent = 0;
    while sent < most {
        // Large writes, since a server may take a whole one before it decides.
        let many: Vec<u8> = (sent..sent + 100).flat_map(&bytes).collect();
        client.send(many).await;
        sent += 100;
    }
    (client.connection_ended().await, sent)
}

fn post(stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/x"),
    ];
    frame(HEADERS, END_HEADERS, stream, block(&fields))
}

async fn check(begin: Vec<u8>, bytes: impl Fn(u32) -> Vec<u8>) -> (Upstream, Kubegate) {
    let (upstream, kubegate) = start(&[]).await;
    let before = kubegate.resident();
    let (ended, sent) = flood(&kubegate.address, begin, bytes, 20_000).await;
    assert!(ENDS.contains(&ended), "{ended:?} after {sent}");
    let mut other = RawHttp2::open(&kubegate.address).await;
    assert!(other.serves(1).await);
    let growth = kubegate.resident().saturating_sub(before);
    assert!(growth < 32 * 1024, "{growth} KiB");
    (upstream, kubegate)
}

/// CVE-2023-44487
#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_end_the_connection() {
    let (upstream, _kubegate) = check(Vec::new(), |number| {
        let stream = 2 * number + 1;
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, get("/x", &[]));
        [head, frame(RST_STREAM, 0, stream, [0, 0, 0, 8])].concat()
    })
    .await;
    assert!(upstream.connections() < 2500, "{}", upstream.connections());
}

/// CVE-2019-9514 and CVE-2025-8671: the client makes the server reset streams.
#[tokio::test(flavor = "multi_thread")]
async fn resets_that_a_client_provokes_end_the_connection() {
    check(Vec::new(), |number| {
        let stream = 2 * number + 1;
        [post(stream), frame(WINDOW_UPDATE, 0, stream, [0; 4])].concat()
    })
    .await;
    check(Vec::new(), |number| {
        frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            2 * number + 1,
            get("/x", &[("te", "gzip")]),
        )
    })
    .await;
}

/// RUSTSEC-2024-0332
#[tokio::test(flavor = "multi_thread")]
async fn endless_continuations_end_the_connection() {
    let begin = frame(HEADERS, END_STREAM, 1, get("/x", &[]));
    check(begin.clone(), |_| {
        frame(CONTINUATION, 0, 1, block(&[("x-test", "0123456789")]))
    })
    .await;
    check(begin, |_| frame(CONTINUATION, 0, 1, [])).await;
}

/// CVE-2019-9512, CVE-2019-9515
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_settings_pings_and_priorities_end_the_connection() {
    check(Vec::new(), |_| frame(SETTINGS, 0, 0, [])).await;
    check(Vec::new(), |number| {
        let payload = [&[0, 4][..], &(number % 1000).to_be_bytes()].concat();
        frame(SETTINGS, 0, 0, payload)
    })
    .await;
    check(Vec::new(), |_| frame(PING, 0, 0, [0; 8])).await;
    check(Vec::new(), |_| frame(PRIORITY, 0, 1, [0, 0, 0, 3, 9])).await;
    check(Vec::new(), |_| frame(0x20, 0, 0, [])).await;
}

/// CVE-2019-9518
#[tokio::test(flavor = "multi_thread")]
async fn empty_data_frames_end_the_connection() {
    check(post(1), |_| frame(DATA, 0, 1, [])).await;
    // With nothing but padding.
    check(post(1), |_| frame(DATA, 8, 1, [1, 0])).await;
}

/// CVE-2019-9511
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_plays_with_windows_ends_its_own_connection() {
    check(Vec::new(), |_| frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1])).await;
    check(post(1), |_| frame(WINDOW_UPDATE, 0, 1, [0, 0, 0, 1])).await;
}

/// Heads that are not complete share the memory that those over HTTP/1.1 have.
#[tokio::test(flavor = "multi_thread")]
async fn large_heads_keep_out_large_heads_and_never_small_ones() {
    let (_upstream, kubegate) = start(&[]).await;
    let value = "x".repeat(15_000);
    let first = frame(HEADERS, END_STREAM, 1, get("/x", &[("x-large", &value)]));
    let more = frame(CONTINUATION, 0, 1, block(&[("x-large", &value)]));
    let large = [&first[..], &more, &more, &more].concat();
    let mut clients = Vec::new();
    for _ in 0..160 {
        let mut client = RawHttp2::open(&kubegate.address).await;
        client.send(&large).await;
        clients.push(client);
    }
    // The last came when the memory was used up.
    let mut last = clients.pop().unwrap();
    assert_eq!(last.connection_ended().await, CALM);
    let mut small = RawHttp2::open(&kubegate.address).await;
    assert!(small.serves(1).await);
}

/// Streams whose windows are closed hold no large responses.
#[tokio::test(flavor = "multi_thread")]
async fn closed_windows_hold_little_memory() {
    let body = "x".repeat(256 * 1024);
    let upstream = Upstream::plain(move |mut connection: Connection| {
        let body = body.clone();
        async move {
            while connection.request().await.is_some() {
                connection.answer(&body).await;
            }
        }
    })
    .await;
    let kubegate = super::before(&upstream, &[]);
    let before = kubegate.resident();
    let mut client = RawHttp2::silent(&kubegate.address).await;
    let settings = frame(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]);
    client.send([PREFACE, &settings].concat()).await;
    for number in 0..100 {
        client.get(2 * number + 1, "/x").await;
    }
    for _ in 0..100 {
        client.next_of(HEADERS).await;
    }
    let growth = kubegate.resident().saturating_sub(before);
    assert!(growth < 40 * 1024, "{growth} KiB");
    let mut other = RawHttp2::open(&kubegate.address).await;
    other.get(1, "/x").await;
    assert_eq!(other.status_byte(1).await, crate::support::raw_http2::OK);
}

/// The limit of what must be completed.
const LIMIT: Duration = Duration::from_secs(10);

/// How late things may happen while all tests run.
const LATE: Duration = Duration::from_secs(9);

async fn ends_in_time(mut client: RawHttp2, expected: &[Ended]) {
    let started = Instant::now();
    let ended = tokio::time::timeout(LIMIT + LATE, async {
        while let Some(frame) = client.0.exactly(9).await {
            let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
            let payload = client.0.exactly(length as usize).await.unwrap_or_default();
            if frame[3] == crate::support::frames::GO_AWAY {
                return Ended::Connection(payload[7].into());
            }
        }
        Ended::Closed
    });
    let ended = ended.await.expect("it stays open");
    assert!(expected.contains(&ended), "{ended:?}");
    assert!(
        started.elapsed() + Duration::from_millis(500) >= LIMIT,
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_completed_ends_the_connection_in_time() {
    let (_upstream, kubegate) = start(&[]).await;
    let address = &kubegate.address;
    let mut preface = RawHttp2::silent(address).await;
    preface.send(&PREFACE[..10]).await;
    let mut first_frame = RawHttp2::silent(address).await;
    first_frame.send(PREFACE).await;
    let mut head = RawHttp2::open(address).await;
    head.send(frame(HEADERS, END_STREAM, 1, get("/x", &[])))
        .await;
    let mut part = RawHttp2::open(address).await;
    part.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, get("/x", &[]))[..15])
        .await;
    let mut settings = RawHttp2::open(address).await;
    settings.send(&frame(SETTINGS, 0, 0, [0; 6])[..12]).await;
    let ended = [CALM];
    tokio::join!(
        ends_in_time(preface, &[CALM, Ended::Closed]),
        ends_in_time(first_frame, &[CALM, Ended::Closed]),
        ends_in_time(head, &ended),
        ends_in_time(part, &ended),
        ends_in_time(settings, &ended),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_and_an_idle_connection_stay_open() {
    let (_upstream, kubegate) = start(&[]).await;
    let mut idle = RawHttp2::open(&kubegate.address).await;
    assert!(idle.serves(1).await);
    let mut client = RawHttp2::open(&kubegate.address).await;
    client.send(post(1)).await;
    let body = frame(DATA, END_STREAM, 1, "slow");
    client.send(&body[..10]).await;
    tokio::time::sleep(LIMIT + Duration::from_secs(2)).await;
    client.send(&body[10..]).await;
    assert_eq!(client.status_byte(1).await, crate::support::raw_http2::OK);
    assert!(idle.serves(3).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_not_completed_ends_in_time() {
    let (_upstream, kubegate) = start(&[]).await;
    let address = kubegate.address.strip_prefix("https://").unwrap();
    let started = Instant::now();
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut part = TcpStream::connect(address).await.unwrap();
    // The beginning of a record with a ClientHello.
    tokio::io::AsyncWriteExt::write_all(&mut part, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        .await
        .unwrap();
    for stream in [&mut silent, &mut part] {
        let mut rest = Vec::new();
        let _ = in_time(stream.read_to_end(&mut rest)).await;
    }
    assert!(
        started.elapsed() >= Duration::from_secs(9),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_after_the_handshake_is_closed() {
    let (_upstream, kubegate) = start(&[]).await;
    let address = &kubegate.address;
    let patience = Duration::from_secs(50);
    let silent = async |alpn: &[u8], bytes: &[u8]| {
        let mut client = TlsClient::new(&[alpn]).connect(address).await.unwrap();
        client.write(bytes).await;
        let started = Instant::now();
        tokio::time::timeout(patience, client.rest())
            .await
            .expect("it stays open");
        started.elapsed()
    };
    let settings = [PREFACE, &frame(SETTINGS, 0, 0, [])].concat();
    let (http1, http2, no_request) = tokio::join!(
        silent(b"http/1.1", b""),
        silent(b"h2", b""),
        silent(b"h2", &settings)
    );
    for after in [http1, http2, no_request] {
        assert!(after >= Duration::from_secs(25), "{after:?}");
    }
}
