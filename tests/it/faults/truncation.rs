//! Truncated responses look truncated to the client, over HTTP/1.1 and HTTP/2 alike.

use std::{fs, process::Output};

use tempfile::tempdir;
use tokio::process::Command;

use crate::support::{
    Connection, Kubegate, Upstream,
    frames::{DATA, END_HEADERS, END_STREAM, GO_AWAY, HEADERS, RST_STREAM},
    in_time, tls_config,
};

/// The exit code with which curl says that everything arrived.
const WHOLE: i32 = 0;

/// How an upstream sends one response, and whether it is complete.
struct Case {
    name: &'static str,
    response: Vec<u8>,
    end: End,
    whole: bool,
}

#[derive(Clone, Copy)]
enum End {
    /// Closed cleanly.
    Close,
    /// Closed without a `close_notify` of TLS, as anyone on the network path can do.
    Cut,
    /// Reset.
    Reset,
    /// Left open.
    Open,
}

fn case(name: &'static str, response: impl Into<Vec<u8>>, end: End, whole: bool) -> Case {
    Case {
        name,
        response: response.into(),
        end,
        whole,
    }
}

/// A frame of HTTP/2's first stream (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let stream = u32::from(kind != GO_AWAY).to_be_bytes();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// `:status 200`, and `content-length: 10` where it is `sized` (RFC 7541 appendix A).
fn head(sized: bool) -> Vec<u8> {
    let fields: &[u8] = if sized {
        b"\x88\x0f\x0d\x0210"
    } else {
        b"\x88"
    };
    frame(HEADERS, END_HEADERS, fields)
}

fn over_http1() -> Vec<Case> {
    const SIZED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let sized = |rest: &str| format!("{SIZED}{rest}");
    let chunked = |rest: &str| format!("{CHUNKED}{rest}");
    vec![
        case("all of its length", sized("helloworld"), End::Close, true),
        case(
            "all of its length, left open",
            sized("helloworld"),
            End::Open,
            true,
        ),
        case("short of its length", sized("hello"), End::Close, false),
        case(
            "short of its length, reset",
            sized("hello"),
            End::Reset,
            false,
        ),
        case("all chunks", chunked("0\r\n\r\n"), End::Close, true),
        case(
            "all chunks, left open",
            chunked("0\r\n\r\n"),
            End::Open,
            true,
        ),
        case("no last chunk", chunked(""), End::Close, false),
        case("no last chunk, cut", chunked(""), End::Cut, false),
        case("no last chunk, reset", chunked(""), End::Reset, false),
        case("half a chunk", chunked("5\r\nwo"), End::Close, false),
        case(
            "no end of the last chunk",
            chunked("0\r\n"),
            End::Close,
            false,
        ),
        case(
            "a chunk of no size",
            chunked("xyz\r\nworld\r\n0\r\n\r\n"),
            End::Open,
            false,
        ),
        case(
            "a chunk of a negative size",
            chunked("-5\r\nworld\r\n0\r\n\r\n"),
            End::Open,
            false,
        ),
        case(
            "a chunk longer than it says",
            chunked("3\r\nworld\r\n0\r\n\r\n"),
            End::Open,
            false,
        ),
        case(
            "a chunk of too large a size",
            chunked("fffffffffffffffff\r\n"),
            End::Open,
            false,
        ),
        case(
            "to the connection's end",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            End::Close,
            true,
        ),
        case(
            "cut before any end",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            End::Cut,
            false,
        ),
        case(
            "reset before any end",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            End::Reset,
            false,
        ),
    ]
}

