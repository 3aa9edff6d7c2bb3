//! With whose credential an upgrade travels.

use super::{PORT_FORWARD, Setup, WATCH, lines, spdy, websocket};
use crate::support::{in_time, status};

/// The prefix of the subprotocol by which browsers pass a token; behind it base64url of "mine".
const TOKEN: &str = "base64url.bearer.authorization.k8s.io.bWluZQ";

#[tokio::test]
async fn a_clients_token_subprotocol_is_its_credential() {
    let mut setup = Setup::new(&[]).await;
    let offered = format!("Sec-WebSocket-Protocol: {TOKEN}, v4.channel.k8s.io\r\n");
    let head = setup.upstream_sees(websocket(WATCH, &offered)).await;
    assert!(lines(&head, "authorization").is_empty(), "{head}");
    let passed = [format!("{TOKEN}, v4.channel.k8s.io")];
    assert_eq!(lines(&head, "sec-websocket-protocol"), passed);
    // The control: other subprotocols are no credential.
    let other = "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n";
    let head = setup.upstream_sees(websocket(WATCH, other)).await;
    assert_eq!(lines(&head, "authorization"), ["Bearer sesame"]);
}

#[tokio::test]
async fn replace_takes_the_clients_credentials_off_and_puts_ours() {
    let mut setup = Setup::new(&["--client-credentials=replace"]).await;
    let both = format!(
        "Authorization: Bearer mine\r\nSec-WebSocket-Protocol: {TOKEN}, v4.channel.k8s.io\r\n"
    );
    let head = setup.upstream_sees(websocket(WATCH, &both)).await;
    assert_eq!(lines(&head, "authorization"), ["Bearer sesame"]);
    assert_eq!(
        lines(&head, "sec-websocket-protocol"),
        ["v4.channel.k8s.io"]
    );

    let alone = format!("Sec-WebSocket-Protocol: {TOKEN}\r\n");
    let head = setup.upstream_sees(websocket(WATCH, &alone)).await;
    assert_eq!(lines(&head, "authorization"), ["Bearer sesame"]);
    assert!(lines(&head, "sec-websocket-protocol").is_empty(), "{head}");

    let head = setup
        .upstream_sees(spdy(PORT_FORWARD, "Authorization: Bearer mine\r\n"))
        .await;
    assert_eq!(lines(&head, "authorization"), ["Bearer sesame"]);
}

#[tokio::test]
async fn refuse_refuses_the_clients_credentials() {
    let mut setup = Setup::new(&["--client-credentials=refuse"]).await;
    let token = format!("Sec-WebSocket-Protocol: v4.channel.k8s.io, {TOKEN}\r\n");
    let own = "Authorization: Bearer mine\r\n";
    for ask in [
        websocket(WATCH, &token),
        websocket(WATCH, own),
        spdy(PORT_FORWARD, own),
    ] {
        let response = setup.refuses(ask).await;
        assert_eq!(status(&response), 403, "{response}");
        assert!(
            response.contains("--client-credentials=refuse"),
            "{response}"
        );
        assert!(!response.contains("bWluZQ"), "{response}");
    }
    let head = setup.upstream_sees(websocket(WATCH, "")).await;
    assert_eq!(lines(&head, "authorization"), ["Bearer sesame"]);
}

#[tokio::test]
async fn upstream_sees_exactly_one_authorization() {
    let mut setup = Setup::new(&[]).await;
    let own = "Authorization: Bearer mine\r\n";
    for make in [websocket, spdy] {
        let head = setup.upstream_sees(make(PORT_FORWARD, own)).await;
        assert_eq!(lines(&head, "authorization"), ["Bearer mine"]);
        let head = setup.upstream_sees(make(PORT_FORWARD, "")).await;
        assert_eq!(lines(&head, "authorization"), ["Bearer sesame"]);
        let response = setup.refuses(make(PORT_FORWARD, &own.repeat(2))).await;
        assert_eq!(status(&response), 400, "{response}");
    }
}

#[tokio::test]
async fn an_upgrade_that_is_answered_401_goes_out_again_with_a_fresh_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "old").unwrap();
    let file = serde_json::json!({
        "clusters": [{ "name": "c", "cluster": { "server": "https://other.example" } }],
        "users": [{ "name": "u", "user": { "tokenFile": token } }],
        "contexts": [{ "name": "x", "context": { "cluster": "c", "user": "u" } }],
        "current-context": "x",
    });
    let config = folder.path().join("config");
    std::fs::write(&config, file.to_string()).unwrap();
    let config = config.display().to_string();
    let mut setup = Setup::with_login(&["--kubeconfig", &config], &[]).await;

    let (request, mut client, mut refusing) = setup.forwarded(spdy(PORT_FORWARD, "")).await;
    assert_eq!(lines(&request.head, "authorization"), ["Bearer old"]);
    std::fs::write(&token, "new").unwrap();
    let unauthorized = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
    refusing.write(unauthorized).await;

    let mut server = setup.handed.next().await;
    let request = in_time(server.request()).await.unwrap();
    assert_eq!(lines(&request.head, "authorization"), ["Bearer new"]);
    assert_eq!(lines(&request.head, "upgrade"), ["SPDY/3.1"]);
    assert_eq!(in_time(refusing.rest()).await, b"");
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1";
    server.write(format!("{switch}\r\n\r\n")).await;
    let head = in_time(client.head()).await.unwrap();
    assert_eq!(status(&head), 101, "{head}");
    client.write("ping").await;
    assert_eq!(in_time(server.exactly(4)).await.unwrap(), b"ping");
}
