//! What the API server is asked, and what the client is told, is what the other one said.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::support::{Connection, Kubegate, Upstream, exchange, get, in_time, status};

/// The request line that reached an echoing server.
fn request_line_of(response: &str) -> &str {
    assert_eq!(status(response), 200, "{response}");
    let body = response.split("\r\n\r\n").nth(1).unwrap();
    body.split("\r\n").next().unwrap()
}

/// The values of a header in what an echoing server was asked.
fn values<'a>(response: &'a str, name: &str) -> Vec<&'a str> {
    let (_, request) = response.split_once("\r\n\r\n").unwrap();
    let lines = request.split("\r\n").skip(1);
    lines
        .filter_map(|line| line.split_once(": "))
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

/// A GET with these header lines, whole answer.
async fn get_with(kubegate: &Kubegate, lines: &str) -> String {
    let head = format!("GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
    exchange(&kubegate.address, head).await
}

#[tokio::test]
async fn paths_and_queries_go_through_byte_for_byte() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for path in [
        "/",
        "/?",
        "/x?",
        "/api//v1/%2F?x=%20",
        "//",
        "//evil.example/x",
        "/a%20b%2fc%2Fd%3F%23",
        "/api/v1/namespaces/x/services/https:web:443/proxy/a%2Fb//c/?d=e%26f&&g==&=?/?",
        "/a;b=c,d:e@f!g$h&i'j(k)*l+m=n-o._~",
        "/?labelSelector=a%20in%20%28b%2Cc%29&x=a+b",
        "/?q=[]{}|`^",
        "/%E2%82%AC/\u{20ac}?\u{20ac}",
        "/./x",
        "/...",
        "/%25252e",
        "/?a=/../b%00%0d%0a",
    ] {
        let response = get(&kubegate.address, path).await;
        assert_eq!(request_line_of(&response), format!("GET {path} HTTP/1.1"));
    }
    let long = format!("/{}?{}", "a".repeat(30_000), "b".repeat(20_000));
    let response = get(&kubegate.address, &long).await;
    assert_eq!(request_line_of(&response), format!("GET {long} HTTP/1.1"));
}

#[tokio::test]
async fn an_api_prefix_is_taken_off_unless_it_begins_with_api() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &["--api-prefix", "/k8s"]);
    for (path, line) in [
        ("/k8s/api//v1/%2F?x=%20", "GET /api//v1/%2F?x=%20 HTTP/1.1"),
        ("/k8s/", "GET / HTTP/1.1"),
        ("/k8s/?x", "GET /?x HTTP/1.1"),
        ("/k8s//x", "GET //x HTTP/1.1"),
    ] {
        assert_eq!(request_line_of(&get(&kubegate.address, path).await), line);
    }
    let response = get(&kubegate.address, "/k8s?x").await;
    assert_eq!(status(&response), 307, "{response}");
    assert!(response.contains("location: /k8s/?x\r\n"), "{response}");
    for path in [
        "/",
        "/api/v1",
        "/k8sx/api",
        "/x/k8s/api",
        "//k8s/api",
        "/%6b8s/api",
    ] {
        let response = get(&kubegate.address, path).await;
        assert_eq!(status(&response), 404, "{path}: {response}");
        assert!(response.contains("--api-prefix"), "{response}");
    }
    // What the prefix hides from a pattern of paths, taking it off shows.
    let response = get(&kubegate.address, "/k8s/api/v1/namespaces/x/pods/p/exec").await;
    assert_eq!(status(&response), 403, "{response}");

    let kubegate = Kubegate::before(&upstream, &["--api-prefix", "/api/v1/"]);
    let response = get(&kubegate.address, "/api/v1/pods").await;
    assert_eq!(request_line_of(&response), "GET /api/v1/pods HTTP/1.1");
    assert_eq!(status(&get(&kubegate.address, "/version").await), 404);
}

#[tokio::test]
async fn the_servers_own_path_comes_before_the_requests_unless_turned_off() {
    let upstream = Upstream::plain(Connection::echo).await;
    let url = upstream.url() + "/k8s/clusters/c-1/";
    let kubegate = Kubegate::before_url(&url, &[]);
    for (path, line) in [
        (
            "/api//v1/%2F?x=%20",
            "GET /k8s/clusters/c-1/api//v1/%2F?x=%20 HTTP/1.1",
        ),
        ("/", "GET /k8s/clusters/c-1/ HTTP/1.1"),
        ("/?x", "GET /k8s/clusters/c-1/?x HTTP/1.1"),
    ] {
        assert_eq!(request_line_of(&get(&kubegate.address, path).await), line);
    }
    let kubegate = Kubegate::before_url(&url, &["--append-server-path=false"]);
    let response = get(&kubegate.address, "/api?x").await;
    assert_eq!(request_line_of(&response), "GET /api?x HTTP/1.1");
}