fn over_http2() -> Vec<Case> {
    let data = |text: &[u8], flags| frame(DATA, flags, text);
    let after = |sized: bool, rest: &[Vec<u8>]| [head(sized), rest.concat()].concat();
    let hello = || data(b"hello", 0);
    vec![
        case(
            "ended",
            after(false, &[hello(), data(b"", END_STREAM)]),
            End::Open,
            true,
        ),
        case(
            "ended, and closed",
            after(false, &[hello(), data(b"", END_STREAM)]),
            End::Close,
            true,
        ),
        case(
            "all of its length",
            after(true, &[hello(), data(b"world", END_STREAM)]),
            End::Open,
            true,
        ),
        case(
            "short of its length",
            after(true, &[data(b"hello", END_STREAM)]),
            End::Open,
            false,
        ),
        case(
            "longer than its length",
            after(true, &[hello(), data(b"world!", END_STREAM)]),
            End::Open,
            false,
        ),
        case(
            "not ended, closed",
            after(false, &[hello()]),
            End::Close,
            false,
        ),
        case("not ended, cut", after(false, &[hello()]), End::Cut, false),
        case(
            "not ended, reset",
            after(false, &[hello()]),
            End::Reset,
            false,
        ),
        case(
            "the stream reset by an internal error",
            after(false, &[hello(), frame(RST_STREAM, 0, &[0, 0, 0, 2])]),
            End::Open,
            false,
        ),
        case(
            "the stream reset without an error",
            after(false, &[hello(), frame(RST_STREAM, 0, &[0; 4])]),
            End::Open,
            false,
        ),
        case(
            "the stream cancelled",
            after(false, &[hello(), frame(RST_STREAM, 0, &[0, 0, 0, 8])]),
            End::Open,
            false,
        ),
        case(
            "the connection left with an error",
            after(
                false,
                &[hello(), frame(GO_AWAY, 0, &[0, 0, 0, 1, 0, 0, 0, 2])],
            ),
            End::Close,
            false,
        ),
        case(
            "a frame of no sense",
            after(false, &[hello(), frame(RST_STREAM, 0, &[0; 3])]),
            End::Close,
            false,
        ),
    ]
}

/// Answers the first request with the bytes of a case.
async fn serve(mut server: Connection, http2: bool, response: Vec<u8>, end: End) {
    let request = if http2 {
        server.first_http2_request().await
    } else {
        server.head().await.map(drop)
    };
    if request.is_none() {
        return;
    }
    server.write(response).await;
    match end {
        End::Close => server.shutdown().await,
        End::Cut => return,
        End::Reset => return server.reset(),
        End::Open => {}
    }
    server.rest().await;
}

async fn curl(url: &str, into: &std::path::Path) -> Output {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        "15",
        "-o",
    ]);
    in_time(curl.arg(into).arg(url).output()).await.unwrap()
}

async fn assert_seen(http2: bool) {
    let folder = tempdir().unwrap();
    let into = folder.path().join("answer");
    for path in ["/x", "/api/v1/pods?watch=1"] {
        let cases = if http2 { over_http2() } else { over_http1() };
        for Case {
            name,
            response,
            end,
            whole,
        } in cases
        {
            let alpn: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
            let upstream = Upstream::with(tls_config("localhost", &[alpn]), move |server| {
                serve(server, http2, response.clone(), end)
            })
            .await;
            let kubegate = Kubegate::before(&upstream, &[]);
            let url = format!("http://{}{path}", kubegate.address);
            let output = curl(&url, &into).await;
            let description = format!("{path}, {name}, HTTP/2 {http2}: {output:?}");
            let code = output.status.code().unwrap();
            if whole {
                assert_eq!(code, WHOLE, "{description}");
                let body = fs::read(&into).unwrap();
                assert!(body.starts_with(b"hello"), "{description}");
                continue;
            }
            // 18: partial file; 22: a 502; 52: empty reply; 56: failure in receiving.
            assert!(
                matches!(code, 18 | 22 | 52 | 56),
                "{description} {}",
                kubegate.log()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncation_over_http_1_is_seen_and_nothing_else_is() {
    assert_seen(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncation_over_http_2_is_seen_and_nothing_else_is() {
    assert_seen(true).await;
}

/// RFC 9112 section 6.3: without a length a body ends with its connection. A truncation looks the
/// same in plaintext; over TLS it lacks the `close_notify` of an end (RFC 8446 section 6.1).
#[tokio::test]
async fn a_body_until_close_is_complete_in_plaintext_or_with_close_notify() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\n\r\nhello";
    let folder = tempdir().unwrap();
    let into = folder.path().join("answer");
    for (tls, end, whole) in [
        (false, End::Close, true),
        (false, End::Cut, true),
        (true, End::Close, true),
        (true, End::Cut, false),
    ] {
        let script = move |server| serve(server, false, ANSWER.into(), end);
        let upstream = if tls {
            Upstream::tls("localhost", script).await
        } else {
            Upstream::plain(script).await
        };
        let kubegate = Kubegate::before(&upstream, &[]);
        let output = curl(&format!("http://{}/x", kubegate.address), &into).await;
        let code = output.status.code().unwrap();
        assert_eq!(code == WHOLE, whole, "TLS {tls}: {output:?}");
        if whole {
            assert_eq!(fs::read(&into).unwrap(), b"hello", "TLS {tls}");
        }
    }
}
