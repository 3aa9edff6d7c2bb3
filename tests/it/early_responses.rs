//! Responses that come before the request's body: clients receive each of them, and the connection
//! stays open or the response announces its close.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use crate::support::{Connection, Kubegate, PATIENCE, Upstream, status};

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// Sends a request in these pieces and only then reads, as many clients do. A failed write is an
/// error.
fn blocking(address: &str, pieces: &[&[u8]]) -> io::Result<String> {
    let mut stream: Box<dyn Stream> = if address.starts_with('/') {
        let stream = UnixStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Box::new(stream)
    } else {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Box::new(stream)
    };
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            // Long enough for a response to the first piece, and for a close.
            std::thread::sleep(Duration::from_millis(100));
        }
        stream.write_all(piece)?;
    }
    let mut response = Vec::new();
    let mut byte = [0; 4096];
    // Reads to the end of the response.
    loop {
        let read = stream.read(&mut byte)?;
        response.extend_from_slice(&byte[..read]);
        let text = String::from_utf8_lossy(&response);
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.to_lowercase();
            let length = length.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.split("\r\n").next());
            length.is_none_or(|length| body.len() >= length.parse().unwrap())
        });
        if read == 0 || whole {
            return Ok(text.into_owned());
        }
    }
}

async fn sent(address: &str, pieces: &[&[u8]]) -> String {
    let address = address.to_owned();
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let sending = tokio::task::spawn_blocking(move || {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        blocking(&address, &pieces)
    });
    sending
        .await
        .unwrap()
        .expect("the response is lost in a reset")
}

fn closes(response: &str) -> bool {
    response
        .to_lowercase()
        .contains("\r\nconnection: close\r\n")
}

/// Requests that fail: refused by the guard (403, 405), or without an API server (502).
const REFUSED: [(&str, u16); 3] = [
    ("POST /api/v1/namespaces/x/pods/p/exec", 403),
    ("POST /", 502),
    ("TRACE /", 405),
];

async fn refused_everywhere(address: &str) {
    let large = vec![b'x'; 3 << 20];
    for (line, code) in REFUSED {
        let head =
            |framing: &str| format!("{line} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
        let length = head("Content-Length: 5");
        let expect = head("Expect: 100-continue\r\nContent-Length: 5");
        let chunked = head("Transfer-Encoding: chunked");
        let long = head(&format!("Content-Length: {}", large.len()));
        let cases: [&[&[u8]]; 5] = [
            &[length.as_bytes(), b"hello"],
            &[expect.as_bytes(), b"hello"],
            &[chunked.as_bytes(), b"5\r\nhello\r\n0\r\n\r\n"],
            &[chunked.as_bytes(), b"5\r\nhello\r\n", b"0\r\n\r\n"],
            &[long.as_bytes(), &large],
        ];
        for pieces in cases {
            let response = sent(address, pieces).await;
            assert_eq!(status(&response), code, "{pieces:?}: {response}");
            assert!(
                closes(&response),
                "{:?}: {response}",
                String::from_utf8_lossy(pieces[0])
            );
        }
        // A body that arrives with the head is discarded, and the connection stays open.
        let whole = length + "hello";
        let response = sent(address, &[whole.as_bytes()]).await;
        assert_eq!(status(&response), code, "{response}");
        assert_eq!(closes(&response), code == 405, "{response}");
    }
}

#[tokio::test]
async fn clients_that_write_first_receive_an_early_refusal() {
    // No server listens there.
    let kubegate = Kubegate::before_url("http://127.0.0.1:1", &[]);
    refused_everywhere(&kubegate.address).await;
}

#[tokio::test]
async fn an_early_refusal_is_received_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubegate.sock");
    let path = path.to_str().unwrap();
    let _kubegate = Kubegate::before_url("http://127.0.0.1:1", &["--unix-socket", path]);
    refused_everywhere(path).await;
}

/// A server that responds to the head alone, and then closes or reads the body.
async fn hasty(reads: bool) -> Upstream {
    Upstream::plain(move |mut connection: Connection| async move {
        while let Some(head) = connection.head().await {
            let (code, close) = if reads {
                ("200 OK", "")
            } else {
                ("413 Too Large", "Connection: close\r\n")
            };
            let response = format!("HTTP/1.1 {code}\r\n{close}Content-Length: 2\r\n\r\nno");
            connection.write(response).await;
            if !reads {
                return;
            }
            let length = head.to_lowercase();
            let length = length.split("content-length: ").nth(1).map_or(0, |rest| {
                rest.split("\r\n").next().unwrap().parse().unwrap()
            });
            connection.exactly(length).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_early_response_of_the_server_announces_the_close() {
    let large = vec![b'x'; 3 << 20];
    for (reads, code) in [(false, 413), (true, 200)] {
        let upstream = hasty(reads).await;
        let kubegate = Kubegate::before(&upstream, &[]);
        for (framing, body) in [
            ("Content-Length: 5".to_owned(), &b"hello"[..]),
            (format!("Content-Length: {}", large.len()), &large),
        ] {
            let head =
                format!("POST /api/v1/pods HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
            let response = sent(&kubegate.address, &[head.as_bytes(), body]).await;
            assert_eq!(status(&response), code, "{framing}: {response}");
            assert!(closes(&response), "{framing}: {response}");
        }
    }
}

#[tokio::test]
async fn a_response_after_the_body_keeps_the_connection() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    for (framing, pieces) in [
        ("Content-Length: 5", &["hello"][..]),
        ("Content-Length: 5", &["he", "llo"]),
        ("Content-Length: 5\r\nExpect: 100-continue", &["hello"]),
        ("Transfer-Encoding: chunked", &["5\r\nhello\r\n0\r\n\r\n"]),
        (
            "Transfer-Encoding: chunked",
            &["5\r\nhello\r\n", "0\r\n\r\n"],
        ),
        ("X-None: none", &[]),
    ] {
        for together in [true, false] {
            let head = format!("PUT /x HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
            if together {
                client.write(head + &pieces.concat()).await;
            } else {
                client.write(head).await;
                for piece in pieces {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    client.write(piece).await;
                }
            }
            let mut response = client.response().await.unwrap();
            if response.head.starts_with("HTTP/1.1 100 ") {
                response = client.response().await.unwrap();
            }
            assert_eq!(status(&response.head), 200, "{framing}: {response:?}");
            assert!(!closes(&response.head), "{framing}: {response:?}");
        }
    }
}
