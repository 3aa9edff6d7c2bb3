//! What may begin an upgrade, and how it looks on the other side.

use super::{PORT_FORWARD, Setup, WATCH, lines, spdy, websocket};
use crate::support::{in_time, status};

const EXEC: &str = "/api/v1/namespaces/default/pods/web/exec?command=id";

#[tokio::test]
async fn a_port_forward_over_spdy_passes_with_its_stream_protocol() {
    let mut setup = Setup::new(&[]).await;
    let version = "X-Stream-Protocol-Version: portforward.k8s.io\r\n";
    let (request, mut client, mut server) = setup.forwarded(spdy(PORT_FORWARD, version)).await;
    let head = request.head;
    assert!(
        head.starts_with(&format!("POST {PORT_FORWARD} HTTP/1.1\r\n")),
        "{head}"
    );
    assert_eq!(lines(&head, "upgrade"), ["SPDY/3.1"]);
    assert_eq!(lines(&head, "connection"), ["Upgrade"]);
    assert_eq!(
        lines(&head, "x-stream-protocol-version"),
        ["portforward.k8s.io"]
    );
    assert_eq!(
        lines(&head, "host"),
        [format!("localhost:{}", setup.upstream.port())]
    );
    assert_eq!(lines(&head, "authorization"), ["Bearer sesame"]);
    // Only browsers' WebSockets have one.
    assert!(lines(&head, "origin").is_empty(), "{head}");

    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n";
    server.write(format!("{switch}{version}\r\n")).await;
    let head = in_time(client.head()).await.unwrap();
    assert_eq!(status(&head), 101);
    assert_eq!(lines(&head, "upgrade"), ["SPDY/3.1"]);
    assert_eq!(
        lines(&head, "x-stream-protocol-version"),
        ["portforward.k8s.io"]
    );
    client.write("ping").await;
    assert_eq!(in_time(server.exactly(4)).await.unwrap(), b"ping");
}

#[tokio::test]
async fn a_port_forward_over_websocket_passes_with_every_sec_header_as_it_is() {
    let mut setup = Setup::new(&[]).await;
    let more = "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io,v2  ,  other\r\n\
                Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\
                Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let (request, mut client, mut server) = setup.forwarded(websocket(PORT_FORWARD, more)).await;
    let head = request.head;
    assert_eq!(lines(&head, "upgrade"), ["websocket"]);
    assert_eq!(lines(&head, "connection"), ["Upgrade"]);
    assert_eq!(lines(&head, "sec-websocket-version"), ["13"]);
    assert_eq!(
        lines(&head, "sec-websocket-key"),
        ["dGhlIHNhbXBsZSBub25jZQ=="]
    );
    let protocols = [
        "SPDY/3.1+portforward.k8s.io,v2  ,  other",
        "v5.channel.k8s.io",
    ];
    assert_eq!(lines(&head, "sec-websocket-protocol"), protocols);
    let extensions = ["permessage-deflate; client_max_window_bits"];
    assert_eq!(lines(&head, "sec-websocket-extensions"), extensions);

    server
        .write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\r\n\r\n",
        )
        .await;
    let head = in_time(client.head()).await.unwrap();
    assert_eq!(status(&head), 101);
    assert_eq!(
        lines(&head, "sec-websocket-accept"),
        ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
    );
    assert_eq!(
        lines(&head, "sec-websocket-protocol"),
        ["SPDY/3.1+portforward.k8s.io"]
    );
    client.write("ping").await;
    assert_eq!(in_time(server.exactly(4)).await.unwrap(), b"ping");
}

