//! Bodies stream both ways as they come, end as they ended, and stop with who stopped first.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::support::{Connection, Kubegate, Upstream, exchange, halt, in_time};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn request(method: &str, lines: &str) -> String {
    format!("{method} /x HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

#[tokio::test]
async fn an_answer_reaches_the_client_chunk_by_chunk() {
    let (upstream, mut connections) = Upstream::handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for target in [
        "/x",
        "/api/v1/pods?watch=1",
        "/api/v1/namespaces/a/pods/b/log?follow=true",
    ] {
        let mut client = Connection::open(&kubegate.address).await;
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        in_time(async {
            client.write(head).await;
            let mut server = connections.next().await;
            server.head().await.unwrap();
            server.write(CHUNKED).await;
            // Not even a first byte of the body is needed for the head to pass.
            assert!(client.head().await.unwrap().starts_with("HTTP/1.1 200 "));
            for event in ["{\"type\":\"ADDED\"}\n", "x", &"y".repeat(100_000)] {
                server
                    .write(format!("{:x}\r\n{event}\r\n", event.len()))
                    .await;
                let mut arrived = Vec::new();
                while arrived.len() < event.len() {
                    arrived.extend(client.chunk().await.unwrap());
                }
                assert_eq!(arrived, event.as_bytes());
            }
            server.write("0\r\nConnection: close\r\n\r\n").await;
            drop(server);
            assert_eq!(client.chunk().await.unwrap(), b"");
        })
        .await;
    }
}

#[tokio::test]
async fn a_watch_that_answers_before_its_request_has_ended_takes_the_rest_of_it() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 22:00:00 GMT\r\n\
                        Transfer-Encoding: chunked\r\n\r\n";
    let (upstream, mut connections) = Upstream::handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    in_time(async {
        client
            .write(
                "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\n\
                 Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
            )
            .await;
        let mut server = connections.next().await;
        server.head().await.unwrap();
        assert_eq!(server.chunk().await.unwrap(), b"one");
        server.write(HEAD).await;
        assert!(client.head().await.unwrap().starts_with("HTTP/1.1 200 "));
        client.write("3\r\ntwo\r\n0\r\n\r\n").await;
        assert_eq!(server.chunk().await.unwrap(), b"two");
        server.write("5\r\nevent\r\n0\r\n\r\n").await;
        assert_eq!(client.chunk().await.unwrap(), b"event");
        assert_eq!(client.chunk().await.unwrap(), b"");
    })
    .await;
}

#[tokio::test]
async fn a_request_reaches_the_server_chunk_by_chunk() {
    let (upstream, mut connections) = Upstream::handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    // With our credential it is remembered for a replay, with the client's it is not.
    for lines in ["", "Authorization: Bearer mine\r\n"] {
        let mut client = Connection::open(&kubegate.address).await;
        let head = request(
            "POST",
            &format!("{lines}Connection: close\r\nTransfer-Encoding: chunked\r\n"),
        );
        in_time(async {
            client.write(head).await;
            let mut server = connections.next().await;
            server.head().await.unwrap();
            for part in ["one", "two", &"three".repeat(30_000)] {
                client
                    .write(format!("{:x}\r\n{part}\r\n", part.len()))
                    .await;
                let mut arrived = Vec::new();
                while arrived.len() < part.len() {
                    arrived.extend(server.chunk().await.unwrap());
                }
                assert_eq!(arrived, part.as_bytes());
            }
            client.write("0\r\n\r\n").await;
            assert_eq!(server.chunk().await.unwrap(), b"");
            server.answer("done").await;
            assert_eq!(client.response().await.unwrap().body, b"done");
        })
        .await;
    }
}

#[tokio::test]
async fn a_body_of_known_length_streams_too() {
    let (upstream, mut connections) = Upstream::handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    in_time(async {
        client.write(request("PUT", "Content-Length: 6\r\n")).await;
        client.write("one").await;
        let mut server = connections.next().await;
        assert!(
            server
                .head()
                .await
                .unwrap()
                .contains("content-length: 6\r\n")
        );
        assert_eq!(server.exactly(3).await.unwrap(), b"one");
        client.write("two").await;
        assert_eq!(server.exactly(3).await.unwrap(), b"two");
        server
            .write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
            .await;
        assert!(
            client
                .head()
                .await
                .unwrap()
                .contains("content-length: 6\r\n")
        );
        assert_eq!(client.exactly(3).await.unwrap(), b"abc");
        server.write("def").await;
        assert_eq!(client.exactly(3).await.unwrap(), b"def");
    })
    .await;
}

