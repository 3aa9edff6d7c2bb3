//! The cases of h2spec, frame by frame, with the sections of RFC 9113.

use crate::support::{
    frames::{DATA, END_HEADERS, END_STREAM, GO_AWAY, HEADERS, RST_STREAM},
    raw_http2::{
        ACK, CONTINUATION, Ended, PADDED, PING, PRIORITY, PUSH_PROMISE, RawHttp2, SETTINGS,
        WINDOW_UPDATE, block, frame, get,
    },
};

use super::start;

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;

fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags, stream, block)
}

/// A whole GET, whose response may come at any time.
fn request(stream: u32) -> Vec<u8> {
    headers(END_HEADERS | END_STREAM, stream, &get("/x", &[]))
}

/// The head of a POST whose body follows.
fn open(stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/x"),
    ];
    headers(END_HEADERS, stream, &block(&fields))
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, payload)
}

/// Sends each case on a connection of its own, and compares how the server ends it.
async fn check(cases: Vec<(&str, Vec<u8>, Ended)>) {
    let (_upstream, kubegate) = start(&[]).await;
    let mut faults = Vec::new();
    for (case, bytes, expected) in cases {
        let mut client = RawHttp2::open(&kubegate.address).await;
        client.send(bytes).await;
        let ended = client.ended().await;
        if ended != expected {
            faults.push(format!("{case}: {ended:?}, not {expected:?}"));
        }
        // Others are served.
        let mut other = RawHttp2::open(&kubegate.address).await;
        assert!(other.serves(1).await, "{case}");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_in_the_wrong_place_end_the_connection() {
    let protocol = Ended::Connection(PROTOCOL_ERROR);
    check(vec![
        (
            "5.1 DATA on an idle stream",
            frame(DATA, END_STREAM, 1, "x"),
            protocol,
        ),
        (
            "5.1 RST_STREAM on an idle stream",
            frame(RST_STREAM, 0, 1, [0; 4]),
            protocol,
        ),
        (
            "5.1 WINDOW_UPDATE on an idle stream",
            frame(WINDOW_UPDATE, 0, 1, [0, 0, 0, 9]),
            protocol,
        ),
        (
            "5.1 CONTINUATION alone",
            frame(CONTINUATION, END_HEADERS, 1, get("/x", &[])),
            protocol,
        ),
        ("5.1.1 a stream of even number", request(2), protocol),
        (
            "5.1.1 a stream of a lower number",
            [request(5), request(3)].concat(),
            protocol,
        ),
        (
            "6.1 DATA on stream 0",
            frame(DATA, END_STREAM, 0, "x"),
            protocol,
        ),
        ("6.2 HEADERS on stream 0", request(0), protocol),
        (
            "6.3 PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, [0, 0, 0, 3, 9]),
            protocol,
        ),
        (
            "6.4 RST_STREAM on stream 0",
            frame(RST_STREAM, 0, 0, [0; 4]),
            protocol,
        ),
        (
            "6.5 SETTINGS on a stream",
            frame(SETTINGS, 0, 1, []),
            protocol,
        ),
        (
            "6.6 PUSH_PROMISE of a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2]),
            protocol,
        ),
        ("6.7 PING on a stream", frame(PING, 0, 1, [0; 8]), protocol),
        (
            "6.8 GOAWAY on a stream",
            frame(GO_AWAY, 0, 1, [0; 8]),
            protocol,
        ),
        (
            "4.3 another frame inside of a head",
            [
                headers(0, 1, &get("/x", &[])),
                frame(PRIORITY, 0, 1, [0, 0, 0, 3, 9]),
            ]
            .concat(),
            protocol,
        ),
        (
            "4.3 another stream inside of a head",
            [headers(0, 1, &get("/x", &[])), request(3)].concat(),
            protocol,
        ),
        (
            "6.10 CONTINUATION after the end of a head",
            [request(1), frame(CONTINUATION, END_HEADERS, 1, [])].concat(),
            protocol,
        ),
        (
            "6.10 CONTINUATION of another stream",
            [
                headers(0, 1, &get("/x", &[])),
                frame(CONTINUATION, END_HEADERS, 3, []),
            ]
            .concat(),
            protocol,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_frames_end_the_connection() {
    // Where the RFC has a code of its own for a frame's size or a header block, h2 names some of them
    // protocol errors.
    let protocol = Ended::Connection(PROTOCOL_ERROR);
    let size = Ended::Connection(FRAME_SIZE_ERROR);
    let flow = Ended::Connection(FLOW_CONTROL_ERROR);
    let too_large = vec![0; 16 * 1024 + 1];
    check(vec![
        (
            "4.2 DATA above the limit",
            [open(1), frame(DATA, 0, 1, &too_large)].concat(),
            size,
        ),
        (
            "4.2 HEADERS above the limit",
            headers(END_HEADERS, 1, &too_large),
            size,
        ),
        (
            "4.3 no header block",
            headers(END_HEADERS | END_STREAM, 1, &[0x80, 0xff, 0xff]),
            protocol,
        ),
        (
            "6.1 more padding than content",
            [open(1), frame(DATA, PADDED, 1, [9, 0])].concat(),
            protocol,
        ),
        (
            "6.2 more padding than content",
            frame(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, [99, 0x82]),
            protocol,
        ),
        (
            "6.4 RST_STREAM of 3 bytes",
            [open(1), frame(RST_STREAM, 0, 1, [0; 3])].concat(),
            protocol,
        ),
        (
            "6.5 SETTINGS of 3 bytes",
            frame(SETTINGS, 0, 0, [0; 3]),
            protocol,
        ),
        (
            "6.5 ACK with content",
            frame(SETTINGS, ACK, 0, [0; 6]),
            protocol,
        ),
        ("6.5.2 ENABLE_PUSH of 2", setting(2, 2), protocol),
        ("6.5.2 a window above 2^31-1", setting(4, 1 << 31), protocol),
        ("6.5.2 a small frame size", setting(5, 16_383), protocol),
        ("6.5.2 a large frame size", setting(5, 1 << 24), protocol),
        ("6.7 PING of 6 bytes", frame(PING, 0, 0, [0; 6]), protocol),
        (
            "6.9 WINDOW_UPDATE of 0",
            frame(WINDOW_UPDATE, 0, 0, [0; 4]),
            protocol,
        ),
        (
            "6.9 WINDOW_UPDATE of 3 bytes",
            frame(WINDOW_UPDATE, 0, 0, [0; 3]),
            protocol,
        ),
        (
            "6.9.1 a window above 2^31-1 for the connection",
            frame(WINDOW_UPDATE, 0, 0, 0x7fff_ffff_u32.to_be_bytes()),
            flow,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_end_their_stream_alone() {
    let (_upstream, kubegate) = start(&[]).await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    let without = |name: &str| {
        let fields = [(":method", "GET"), (":scheme", "https"), (":path", "/x")];
        let left: Vec<_> = fields.into_iter().filter(|field| field.0 != name).collect();
        block(&left)
    };
    let cases = [
        ("8.2.1 a name in upper case", get("/x", &[("X-Test", "a")])),
        (
            "8.2.2 Connection",
            get("/x", &[("connection", "keep-alive")]),
        ),
        ("8.2.2 Keep-Alive", get("/x", &[("keep-alive", "1")])),
        (
            "8.2.2 Proxy-Connection",
            get("/x", &[("proxy-connection", "close")]),
        ),
        (
            "8.2.2 Transfer-Encoding",
            get("/x", &[("transfer-encoding", "chunked")]),
        ),
        ("8.2.2 Upgrade", get("/x", &[("upgrade", "websocket")])),
        ("8.2.2 TE", get("/x", &[("te", "gzip")])),
        ("8.3 an unknown pseudo-header", get("/x", &[(":test", "a")])),
        (
            "8.3 a pseudo-header of responses",
            get("/x", &[(":status", "200")]),
        ),
        (
            "8.3 a pseudo-header after others",
            block(&[
                ("x-test", "a"),
                (":method", "GET"),
                (":scheme", "https"),
                (":path", "/"),
            ]),
        ),
        ("8.3.1 no :method", without(":method")),
        ("8.3.1 no :scheme", without(":scheme")),
        (
            "8.3.1 no :path",
            block(&[
                (":method", "GET"),
                (":scheme", "https"),
                (":authority", "localhost"),
            ]),
        ),
        (
            "8.3.1 no :path and no :authority",
            block(&[
                (":method", "GET"),
                (":scheme", "https"),
                ("host", "localhost"),
            ]),
        ),
        ("8.3.1 two :path", get("/x", &[(":path", "/y")])),
        ("8.3.1 an empty :path", get("", &[])),
        (
            "8.5 extended CONNECT",
            block(&[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":authority", "localhost"),
                (":path", "/x"),
            ]),
        ),
    ];
    let mut faults = Vec::new();
    for (number, (case, head)) in (1..).step_by(2).zip(cases) {
        client
            .send(headers(END_HEADERS | END_STREAM, number, &head))
            .await;
        let ended = client.stream_ended(number).await;
        // h2 takes a name that cannot be for a fault of the compression.
        let ends_all =
            ["8.2.1 a name in upper case", "8.3 an unknown pseudo-header"].contains(&case);
        if ends_all && ended == Ended::Connection(PROTOCOL_ERROR) {
            client = RawHttp2::open(&kubegate.address).await;
        } else if ended != Ended::Stream(PROTOCOL_ERROR) {
            faults.push(format!("{case}: {ended:?}"));
            client = RawHttp2::open(&kubegate.address).await;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(client.serves(101).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_body_end_its_stream() {
    let (_upstream, kubegate) = start(&[]).await;
    let post = |length: &str| {
        let fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", "/x"),
            ("content-length", length),
        ];
        headers(END_HEADERS, 1, &block(&fields))
    };
    for (case, bytes, code) in [
        (
            "8.1.1 less than its length",
            [post("9"), frame(DATA, END_STREAM, 1, "x")].concat(),
            PROTOCOL_ERROR,
        ),
        (
            "8.1.1 more than its length",
            [post("1"), frame(DATA, END_STREAM, 1, "xx")].concat(),
            PROTOCOL_ERROR,
        ),
        (
            "6.9.1 a window above 2^31-1",
            [
                open(1),
                frame(WINDOW_UPDATE, 0, 1, 0x7fff_ffff_u32.to_be_bytes()),
            ]
            .concat(),
            FLOW_CONTROL_ERROR,
        ),
        (
            "6.9 WINDOW_UPDATE of 0",
            [open(1), frame(WINDOW_UPDATE, 0, 1, [0; 4])].concat(),
            PROTOCOL_ERROR,
        ),
        (
            "5.1 DATA after the end",
            [
                open(1),
                frame(DATA, END_STREAM, 1, "x"),
                frame(DATA, 0, 1, "x"),
            ]
            .concat(),
            PROTOCOL_ERROR,
        ),
    ] {
        let mut client = RawHttp2::open(&kubegate.address).await;
        client.send(bytes).await;
        let ended = client.ended().await;
        let expected = [Ended::Stream(code), Ended::Connection(code)];
        assert!(expected.contains(&ended), "{case}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_ignored_is_ignored_and_settings_and_pings_are_answered() {
    let (_upstream, kubegate) = start(&[]).await;
    let mut client = RawHttp2::open(&kubegate.address).await;
    let settings = client.next_of(SETTINGS).await;
    let offered: Vec<(u16, u32)> = settings
        .payload
        .chunks(6)
        .map(|one| {
            let value = u32::from_be_bytes(one[2..].try_into().unwrap());
            (u16::from_be_bytes([one[0], one[1]]), value)
        })
        .collect();
    assert!(offered.contains(&(3, 1000)), "1,000 streams: {offered:?}");
    assert!(
        offered.contains(&(6, 64 * 1024)),
        "heads of 64 KiB: {offered:?}"
    );
    assert!(
        !offered.iter().any(|(id, _)| *id == 8),
        "extended CONNECT: {offered:?}"
    );
    client.next_of(SETTINGS).await;
    client.send(frame(0x16, 0, 0, "unknown")).await;
    client.send(frame(PING, 0x16, 0, [1; 8])).await;
    assert_eq!(client.next_of(PING).await.payload, [1; 8]);
    client.send(frame(PING, ACK, 0, [2; 8])).await;
    client.send(setting(0xff, 1)).await;
    assert_eq!(client.next_of(SETTINGS).await.flags, ACK);
    client.send(frame(PRIORITY, 0, 7, [0, 0, 0, 3, 9])).await;
    assert!(client.serves(9).await);
    // A head in parts, with padding.
    let head = get("/x", &[]);
    let (one, two) = head.split_at(5);
    let first = [&[3][..], one, &[0; 3]].concat();
    client
        .send(frame(HEADERS, PADDED | END_STREAM, 11, first))
        .await;
    client.send(frame(CONTINUATION, END_HEADERS, 11, two)).await;
    assert_eq!(client.status_byte(11).await, crate::support::raw_http2::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_preface_ends_the_connection() {
    let (_upstream, kubegate) = start(&[]).await;
    for preface in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ] {
        let mut client = RawHttp2::silent(&kubegate.address).await;
        client.send(preface).await;
        let ended = client.ended().await;
        let expected = [Ended::Closed, Ended::Connection(PROTOCOL_ERROR)];
        assert!(expected.contains(&ended), "{ended:?}");
    }
}
