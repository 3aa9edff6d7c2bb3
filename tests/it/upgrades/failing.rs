//! Upgrades that come to nothing: said so, and neither connection carries anything more.

use super::{PORT_FORWARD, Setup, WATCH, lines, spdy, websocket};
use crate::support::{in_time, status};

/// Bytes that a client sends behind an upgrade, in the hope that they reach the API server
/// under our credential (CVE-2018-1002105).
const SMUGGLED: &str = "GET /api/v1/secrets HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_declined_upgrade_is_relayed_and_its_connections_carry_nothing_more() {
    let mut setup = Setup::new(&[]).await;
    let bodies = [
        "Content-Length: 9\r\n\r\nnot today",
        "Transfer-Encoding: chunked\r\n\r\n9\r\nnot today\r\n0\r\n\r\n",
    ];
    for code in [
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ] {
        for (ask, body) in [websocket(WATCH, ""), spdy(PORT_FORWARD, "")]
            .iter()
            .zip(bodies)
        {
            let (_, mut client, mut server) = setup.forwarded(format!("{ask}{SMUGGLED}")).await;
            server
                .write(format!("HTTP/1.1 {code}\r\nX-Mine: 1\r\n{body}"))
                .await;
            let head = in_time(client.head()).await.unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {code}\r\n")), "{head}");
            assert_eq!(lines(&head, "connection"), ["close"]);
            assert_eq!(lines(&head, "x-mine"), ["1"]);
            // More comes too late as well.
            client.write(SMUGGLED).await;
            let rest = String::from_utf8(in_time(client.rest()).await).unwrap();
            assert!(
                rest.contains("not today") && !rest.contains("HTTP/1.1"),
                "{rest}"
            );
            assert_eq!(in_time(server.rest()).await, b"", "after {code}");
        }
    }
    let count = setup.upstream.connections();
    assert_eq!(
        count, 12,
        "one connection an upgrade, and none for what was behind it"
    );
}

#[tokio::test]
async fn what_is_neither_the_101_asked_for_nor_an_error_is_502_and_not_followed() {
    let mut setup = Setup::new(&[]).await;
    let elsewhere = format!("302 Found\r\nLocation: {}/elsewhere", setup.upstream.url());
    let responses = [
        "200 OK\r\nContent-Length: 9",
        "204 No Content",
        &elsewhere,
        "307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 9",
        "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c",
        "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket, SPDY/3.1",
        "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: SPDY/3.1",
        "101 Switching Protocols\r\nConnection: Upgrade",
    ];
    let mut count = 0;
    for response in responses {
        for ask in [websocket(WATCH, ""), spdy(PORT_FORWARD, "")] {
            let (_, mut client, mut server) = setup.forwarded(format!("{ask}{SMUGGLED}")).await;
            count += 1;
            server
                .write(format!("HTTP/1.1 {response}\r\n\r\nnot today"))
                .await;
            let head = in_time(client.head()).await.unwrap();
            assert_eq!(status(&head), 502, "{response}: {head}");
            assert_eq!(lines(&head, "connection"), ["close"], "{response}");
            assert!(lines(&head, "location").is_empty(), "{head}");
            client.write(SMUGGLED).await;
            let body = String::from_utf8(in_time(client.rest()).await).unwrap();
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["kind"], "Status");
            let message = body["message"].as_str().unwrap();
            assert!(message.contains(&response[..3]), "{message}");
            assert_eq!(in_time(server.rest()).await, b"", "{response}");
        }
    }
    assert_eq!(setup.upstream.connections(), count, "nothing was followed");
}

#[tokio::test]
async fn a_101_that_names_the_other_protocol_is_502() {
    let mut setup = Setup::new(&[]).await;
    for (ask, other) in [
        (websocket(WATCH, ""), "SPDY/3.1"),
        (spdy(PORT_FORWARD, ""), "websocket"),
    ] {
        let (_, mut client, mut server) = setup.forwarded(ask).await;
        let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ";
        server.write(format!("{switch}{other}\r\n\r\n")).await;
        let response = String::from_utf8(in_time(client.rest()).await).unwrap();
        assert_eq!(status(&response), 502, "{response}");
        assert!(response.contains(other), "{response}");
        assert_eq!(in_time(server.rest()).await, b"");
    }
}

#[tokio::test]
async fn a_server_that_leaves_without_an_answer_is_502() {
    let mut setup = Setup::new(&[]).await;
    for ask in [websocket(WATCH, ""), spdy(PORT_FORWARD, "")] {
        let (_, mut client, server) = setup.forwarded(ask).await;
        drop(server);
        let head = in_time(client.head()).await.unwrap();
        assert_eq!(status(&head), 502, "{head}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_ends_the_upgrade_upstream() {
    let mut setup = Setup::new(&[]).await;
    for ask in [websocket(WATCH, ""), spdy(PORT_FORWARD, "")] {
        let (_, client, mut server) = setup.forwarded(ask).await;
        drop(client);
        assert_eq!(in_time(server.rest()).await, b"");
    }
}
