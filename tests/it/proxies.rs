//! Proxies on the way to the API server: requests and upgrades go through them alike, and
//! they see nothing of either.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::{Connection, Kubegate, Upstream, cert, exchange, status};

const GET: &str = "GET /api/v1/pods HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const UPGRADE: &str = "POST /api/v1/namespaces/default/pods/web/portforward HTTP/1.1\r\n\
                       Host: localhost\r\nConnection: Upgrade, close\r\nUpgrade: SPDY/3.1\r\n\
                       Content-Length: 0\r\n\r\n";

/// The name that only a proxy can reach, as `certs/wrong-san.pem` has it.
const ELSEWHERE: &str = "other.example";

/// What a scripted proxy was told, one entry a connection.
type Heads = Arc<Mutex<Vec<String>>>;

/// The API server: answers by the request's head; an upgrade goes no further than its 101.
async fn server(mut connection: Connection) {
    while let Some(request) = connection.request().await {
        if request.head.contains("upgrade: SPDY/3.1") {
            let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade";
            let text = format!("{switch}\r\nUpgrade: SPDY/3.1\r\n\r\n{}", request.head);
            connection.write(text).await;
            return connection.shutdown().await;
        }
        connection.answer(&request.head).await;
    }
}

/// Joins a connection with the server at `port`, whatever name was asked for.
async fn relay(connection: Connection, port: u16) {
    let mut client = connection.into_stream();
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // Whichever end leaves first ends it.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

/// An HTTP proxy for connections alone (RFC 9110 section 9.3.6).
async fn connect(mut connection: Connection, port: u16, heads: Heads) {
    let Some(head) = connection.head().await else {
        return;
    };
    heads.lock().unwrap().push(head);
    connection
        .write("HTTP/1.1 200 Connection established\r\n\r\n")
        .await;
    relay(connection, port).await;
}

/// A SOCKS 5 proxy (RFC 1928) that asks for name and password (RFC 1929).
async fn socks(mut connection: Connection, port: u16, heads: Heads) {
    assert_eq!(byte(&mut connection).await, 5);
    let methods = text(&mut connection).await;
    assert!(methods.contains('\u{2}'), "{methods:?}");
    connection.write([5, 2]).await;
    assert_eq!(byte(&mut connection).await, 1);
    let (user, password) = (text(&mut connection).await, text(&mut connection).await);
    connection.write([1, 0]).await;
    // CONNECT to a domain name.
    let request = connection.exactly(4).await.unwrap();
    assert_eq!(request, [5, 1, 0, 3]);
    let name = text(&mut connection).await;
    let requested = connection.exactly(2).await.unwrap();
    let requested = u16::from_be_bytes([requested[0], requested[1]]);
    heads
        .lock()
        .unwrap()
        .push(format!("{user}:{password}@{name}:{requested}"));
    connection.write([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    relay(connection, port).await;
}

async fn byte(connection: &mut Connection) -> u8 {
    connection.exactly(1).await.unwrap()[0]
}

/// As many bytes as the first one says.
async fn text(connection: &mut Connection) -> String {
    let length = byte(connection).await.into();
    String::from_utf8(connection.exactly(length).await.unwrap()).unwrap()
}

/// `script` as a proxy to the server at `port`: over TLS where `leaf` names a certificate.
async fn proxy<S, F>(leaf: Option<&str>, port: u16, script: S) -> (Upstream, Heads)
where
    S: Fn(Connection, u16, Heads) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let heads = Heads::default();
    let listening = heads.clone();
    let script = move |connection| script(connection, port, listening.clone());
    let proxy = match leaf {
        Some(leaf) => Upstream::tls(leaf, script).await,
        None => Upstream::plain(script).await,
    };
    (proxy, heads)
}

/// A kubeconfig for `server`, which `certs/{ca}.pem` vouches for, with a token.
fn kubeconfig(server: &str, ca: &str, proxy_url: Option<&str>) -> (TempDir, Command) {
    let ca = cert(&format!("{ca}.pem"));
    let mut cluster = json!({ "server": server, "certificate-authority": ca });
    if let Some(url) = proxy_url {
        cluster["proxy-url"] = url.into();
    }
    let file = json!({
        "clusters": [{ "name": "c", "cluster": cluster }],
        "users": [{ "name": "u", "user": { "token": "sesame" } }],
        "contexts": [{ "name": "x", "context": { "cluster": "c", "user": "u" } }],
        "current-context": "x",
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, file.to_string()).unwrap();
    let mut command = Kubegate::command(["--port", "0", "--kubeconfig"]);
    command.arg(path);
    (folder, command)
}

/// A request and an upgrade arrive with our token, each by a connection of its own.
async fn both_arrive(kubegate: &Kubegate) {
    for (request, expected) in [(GET, 200), (UPGRADE, 101)] {
        let response = exchange(&kubegate.address, request).await;
        assert_eq!(
            status(&response),
            expected,
            "{response}\n{}",
            kubegate.log()
        );
        assert!(
            response.contains("authorization: Bearer sesame\r\n"),
            "{response}"
        );
        assert!(
            !response.to_lowercase().contains("proxy-auth"),
            "{response}"
        );
    }
}

/// A request and an upgrade are refused; the message of the last.
async fn both_fail(kubegate: &Kubegate) -> String {
    let mut messages = Vec::new();
    for request in [GET, UPGRADE] {
        let response = exchange(&kubegate.address, request).await;
        assert_eq!(status(&response), 502, "{response}");
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let message = body["message"].as_str().unwrap();
        assert!(!message.contains("hunter2"), "{message}");
        messages.push(message.to_owned());
    }
    messages.pop().unwrap()
}

#[tokio::test]
async fn a_connect_proxy_carries_requests_and_upgrades_and_gets_its_password() {
    let server = Upstream::tls("wrong-san", server).await;
    let (proxy, heads) = proxy(None, server.port(), connect).await;
    let url = format!("http://me:hunter2%21@localhost:{}", proxy.port());
    let there = server.url_for(ELSEWHERE);
    let (_folder, command) = kubeconfig(&there, "ca", Some(&url));
    both_arrive(&Kubegate::spawn(command)).await;

    let heads = heads.lock().unwrap();
    assert_eq!(
        heads.len(),
        2,
        "one tunnel for the request, one for the upgrade"
    );
    let requested = format!("CONNECT {ELSEWHERE}:{} HTTP/1.1\r\n", server.port());
    for head in heads.iter() {
        assert!(head.starts_with(&requested), "{head}");
        // base64 of me:hunter2!
        assert!(head.contains("Basic bWU6aHVudGVyMiE=\r\n"), "{head}");
        assert!(!head.contains("sesame"), "{head}");
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_https_proxy_is_verified_by_the_systems_roots_and_not_the_clusters() {
    let server = Upstream::tls("self-signed", server).await;
    let (proxy, heads) = proxy(Some("localhost"), server.port(), connect).await;
    let url = format!("https://me:hunter2@localhost:{}", proxy.port());
    let (_folder, mut command) = kubeconfig(&server.url(), "self-signed", Some(&url));
    command.env("SSL_CERT_FILE", cert("ca.pem"));
    both_arrive(&Kubegate::spawn(command)).await;
    assert_eq!(heads.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn an_untrusted_https_proxy_gets_nothing_and_is_named() {
    let server = Upstream::tls("localhost", server).await;
    let (proxy, _) = proxy(Some("localhost"), server.port(), connect).await;
    let url = format!("https://me:hunter2@localhost:{}", proxy.port());
    // That the cluster's CA would vouch for the proxy does not count.
    let (_folder, mut command) = kubeconfig(&server.url(), "ca", Some(&url));
    command.env("SSL_CERT_FILE", cert("other-ca.pem"));
    let message = both_fail(&Kubegate::spawn(command)).await;
    let named = format!("proxy localhost:{}", proxy.port());
    assert!(message.contains(&named), "{message}");
    assert!(message.contains("SHA-256"), "{message}");
    assert!(message.contains("the proxy's own certificate"), "{message}");
    proxy.settled().await;
    assert_eq!((proxy.handshakes(), proxy.bytes()), (0, 0));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn behind_a_proxy_the_servers_certificate_is_checked_all_the_same() {
    let server = Upstream::tls("localhost", server).await;
    let (proxy, heads) = proxy(None, server.port(), connect).await;
    let there = server.url_for(ELSEWHERE);
    let (_folder, command) = kubeconfig(&there, "ca", Some(&proxy.url()));
    let message = both_fail(&Kubegate::spawn(command)).await;
    assert!(
        message.contains("certificate of other.example"),
        "{message}"
    );
    assert!(message.contains("not for \"other.example\""), "{message}");
    assert!(heads.lock().unwrap().len() >= 2);
    server.settled().await;
    assert_eq!((server.handshakes(), server.bytes()), (0, 0));
}

#[tokio::test]
async fn a_socks_proxy_carries_both_and_resolves_the_name() {
    let server = Upstream::tls("wrong-san", server).await;
    let (proxy, heads) = proxy(None, server.port(), socks).await;
    let url = format!("socks5://me:hunter2@localhost:{}", proxy.port());
    let there = server.url_for(ELSEWHERE);
    let (_folder, command) = kubeconfig(&there, "ca", Some(&url));
    both_arrive(&Kubegate::spawn(command)).await;
    let requested = format!("me:hunter2@{ELSEWHERE}:{}", server.port());
    assert_eq!(*heads.lock().unwrap(), [requested.clone(), requested]);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let refusing = Upstream::plain(async |mut connection: Connection| {
        connection.head().await;
        let text = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
        connection.write(text).await;
    })
    .await;
    let there = format!("https://{ELSEWHERE}");
    let (_folder, command) = kubeconfig(&there, "ca", Some(&refusing.url()));
    let message = both_fail(&Kubegate::spawn(command)).await;
    let named = format!("through proxy localhost:{}", refusing.port());
    assert!(message.contains(&named), "{message}");
    assert!(message.contains("authorization"), "{message}");
}

#[tokio::test]
async fn the_proxy_of_the_environment_is_taken_then_proxy_url_then_the_flag() {
    let server = Upstream::tls("wrong-san", server).await;
    let (by_file, of_file) = proxy(None, server.port(), connect).await;
    let (by_environment, of_environment) = proxy(None, server.port(), connect).await;
    let counts = || {
        (
            of_file.lock().unwrap().len(),
            of_environment.lock().unwrap().len(),
        )
    };
    let there = server.url_for(ELSEWHERE);

    let (_folder, mut command) = kubeconfig(&there, "ca", None);
    command.env("HTTPS_PROXY", by_environment.url());
    both_arrive(&Kubegate::spawn(command)).await;
    assert_eq!(counts(), (0, 2));

    let (_folder, mut command) = kubeconfig(&there, "ca", Some(&by_file.url()));
    command.env("HTTPS_PROXY", by_environment.url());
    both_arrive(&Kubegate::spawn(command)).await;
    assert_eq!(counts(), (2, 2));

    let (by_flag, of_flag) = proxy(None, server.port(), connect).await;
    let (_folder, mut command) = kubeconfig(&there, "ca", Some(&by_file.url()));
    command.args(["--proxy-url", &by_flag.url()]);
    both_arrive(&Kubegate::spawn(command)).await;
    assert_eq!((of_flag.lock().unwrap().len(), counts()), (2, (2, 2)));
}

#[tokio::test]
async fn no_proxy_goes_past_the_proxy_of_the_environment() {
    let server = Upstream::tls("localhost", server).await;
    let (proxy, heads) = proxy(None, server.port(), connect).await;
    // Reaches this machine, and is no loopback address, which would never be proxied.
    let here = server.url_for("0.0.0.0");
    for (no_proxy, tunnels) in [("0.0.0.0,other.example", 0), ("other.example", 2)] {
        let (_folder, mut command) = kubeconfig(&here, "ca", None);
        command.arg("--tls-server-name=localhost");
        command.envs([
            ("HTTPS_PROXY", proxy.url().as_str()),
            ("NO_PROXY", no_proxy),
        ]);
        both_arrive(&Kubegate::spawn(command)).await;
        assert_eq!(heads.lock().unwrap().len(), tunnels, "{no_proxy}");
    }
}

#[tokio::test]
async fn the_environments_proxy_is_read_as_go_reads_it() {
    let server = Upstream::tls("wrong-san", server).await;
    let (proxy, heads) = proxy(None, server.port(), connect).await;
    let there = server.url_for(ELSEWHERE);
    let below = ELSEWHERE.split_once('.').unwrap().1;
    let port = proxy.port();
    for (value, no_proxy) in [
        (format!(":{port}"), String::new()),
        (format!("localhost:{port}"), format!(".{ELSEWHERE}")),
        (
            format!("http://localhost:{port}/some/path?a=b"),
            format!("*.{ELSEWHERE}"),
        ),
    ] {
        let (_folder, mut command) = kubeconfig(&there, "ca", None);
        command.envs([("https_proxy", &value), ("NO_PROXY", &no_proxy)]);
        both_arrive(&Kubegate::spawn(command)).await;
        assert_eq!(
            heads.lock().unwrap().drain(..).count(),
            2,
            "{value} {no_proxy}"
        );
    }
    // Past the proxy, where the name leads nowhere.
    let (_folder, mut command) = kubeconfig(&there, "ca", None);
    command.envs([
        ("https_proxy", format!(":{port}")),
        ("NO_PROXY", format!("*.{below}")),
    ]);
    both_fail(&Kubegate::spawn(command)).await;
    assert!(heads.lock().unwrap().is_empty());
}