#[tokio::test]
async fn the_host_is_the_api_servers() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = get_with(&kubegate, "X-Forwarded-Host: evil.example\r\n").await;
    let host = format!("localhost:{}", upstream.port());
    assert_eq!(values(&response, "host"), [host]);
}

#[tokio::test]
async fn what_connection_lines_name_is_taken_off() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = get_with(
        &kubegate,
        "Connection: X-One, ,x-two\r\nconnection:\tX-Three\r\nX-One: 1\r\nX-Two: 2\r\n\
         x-three: 3\r\nX-Three: 4\r\nX-Four: 4\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nTE: gzip\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAAA\r\nX-Five: 5\r\nX-Five: 6\r\n",
    )
    .await;
    assert_eq!(request_line_of(&response), "GET /x HTTP/1.1");
    for removed in [
        "connection",
        "x-one",
        "x-two",
        "x-three",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
        "http2-settings",
    ] {
        assert!(
            values(&response, removed).is_empty(),
            "{removed}: {response}"
        );
    }
    assert_eq!(values(&response, "x-four"), ["4"]);
    assert_eq!(values(&response, "x-five"), ["5", "6"]);
}

#[tokio::test]
async fn what_the_servers_connection_lines_name_is_taken_off_its_answer() {
    let upstream = Upstream::plain(async |mut connection: Connection| {
        connection.request().await;
        connection
            .write(
                "HTTP/1.1 200 OK\r\nConnection: close, X-One\r\nConnection: x-two\r\nX-One: 1\r\n\
                 X-Two: 2\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nX-Three: 3\r\n\
                 Content-Length: 2\r\n\r\nok",
            )
            .await;
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    client
        .write("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let response = in_time(client.response()).await.unwrap();
    let head = response.head.to_lowercase();
    for removed in [
        "x-one",
        "x-two",
        "keep-alive",
        "proxy-authenticate",
        "connection",
    ] {
        assert!(!head.contains(removed), "{removed}: {head}");
    }
    assert!(head.contains("x-three: 3\r\n"), "{head}");
    assert_eq!(response.body, b"ok");
    // The server's wish to close was about its own connection.
    client
        .write("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert_eq!(in_time(client.response()).await.unwrap().body, b"ok");
}

#[tokio::test]
async fn a_connection_that_names_a_protected_header_is_400() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for name in [
        "Authorization",
        "Host",
        "Impersonate-User",
        "impersonate_group",
        "Content-Length",
        "Transfer-Encoding",
        "Origin",
        "X-Remote-User",
        "X-Forwarded-For",
        "Cookie",
        "Sec-WebSocket-Key",
        "x-a, authorization",
        "a b",
    ] {
        let response = get_with(&kubegate, &format!("Connection: {name}\r\n")).await;
        assert_eq!(status(&response), 400, "{name}: {response}");
    }
    assert_eq!(upstream.connections(), 0);
    let response = get_with(&kubegate, "Connection: x-a, X_b\r\n").await;
    assert_eq!(status(&response), 200, "{response}");
}

#[tokio::test]
async fn what_only_a_front_proxy_may_say_never_passes() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = get_with(
        &kubegate,
        "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\nx-remote-extra-a: b\r\n\
         X_Remote_User: admin\r\nX-Remote_Group: g\r\nx_remote-uid: 0\r\nX-Remote-User: two\r\n\
         Remote-User: admin\r\nX-Forwarded-User: admin\r\nX-Auth-Request-User: admin\r\n\
         X-Request-Id: 7\r\n",
    )
    .await;
    assert_eq!(values(&response, "x-request-id"), ["7"]);
    let request = response.split("\r\n\r\n").nth(1).unwrap().to_lowercase();
    for removed in ["remote", "admin", "auth-request", "masters"] {
        assert!(!request.contains(removed), "{removed}: {request}");
    }
}

#[tokio::test]
async fn x_forwarded_for_is_the_peers_address_alone() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for lines in [
        "",
        "X-Forwarded-For: 8.8.8.8\r\nX-Forwarded-For: 9.9.9.9, 1.1.1.1\r\n",
    ] {
        let response = get_with(&kubegate, lines).await;
        assert_eq!(values(&response, "x-forwarded-for"), ["127.0.0.1"]);
    }
}

#[tokio::test]
async fn behind_a_unix_socket_there_is_no_address_to_name() {
    let upstream = Upstream::plain(Connection::echo).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubegate.sock");
    let path = path.to_str().unwrap();
    let kubegate = Kubegate::before(&upstream, &["--unix-socket", path]);
    assert_eq!(kubegate.address, path);
    let mut client = Connection::open_unix(path).await;
    client
        .write("GET /x HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 8.8.8.8\r\n\r\n")
        .await;
    let response = in_time(client.response()).await.unwrap();
    let request = String::from_utf8(response.body).unwrap();
    assert!(request.starts_with("GET /x HTTP/1.1\r\n"), "{request}");
    assert!(!request.to_lowercase().contains("forwarded"), "{request}");
}

#[tokio::test]
async fn a_user_agent_passes_and_ours_stands_in_for_none() {
    let upstream = Upstream::plain(Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = get_with(&kubegate, "User-Agent: kubectl/v1.35.0\r\n").await;
    assert_eq!(values(&response, "user-agent"), ["kubectl/v1.35.0"]);
    let response = get_with(&kubegate, "").await;
    assert!(
        values(&response, "user-agent")[0].starts_with("kubegate/"),
        "{response}"
    );
}

#[tokio::test]
async fn nothing_is_compressed_that_the_client_did_not_ask_for() {
    const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03not really";
    let upstream = Upstream::plain(async |mut connection: Connection| {
        while let Some(request) = connection.request().await {
            if request.head.contains("accept-encoding: gzip\r\n") {
                let length = GZIP.len();
                connection
                    .write(format!(
                        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
                    ))
                    .await;
                connection.write(GZIP).await;
            } else {
                connection.answer(&request.head).await;
            }
        }
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let plain = get_with(&kubegate, "").await;
    assert!(values(&plain, "accept-encoding").is_empty(), "{plain}");
    assert!(!plain.contains("content-encoding"), "{plain}");
    let mut client = Connection::open(&kubegate.address).await;
    client
        .write("GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n")
        .await;
    let zipped = in_time(client.response()).await.unwrap();
    assert!(
        zipped.head.contains("content-encoding: gzip\r\n"),
        "{}",
        zipped.head
    );
    assert_eq!(zipped.body, GZIP);
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_in_step() {
    let upstream = Upstream::plain(async |mut connection: Connection| {
        while let Some(request) = connection.request().await {
            let response = match request.head.split(' ').nth(1).unwrap() {
                "/204" => "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nEtag: \"e\"\r\nContent-Length: 9\r\n\r\n",
                "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n",
                "/chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend",
            };
            connection.write(response).await;
        }
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    for (line, first, header) in [
        ("GET /204", "HTTP/1.1 204 ", "x-a: b\r\n"),
        ("GET /304", "HTTP/1.1 304 ", "etag: \"e\"\r\n"),
        ("HEAD /head", "HTTP/1.1 200 ", "content-length: 12345\r\n"),
        ("HEAD /chunked", "HTTP/1.1 200 ", "\r\n"),
    ] {
        client
            .write(format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .await;
        let head = in_time(client.head()).await.unwrap();
        assert!(
            head.starts_with(first) && head.contains(header),
            "{line}: {head}"
        );
    }
    client
        .write("GET /end HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert_eq!(in_time(client.response()).await.unwrap().body, b"end");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn large_and_many_headers_pass_both_ways() {
    let upstream = Upstream::plain(async |mut connection: Connection| {
        while let Some(request) = connection.request().await {
            let cookie = |n| format!("Set-Cookie: c{n}={}\r\n", "v".repeat(300));
            let cookies: String = (0..200).map(cookie).collect();
            let text = request.head.len().to_string();
            let length = text.len();
            let head =
                format!("HTTP/1.1 200 OK\r\n{cookies}Content-Length: {length}\r\n\r\n{text}");
            connection.write(head).await;
        }
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let lines = format!(
        "X-Large: {}\r\n{}",
        "x".repeat(60_000),
        "X-Many: y\r\n".repeat(90)
    );
    let response = get_with(&kubegate, &lines).await;
    assert_eq!(status(&response), 200, "{response}");
    assert_eq!(response.matches("set-cookie: ").count(), 200);
    let (_, length) = response.split_once("\r\n\r\n").unwrap();
    assert!(length.parse::<usize>().unwrap() > lines.len(), "{length}");
}

#[tokio::test]
async fn redirects_and_errors_pass_as_they_are() {
    let upstream = Upstream::plain(async |mut connection: Connection| {
        while let Some(request) = connection.request().await {
            connection
                .write(if request.head.contains(" /moved ") {
                    "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 2\r\n\r\nno"
                } else {
                    "HTTP/1.1 418 I am\r\nX-A: b\r\nContent-Length: 3\r\n\r\ntea"
                })
                .await;
        }
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = get(&kubegate.address, "/moved").await;
    assert_eq!(status(&response), 302, "{response}");
    assert!(
        response.contains("location: http://127.0.0.1:1/x\r\n"),
        "{response}"
    );
    assert!(response.ends_with("\r\n\r\nno"), "{response}");
    let response = get(&kubegate.address, "/tea").await;
    assert_eq!(status(&response), 418, "{response}");
    assert!(
        response.contains("x-a: b\r\n") && response.ends_with("\r\n\r\ntea"),
        "{response}"
    );
}

#[tokio::test]
async fn sequential_requests_share_one_connection() {
    let upstream = Upstream::tls("localhost", Connection::echo).await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    for n in 0..20 {
        client
            .write(format!("GET /{n} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .await;
        let response = in_time(client.response()).await.unwrap();
        assert!(response.body.starts_with(format!("GET /{n} ").as_bytes()));
    }
    // Another client shares it too.
    assert_eq!(status(&get(&kubegate.address, "/x").await), 200);
    assert_eq!(upstream.connections(), 1);
}

/// A server that closes behind each answer without a word about it.
async fn closes_in_silence() -> Upstream {
    Upstream::tls("localhost", async |mut connection: Connection| {
        connection.request().await;
        connection.answer("once").await;
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_not_the_clients_trouble() {
    let upstream = closes_in_silence().await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let mut client = Connection::open(&kubegate.address).await;
    for _ in 0..30 {
        client
            .write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        let response = in_time(client.response()).await.unwrap();
        assert!(response.head.starts_with("HTTP/1.1 200 "), "{response:?}");
    }
}

#[tokio::test]
async fn what_may_have_been_carried_out_is_not_sent_again() {
    let (upstream, requests) = {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        let upstream = Upstream::plain(move |mut connection: Connection| {
            let requests = counted.clone();
            async move {
                // The first is answered, the second is taken and dropped.
                while connection.request().await.is_some() {
                    if requests.fetch_add(1, Ordering::SeqCst) == 1 {
                        return;
                    }
                    connection.answer("ok").await;
                }
            }
        })
        .await;
        (upstream, requests)
    };
    let kubegate = Kubegate::before(&upstream, &[]);
    let post = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 1\r\n\r\na",
        kubegate.address
    );
    assert_eq!(status(&exchange(&kubegate.address, &post).await), 200);
    assert_eq!(status(&exchange(&kubegate.address, &post).await), 502);
    assert_eq!(requests.load(Ordering::SeqCst), 2);

    // The control: a GET may be sent again (RFC 9110 section 9.2.2), and is.
    requests.store(0, Ordering::SeqCst);
    assert_eq!(status(&get(&kubegate.address, "/").await), 200);
    assert_eq!(status(&get(&kubegate.address, "/").await), 200);
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_server_that_refuses_connections_is_a_502_with_cause_and_fix_and_no_time_to_retry() {
    const KUBECTL: &str = "User-Agent: kubectl/v1.37.1 (linux/amd64) kubernetes/abc\r\n";
    const AGGREGATED: &str =
        "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList\r\n";
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("https://127.0.0.1:{port}");
    let flags: [&[&str]; 2] = [&[], &["--api-prefix=/some/api/"]];
    for (flags, prefix) in flags.into_iter().zip(["", "/some/api"]) {
        let kubegate = Kubegate::before_url(&url, flags);
        let ask = async |path: &str, lines: &str| {
            let head = format!(
                "GET {prefix}{path} HTTP/1.1\r\nHost: localhost\r\n{lines}Connection: close\r\n\r\n"
            );
            let response = exchange(&kubegate.address, head).await;
            assert_eq!(status(&response), 502, "{path}: {response}");
            assert!(!response.contains("retry-after"), "{path}: {response}");
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            let kind = head.split("content-type: ").nth(1).unwrap();
            let kind = kind.split("\r\n").next().unwrap().to_owned();
            (kind, body.to_owned())
        };
        let explains = |message: &str| {
            assert!(message.starts_with("kubegate: "), "{message}");
            for part in [&format!("127.0.0.1:{port}"), "refused", "--server"] {
                assert!(message.contains(part), "{message}");
            }
        };
        // Of these client-go shows nothing but text.
        for (path, lines) in [
            ("/api", ""),
            ("/api?timeout=32s", AGGREGATED),
            ("/api/v1", ""),
            ("/apis", ""),
            ("/apis/apps/v1", ""),
            ("/odd", AGGREGATED),
            ("/version", KUBECTL),
            ("/openapi/v3", KUBECTL),
        ] {
            let (kind, body) = ask(path, lines).await;
            assert_eq!(kind, "text/plain; charset=utf-8", "{path}");
            explains(&body);
        }
        for (path, lines) in [
            ("/api/v1/pods", ""),
            ("/api/v1/namespaces/x/pods/p", KUBECTL),
            ("/apis/apps/v1/deployments?limit=500", KUBECTL),
            ("/version", ""),
            ("/healthz", KUBECTL),
        ] {
            let (kind, body) = ask(path, lines).await;
            assert_eq!(kind, "application/json", "{path}");
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["kind"], "Status");
            assert_eq!(body["apiVersion"], "v1");
            assert_eq!(body["status"], "Failure");
            assert_eq!(body["code"], 502);
            assert!(body.get("details").is_none(), "{body}");
            explains(body["message"].as_str().unwrap());
        }
    }
}

#[tokio::test]
async fn chunks_count_and_not_the_length_beside_them() {
    let upstream = Upstream::plain(async |mut server: Connection| {
        while let Some(request) = server.request().await {
            let lines = if request.head.starts_with("GET /both") {
                "Content-Length: 3\r\nTransfer-Encoding: chunked"
            } else {
                "Transfer-Encoding: chunked"
            };
            server
                .write(format!(
                    "HTTP/1.1 200 OK\r\n{lines}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                ))
                .await;
        }
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    for path in ["/both", "/chunked"] {
        let response = get(&kubegate.address, path).await;
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("content-length"), "{path}: {head}");
        assert_eq!(body, "5\r\nhello\r\n0\r\n\r\n", "{path}");
    }
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_a_502_status() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                          Upgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let upstream = Upstream::plain(async |mut server: Connection| {
        while let Some(request) = server.request().await {
            if request.head.starts_with("GET /switch") {
                server.write(SWITCH).await;
            } else {
                server.answer("ok").await;
            }
        }
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &[]);
    let response = get(&kubegate.address, "/switch").await;
    assert_eq!(status(&response), 502, "{response}");
    assert!(response.contains("101"), "{response}");
    assert!(!response.contains("evil"), "{response}");
    assert!(get(&kubegate.address, "/").await.ends_with("\r\n\r\nok"));
}

#[tokio::test]
async fn a_path_too_long_behind_the_servers_own_is_refused_and_not_shortened() {
    let upstream = Upstream::plain(Connection::echo).await;
    let base = format!("/k8s/clusters/{}", "c".repeat(300));
    let kubegate = Kubegate::before_url(&(upstream.url() + &base), &[]);
    let response = get(&kubegate.address, &format!("/{}", "a".repeat(65_400))).await;
    assert_eq!(
        status(&response),
        414,
        "{}",
        &response[..response.len().min(300)]
    );
    assert_eq!(upstream.bytes(), 0);
    let path = format!("/{}", "a".repeat(65_000));
    let response = get(&kubegate.address, &path).await;
    assert_eq!(
        request_line_of(&response),
        format!("GET {base}{path} HTTP/1.1")
    );
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_with_the_url_to_try() {
    let upstream = Upstream::plain(async |mut connection: Connection| {
        connection.exactly(1).await;
        connection.write("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let url = format!("https://127.0.0.1:{}", upstream.port());
    let kubegate = Kubegate::before_url(&url, &[]);
    let response = get(&kubegate.address, "/api").await;
    assert_eq!(status(&response), 502, "{response}");
    assert!(response.contains("does not speak TLS"), "{response}");
    assert!(response.contains("use an http:// URL"), "{response}");
}

#[tokio::test]
async fn a_server_that_answers_nonsense_or_nothing_is_a_502_status() {
    for nonsense in [
        "",
        "HTTP/1.1",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
    ] {
        let upstream = Upstream::plain(move |mut connection: Connection| async move {
            connection.request().await;
            connection.write(nonsense).await;
        })
        .await;
        let kubegate = Kubegate::before(&upstream, &[]);
        let response = get(&kubegate.address, "/api/v1/pods").await;
        assert_eq!(status(&response), 502, "{nonsense:?}: {response}");
        assert!(response.contains("\"kind\":\"Status\""), "{response}");
        // What may have been carried out is not sent again.
        assert_eq!(upstream.connections(), 1, "{nonsense:?}");
    }
}
