//! Requests that the API server did not process over HTTP/2, and those that it may have.

use crate::support::{
    Connection, Kubegate, Upstream, exchange, frames,
    frames::{CANCEL, END_STREAM, HEADERS, NO_ERROR, REFUSED_STREAM, RST_STREAM},
    in_time, status,
};

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Sends a request in the background.
fn sent(kubegate: &Kubegate, request: String) -> tokio::task::JoinHandle<String> {
    let address = kubegate.address.clone();
    tokio::spawn(async move { exchange(&address, request).await })
}

const GET: &str = "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_refused_request_is_sent_again_with_its_body() {
    let (upstream, mut connections) = Upstream::http2_frames().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut server = None;
    for (request, body) in [(GET.to_owned(), ""), (post("hello"), "hello")] {
        let pending = sent(&kubegate, request);
        if server.is_none() {
            server = Some(connections.next().await);
        }
        let server = server.as_mut().unwrap();
        let (refused, first) = server.request().await;
        server.reset(refused, REFUSED_STREAM).await;
        let (stream, again) = server.request().await;
        assert!(stream > refused);
        assert_eq!((first, again), (body.into(), body.into()));
        server.answer(stream).await;
        let response = in_time(pending).await.unwrap();
        assert_eq!(status(&response), 200, "{response}");
    }
    // The server received nothing else.
    let pending = sent(&kubegate, GET.to_owned());
    let mut server = server.unwrap();
    let (stream, _) = server.request().await;
    assert_eq!(stream, 9);
    server.answer(stream).await;
    assert_eq!(status(&in_time(pending).await.unwrap()), 200);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_refused_request_with_a_body_that_is_not_kept_is_502() {
    let (upstream, mut connections) = Upstream::http2_frames().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let pending = sent(&kubegate, post(&"x".repeat(200_000)));
    let mut server = connections.next().await;
    let (stream, body) = server.request().await;
    assert_eq!(body.len(), 200_000);
    server.reset(stream, REFUSED_STREAM).await;
    let response = in_time(pending).await.unwrap();
    assert_eq!(status(&response), 502, "{response}");
    // The connection still works, and carried nothing else.
    let pending = sent(&kubegate, GET.to_owned());
    let (next, _) = server.request().await;
    assert_eq!(next, stream + 2);
    server.answer(next).await;
    assert_eq!(status(&in_time(pending).await.unwrap()), 200);
}

#[tokio::test]
async fn a_server_that_refuses_everything_is_tried_a_few_times() {
    let (upstream, mut connections) = Upstream::http2_frames().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let pending = sent(&kubegate, GET.to_owned());
    let mut server = connections.next().await;
    let refusing = tokio::spawn(async move {
        let mut refused = 0;
        while let Some(frame) = server.next().await {
            if frame.kind == HEADERS {
                server.reset(frame.stream, REFUSED_STREAM).await;
                refused += 1;
            }
        }
        refused
    });
    let response = in_time(pending).await.unwrap();
    assert_eq!(status(&response), 502, "{response}");
    drop(kubegate);
    let refused = in_time(refusing).await.unwrap();
    assert!((2..=10).contains(&refused), "{refused}");
}

#[tokio::test]
async fn after_a_goaway_unprocessed_requests_use_the_next_connection() {
    let (upstream, mut connections) = Upstream::http2_frames().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let taken = sent(&kubegate, GET.to_owned());
    let mut leaving = connections.next().await;
    assert_eq!(leaving.request().await.0, 1);
    let untaken = [
        sent(&kubegate, GET.to_owned()),
        sent(&kubegate, post("hello")),
    ];
    let mut bodies = Vec::new();
    let mut ended = 0;
    while ended < 2 {
        let frame = leaving.next().await.unwrap();
        assert!(matches!(frame.stream, 3 | 5), "{frame:?}");
        if frame.kind == frames::DATA {
            bodies.extend(frame.payload);
        }
        ended += usize::from(frame.flags & END_STREAM != 0);
    }
    assert_eq!(bodies, b"hello");
    leaving.go_away(1).await;
    let mut next = connections.next().await;
    for _ in 0..2 {
        let (stream, body) = next.request().await;
        assert!(body.is_empty() || body == b"hello");
        next.answer(stream).await;
    }
    for pending in untaken {
        let response = in_time(pending).await.unwrap();
        assert_eq!(status(&response), 200, "{response}");
    }
    // The server answers the request that it accepted, and then the connection ends.
    assert!(!taken.is_finished());
    leaving.answer(1).await;
    let response = in_time(taken).await.unwrap();
    assert_eq!(status(&response), 200, "{response}");
    assert!(leaving.next().await.is_none());
    assert_eq!(upstream.connections(), 2);
}

#[tokio::test]
async fn after_a_goaway_processed_requests_are_not_sent_again() {
    let (upstream, mut connections) = Upstream::http2_frames().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    // A GET could be sent again: it changes nothing.
    let pending = sent(&kubegate, post("hello"));
    let mut leaving = connections.next().await;
    let (stream, _) = leaving.request().await;
    leaving.go_away(stream).await;
    drop(leaving);
    let response = in_time(pending).await.unwrap();
    assert_eq!(status(&response), 502, "{response}");
    assert_eq!(upstream.connections(), 1);
}

/// A client that has sent the first chunk of its body.
async fn client_that_sends(kubegate: &Kubegate) -> Connection {
    let mut client = Connection::open(&kubegate.address).await;
    let head = "POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write(format!("{head}1\r\na\r\n")).await;
    client
}

#[tokio::test]
async fn an_early_response_before_a_no_error_reset_keeps_its_end() {
    let (upstream, mut connections) = Upstream::http2_frames().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut server = None;
    for whole in [true, false] {
        let mut client = client_that_sends(&kubegate).await;
        if server.is_none() {
            server = Some(connections.next().await);
        }
        let server = server.as_mut().unwrap();
        let head = server.next().await.unwrap();
        assert_eq!(server.next().await.unwrap().payload, b"a");
        // RFC 9113 section 8.1: the client stops sending, and keeps the response.
        if whole {
            server.answer(head.stream).await;
        } else {
            server.begin_answer(head.stream).await;
        }
        server.reset(head.stream, NO_ERROR).await;
        let response = in_time(client.rest()).await;
        let response = String::from_utf8_lossy(&response);
        assert!(
            response.is_empty() || status(&response) == 200,
            "{response}"
        );
        assert_eq!(
            response.ends_with("2\r\nok\r\n0\r\n\r\n"),
            whole,
            "{response}"
        );
    }
}

#[tokio::test]
async fn a_client_that_disconnects_while_sending_cancels_its_stream() {
    let (upstream, mut connections) = Upstream::http2_frames().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut server = None;
    for answered in [false, true] {
        let mut client = client_that_sends(&kubegate).await;
        if server.is_none() {
            server = Some(connections.next().await);
        }
        let server = server.as_mut().unwrap();
        let head = server.next().await.unwrap();
        assert_eq!(server.next().await.unwrap().payload, b"a");
        if answered {
            server.begin_answer(head.stream).await;
            in_time(client.head()).await.unwrap();
        }
        drop(client);
        let reset = server.next().await.unwrap();
        assert_eq!((reset.kind, reset.stream), (RST_STREAM, head.stream));
        assert_eq!(reset.payload, CANCEL.to_be_bytes());
    }
    assert_eq!(upstream.connections(), 1);
}