#[tokio::test]
async fn an_answer_may_come_before_the_request_has_ended() {
    let (upstream, mut connections) = Upstream::handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    in_time(async {
        client
            .write(request("POST", "Transfer-Encoding: chunked\r\n"))
            .await;
        client.write("3\r\none\r\n").await;
        let mut server = connections.next().await;
        server.head().await.unwrap();
        assert_eq!(server.chunk().await.unwrap(), b"one");
        server.write(format!("{CHUNKED}1\r\na\r\n")).await;
        assert!(client.head().await.unwrap().starts_with("HTTP/1.1 200 "));
        assert_eq!(client.chunk().await.unwrap(), b"a");
        client.write("3\r\ntwo\r\n0\r\n\r\n").await;
        assert_eq!(server.chunk().await.unwrap(), b"two");
        assert_eq!(server.chunk().await.unwrap(), b"");
        server.write("1\r\nb\r\n0\r\n\r\n").await;
        assert_eq!(client.chunk().await.unwrap(), b"b");
        assert_eq!(client.chunk().await.unwrap(), b"");
    })
    .await;
}

#[tokio::test]
async fn trailers_pass_both_ways_where_they_are_announced() {
    let (upstream, mut connections) = Upstream::handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    in_time(async {
        client
            .write(request(
                "POST",
                "Connection: TE\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n",
            ))
            .await;
        client.write("1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n").await;
        let mut server = connections.next().await;
        let head = server.head().await.unwrap();
        assert!(head.contains("te: trailers\r\n"), "{head}");
        assert!(head.contains("trailer: X-Sum\r\n"), "{head}");
        assert_eq!(server.chunk().await.unwrap(), b"a");
        assert_eq!(server.chunk().await.unwrap(), b"");
        assert_eq!(server.trailers().await.unwrap(), "x-sum: 7\r\n\r\n");
        server
            .write("HTTP/1.1 200 OK\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        server.write("1\r\nb\r\n0\r\nX-End: 8\r\n\r\n").await;
        let head = client.head().await.unwrap();
        assert!(head.contains("trailer: X-End\r\n"), "{head}");
        assert_eq!(client.chunk().await.unwrap(), b"b");
        assert_eq!(client.chunk().await.unwrap(), b"");
        assert_eq!(client.trailers().await.unwrap(), "x-end: 8\r\n\r\n");
    })
    .await;
}

#[tokio::test]
async fn trailers_say_nothing_that_headers_may_not() {
    let (upstream, mut connections) = Upstream::handed().await;
    let kubegate = Kubegate::before(&upstream, &["--as", "jane"]);
    let mut client = Connection::open(&kubegate.address).await;
    in_time(async {
        client
            .write(request(
                "POST",
                "Trailer: X-Remote-User, X_Remote_Group, Impersonate-User, X-Sum\r\n\
                 Transfer-Encoding: chunked\r\n",
            ))
            .await;
        client
            .write(
                "1\r\na\r\n0\r\nX-Remote-User: admin\r\nX_Remote_Group: system:masters\r\n\
                 Impersonate-User: root\r\nX-Sum: 7\r\n\r\n",
            )
            .await;
        let mut server = connections.next().await;
        server.head().await.unwrap();
        assert_eq!(server.chunk().await.unwrap(), b"a");
        assert_eq!(server.chunk().await.unwrap(), b"");
        assert_eq!(server.trailers().await.unwrap(), "x-sum: 7\r\n\r\n");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_before_its_body() {
    let (upstream, mut connections) = Upstream::handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    in_time(async {
        client
            .write(request(
                "POST",
                "Expect: 100-continue\r\nContent-Length: 3\r\n",
            ))
            .await;
        assert_eq!(
            client.head().await.unwrap(),
            "HTTP/1.1 100 Continue\r\n\r\n"
        );
        client.write("abc").await;
        let mut server = connections.next().await;
        server.head().await.unwrap();
        // A server may say so as well; the client was told already.
        server.write("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(server.exactly(3).await.unwrap(), b"abc");
        server.answer("done").await;
        assert_eq!(client.response().await.unwrap().body, b"done");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_expects_100_continue_is_refused_without_it() {
    let (upstream, _connections) = Upstream::handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    let head = request(
        "POST",
        "Origin: null\r\nExpect: 100-continue\r\nContent-Length: 3\r\n",
    );
    client.write(head).await;
    let head = in_time(client.head()).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
}

#[tokio::test]
async fn a_server_that_fails_in_mid_body_is_seen_to_fail() {
    let (upstream, mut connections) = Upstream::handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for head in [CHUNKED, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"] {
        let mut client = Connection::open(&kubegate.address).await;
        in_time(async {
            client.write(request("GET", "")).await;
            let mut server = connections.next().await;
            server.head().await.unwrap();
            server.write(head).await;
            server.write("5\r\nhello\r\n").await;
            client.head().await.unwrap();
            client.exactly(5).await.unwrap();
            drop(server);
            let rest = client.rest().await;
            let rest = String::from_utf8_lossy(&rest);
            assert!(
                !rest.contains("0\r\n\r\n") && !rest.contains("HTTP/1.1"),
                "{rest:?}"
            );
        })
        .await;
    }
    // The control: a body that has no length but the connection's end may end by it.
    let mut client = Connection::open(&kubegate.address).await;
    in_time(async {
        client.write(request("GET", "Connection: close\r\n")).await;
        let mut server = connections.next().await;
        server.head().await.unwrap();
        server.write("HTTP/1.1 200 OK\r\n\r\nhello").await;
        server.shutdown().await;
        client.head().await.unwrap();
        assert_eq!(client.chunk().await.unwrap(), b"hello");
        assert_eq!(client.chunk().await.unwrap(), b"");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_upstream() {
    let (upstream, mut connections) = Upstream::handed().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for (lines, body) in [
        ("", ""),
        ("Transfer-Encoding: chunked\r\n", "3\r\none\r\n"),
        ("Content-Length: 9\r\n", "one"),
        ("Content-Length: 3\r\n", "one"),
    ] {
        // Waiting for the head; in mid-body; in mid-body of a watch.
        for (target, response) in [
            ("/x", ""),
            ("/x", CHUNKED),
            ("/api/v1/pods?watch=1", CHUNKED),
        ] {
            let mut client = Connection::open(&kubegate.address).await;
            let method = if body.is_empty() { "GET" } else { "POST" };
            in_time(async {
                client
                    .write(format!(
                        "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n{body}"
                    ))
                    .await;
                let mut server = connections.next().await;
                server.head().await.unwrap();
                if !body.is_empty() {
                    server.exactly(body.len()).await.unwrap();
                }
                if !response.is_empty() {
                    server.write(response).await;
                    client.head().await.unwrap();
                }
                drop(client);
                // Nothing more comes, and no end of a chunked body that never ended.
                assert_eq!(server.rest().await, b"", "{method} {target} {lines:?}");
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_slows_the_server() {
    let written = Arc::new(AtomicUsize::new(0));
    let progress = written.clone();
    let upstream = Upstream::plain(move |mut connection: Connection| {
        let progress = progress.clone();
        async move {
            connection.head().await;
            connection.write(CHUNKED).await;
            // Far more than any buffers on the way hold.
            let chunk = format!("10000\r\n{}\r\n", "z".repeat(0x10000));
            for _ in 0..1024 {
                connection.write(&chunk).await;
                progress.fetch_add(0x10000, Ordering::SeqCst);
            }
            connection.write("0\r\n\r\n").await;
        }
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    client.write(request("GET", "")).await;
    in_time(client.head()).await.unwrap();
    let halted_at = in_time(halt(&written)).await;
    // Socket buffers grow to 6 MiB each on Linux.
    assert!(halted_at < 32 << 20, "{halted_at} bytes went to nobody");
    let mut total = 0;
    in_time(async {
        loop {
            match client.chunk().await.unwrap().len() {
                0 => break,
                n => total += n,
            }
        }
    })
    .await;
    assert_eq!(total, 64 << 20);
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let body = "b".repeat(5 << 20);
    for (lines, code) in [
        ("Origin: null\r\n", "403"),
        ("Host: two\r\n", "400"),
        ("Connection: host\r\n", "400"),
    ] {
        let head = request(
            "POST",
            &format!("{lines}Content-Length: {}\r\n", body.len()),
        );
        let response = exchange(&kubegate.address, head + &body).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {code} ")),
            "{response:?}"
        );
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_does_not_wait_for_the_body_reaches_the_client() {
    const TOO_LARGE: &str =
        "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
    let upstream = Upstream::tls("localhost", async |mut connection: Connection| {
        connection.head().await;
        connection.write(TOO_LARGE).await;
        connection.shutdown().await;
        // As servers do that want their answer to arrive.
        connection.rest().await;
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let body = "b".repeat(5 << 20);
    for lines in ["", "Authorization: Bearer mine\r\n"] {
        let lines = format!(
            "{lines}Connection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        let response = exchange(&kubegate.address, request("POST", &lines) + &body).await;
        assert!(response.starts_with("HTTP/1.1 413 "), "{response:?}");
        assert!(response.ends_with("\r\n\r\nno"), "{response:?}");
    }
}