#[tokio::test]
async fn other_upgrades_are_ordinary_requests_upstream() {
    let mut setup = Setup::new(&[]).await;
    let cases = [
        ("HTTP/1.1", "Connection: Upgrade\r\nUpgrade: foo\r\n"),
        (
            "HTTP/1.1",
            "Connection: Upgrade\r\nUpgrade: websocket, foo\r\n",
        ),
        (
            "HTTP/1.1",
            "Connection: Upgrade\r\nUpgrade: websocket/13\r\n",
        ),
        (
            "HTTP/1.1",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: SPDY/3.1\r\n",
        ),
        (
            "HTTP/1.1",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        ),
        (
            "HTTP/1.1",
            "Connection: keep-alive\r\nUpgrade: websocket\r\n",
        ),
        ("HTTP/1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    ];
    let mut server = None;
    for (version, header) in cases {
        let head = format!("GET {WATCH} {version}\r\nHost: localhost\r\n{header}\r\n");
        let mut client = setup.client(head).await;
        // They share a pooled connection, as ordinary requests do.
        let server = match &mut server {
            Some(server) => server,
            None => server.insert(setup.handed.next().await),
        };
        let request = in_time(server.request()).await.unwrap();
        assert!(
            lines(&request.head, "upgrade").is_empty(),
            "{}",
            request.head
        );
        assert!(
            lines(&request.head, "connection").is_empty(),
            "{}",
            request.head
        );
        assert!(
            lines(&request.head, "http2-settings").is_empty(),
            "{}",
            request.head
        );
        server.answer("as usual").await;
        let head = in_time(client.head()).await.unwrap();
        assert_eq!(status(&head), 200, "{header}{head}");
        assert!(lines(&head, "upgrade").is_empty(), "{head}");
    }
    // The control: what is left of it makes a real upgrade.
    let head = setup.upstream_sees(websocket(WATCH, "")).await;
    assert_eq!(lines(&head, "upgrade"), ["websocket"]);
}

#[tokio::test]
async fn a_websocket_without_origin_gets_the_servers_own() {
    let mut setup = Setup::new(&[]).await;
    let head = setup.upstream_sees(websocket(WATCH, "")).await;
    assert_eq!(lines(&head, "origin"), [setup.upstream.url()]);
}

#[tokio::test]
async fn an_allowed_origin_passes_as_it_is_and_a_foreign_one_not_at_all() {
    let mut setup = Setup::new(&["--allow-origin=https://dashboard.example"]).await;
    // Our own: the authority that the request names as its host.
    for origin in ["http://localhost", "https://dashboard.example"] {
        let line = format!("Origin: {origin}\r\n");
        let head = setup.upstream_sees(websocket(WATCH, &line)).await;
        assert_eq!(lines(&head, "origin"), [origin]);
    }
    // No flag allows `null`: any sandboxed page has it.
    for (origin, hint) in [
        ("https://evil.example", "--allow-origin"),
        ("http://localhost.evil.example", "--allow-origin"),
        ("null", "may not call this proxy"),
    ] {
        let line = format!("Origin: {origin}\r\n");
        for ask in [websocket(WATCH, &line), spdy(PORT_FORWARD, &line)] {
            let response = setup.refuses(ask).await;
            assert_eq!(status(&response), 403, "{origin}: {response}");
            assert!(response.contains(hint), "{response}");
        }
    }
}

#[tokio::test]
async fn exec_needs_its_flag_and_port_forward_does_not() {
    let mut setup = Setup::new(&[]).await;
    let mut open = Setup::new(&["--allow-exec"]).await;
    for make in [websocket, spdy] {
        for path in [
            EXEC,
            &EXEC.replace("/exec", "/attach"),
            &EXEC.replace("/exec", "/%65xec"),
        ] {
            let response = setup.refuses(make(path, "")).await;
            assert_eq!(status(&response), 403, "{path}: {response}");
            assert!(response.contains("--allow-exec"), "{response}");
            let head = open.upstream_sees(make(path, "")).await;
            assert!(head.contains(&format!(" {path} HTTP/1.1\r\n")), "{head}");
        }
        let head = setup.upstream_sees(make(PORT_FORWARD, "")).await;
        assert!(head.contains(PORT_FORWARD), "{head}");
    }
}

#[tokio::test]
async fn front_proxy_identities_do_not_pass_on_upgrades_either() {
    let mut setup = Setup::new(&[]).await;
    let forged = "X-Remote-User: admin\r\nX_Remote_Group: system:masters\r\nX-Mine: 1\r\n";
    for make in [websocket, spdy] {
        let head = setup
            .upstream_sees(make(PORT_FORWARD, forged))
            .await
            .to_lowercase();
        assert!(!head.contains("remote"), "{head}");
        assert_eq!(lines(&head, "x-mine"), ["1"]);
        assert_eq!(lines(&head, "x-forwarded-for"), ["127.0.0.1"]);
    }
}
