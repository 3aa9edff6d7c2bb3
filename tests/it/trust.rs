//! The verification of servers: each rule is tested with an ordinary request and with both kinds of
//! upgrade. A server that is refused receives no byte of a request.

mod as_go;
mod pem;

use std::{process::Command, sync::Arc};

use rustls::{ServerConfig, SupportedProtocolVersion, crypto::aws_lc_rs};

use crate::support::{
    Connection, Kubegate, Upstream, cert, certified, exchange, status, tls_config,
};

/// An ordinary request and both kinds of upgrade. Each one asks to close the connection.
const REQUESTS: [&str; 3] = [
    "GET /api/v1/pods HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "POST /api/v1/namespaces/default/pods/web/portforward HTTP/1.1\r\nHost: localhost\r\n\
     Connection: Upgrade, close\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n",
];

/// Responds to every request, with a 101 to upgrades, with its head and the facts of the handshake.
async fn echo_handshake(mut connection: Connection) {
    let facts = connection.handshake.as_ref().map_or_else(
        || "plain".to_owned(),
        |tls| {
            let name = tls.server_name.as_deref().unwrap_or("none");
            let client = tls.certificate.as_ref().map_or("none", |shown| {
                let ours = certified("client").0;
                if *shown == ours[0] {
                    "client.pem"
                } else {
                    "another"
                }
            });
            format!("sni={name} version={} client={client}", tls.version)
        },
    );
    while let Some(request) = connection.request().await {
        let text = format!("{}{facts}\r\n", request.head);
        let Some(protocol) = upgrade(&request.head) else {
            connection.answer(&text).await;
            continue;
        };
        let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade";
        let head = format!("{switch}\r\nUpgrade: {protocol}\r\n\r\n");
        connection.write(head + &text).await;
        connection.shutdown().await;
        connection.rest().await;
        return;
    }
}

fn upgrade(head: &str) -> Option<&str> {
    let line = head.split("\r\nupgrade: ").nth(1)?;
    line.split("\r\n").next()
}

fn trusting(ca: &str) -> [String; 2] {
    let ca = cert(&format!("{ca}.pem"));
    [
        "--certificate-authority".to_owned(),
        ca.display().to_string(),
    ]
}

fn command(upstream: &str, trust: &[String]) -> Command {
    let mut command = Kubegate::command(["--server", upstream, "--token", "sesame"]);
    command.args(trust).args(["--port", "0"]);
    command
}

/// All requests are refused with a 502, whose Status contains all of `words`.
async fn all_refused(kubegate: &Kubegate, upstream: &Upstream, words: &[&str]) {
    for request in REQUESTS {
        let response = exchange(&kubegate.address, request).await;
        assert_eq!(status(&response), 502, "{request}{response}");
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (&body["kind"], &body["code"]),
            (&"Status".into(), &502.into())
        );
        let message = body["message"].as_str().unwrap();
        for word in words {
            assert!(message.contains(word), "{word:?} is not in {message:?}");
        }
    }
    upstream.settled().await;
    assert!(
        upstream.connections() >= REQUESTS.len(),
        "each request must have tried to connect"
    );
    assert_eq!((upstream.handshakes(), upstream.bytes()), (0, 0));
}

/// All requests arrive, and the responses contain all of `facts`.
async fn all_answered(kubegate: &Kubegate, upstream: &Upstream, facts: &[&str]) {
    for (request, expected) in REQUESTS.iter().zip([200, 101, 101]) {
        let response = exchange(&kubegate.address, request).await;
        assert_eq!(status(&response), expected, "{request}{response}");
        for fact in facts {
            assert!(response.contains(fact), "{fact:?} is not in {response:?}");
        }
    }
    assert!(upstream.bytes() > 0);
}

async fn refused(leaf: &str, host: &str, trust: &[String], words: &[&str]) {
    let upstream = Upstream::tls(leaf, echo_handshake).await;
    let kubegate = Kubegate::spawn(command(&upstream.url_for(host), trust));
    all_refused(&kubegate, &upstream, words).await;
}

async fn answered(leaf: &str, host: &str, trust: &[String], facts: &[&str]) {
    let upstream = Upstream::tls(leaf, echo_handshake).await;
    let kubegate = Kubegate::spawn(command(&upstream.url_for(host), trust));
    all_answered(&kubegate, &upstream, facts).await;
}

#[tokio::test]
async fn a_server_of_the_configured_ca_gets_the_token() {
    let facts = ["authorization: Bearer sesame\r\n", "sni=localhost"];
    answered("localhost", "localhost", &trusting("ca"), &facts).await;
}

#[tokio::test]
async fn an_unknown_ca_is_refused_with_subject_issuer_and_fingerprint() {
    let fingerprint = std::fs::read_to_string(cert("localhost.sha256")).unwrap();
    let (_, sha256) = fingerprint
        .trim()
        .rsplit_once('=')
        .unwrap_or(("", &fingerprint));
    let words = [
        "not issued by",
        "subject \"O=kubegate TEST ONLY, CN=localhost\"",
        "issuer \"O=kubegate TEST ONLY, CN=test CA\"",
        sha256.trim(),
        "set certificate-authority",
    ];
    refused("localhost", "localhost", &trusting("other-ca"), &words).await;
}

#[tokio::test]
async fn a_ca_of_the_same_name_with_another_key_is_refused() {
    let words = ["another key", "SHA-256", "rebuilt"];
    refused("localhost", "localhost", &trusting("same-name-ca"), &words).await;
}

#[tokio::test]
async fn an_expired_leaf_is_refused() {
    let words = ["certificate \"", "expired at 2021-"];
    refused("expired", "localhost", &trusting("ca"), &words).await;
}

#[tokio::test]
async fn a_leaf_that_is_not_valid_yet_is_refused() {
    let words = ["certificate \"", "not valid before 2100-"];
    refused("not-yet-valid", "localhost", &trusting("ca"), &words).await;
}

#[tokio::test]
async fn an_expired_ca_is_refused() {
    let words = ["the CA \"", "expired at 2021-"];
    refused(
        "expired-ca-leaf",
        "localhost",
        &trusting("expired-ca"),
        &words,
    )
    .await;
}

#[tokio::test]
async fn a_ca_that_is_not_valid_yet_is_refused() {
    let words = ["the CA \"", "not valid before 2100-"];
    refused(
        "future-ca-leaf",
        "localhost",
        &trusting("future-ca"),
        &words,
    )
    .await;
}

#[tokio::test]
async fn a_renewed_ca_is_accepted() {
    answered("expired-ca-leaf", "localhost", &trusting("renewed-ca"), &[]).await;
}

#[tokio::test]
async fn a_wrong_name_is_refused_unless_tls_server_name_matches() {
    let words = ["not for \"localhost\"", "other.example", "tls-server-name"];
    refused("wrong-san", "localhost", &trusting("ca"), &words).await;

    let mut trust = trusting("ca").to_vec();
    trust.push("--tls-server-name=other.example".to_owned());
    answered("wrong-san", "localhost", &trust, &["sni=other.example"]).await;
}

#[tokio::test]
async fn a_common_name_alone_is_refused() {
    let words = ["no subjectAltName", "common name \"localhost\""];
    refused("cn-only", "localhost", &trusting("ca"), &words).await;
}

#[tokio::test]
async fn an_ip_url_needs_an_ip_address_in_the_certificate() {
    let words = ["no IP address", "not for 127.0.0.1", "only for localhost"];
    refused("dns-only", "127.0.0.1", &trusting("ca"), &words).await;
    // The control: the name is accepted.
    answered("dns-only", "localhost", &trusting("ca"), &["sni=localhost"]).await;
    // RFC 6066 section 3: an address is never sent as a server name.
    answered("localhost", "127.0.0.1", &trusting("ca"), &["sni=none"]).await;
}

#[tokio::test]
async fn tls_server_name_is_sent_and_verified_for_an_ip_url() {
    let mut trust = trusting("ca").to_vec();
    trust.push("--tls-server-name=localhost".to_owned());
    answered("dns-only", "127.0.0.1", &trust, &["sni=localhost"]).await;

    trust.push("--tls-server-name=elsewhere.example".to_owned());
    let trust = [&trust[..2], &trust[3..]].concat();
    let words = ["not for \"elsewhere.example\""];
    refused("localhost", "127.0.0.1", &trust, &words).await;
}

#[tokio::test]
async fn a_trusted_self_signed_certificate_is_accepted() {
    let trust = trusting("self-signed");
    answered("self-signed", "localhost", &trust, &[]).await;
    answered("self-signed", "127.0.0.1", &trust, &[]).await;
}

#[tokio::test]
async fn a_trusted_self_signed_certificate_is_still_checked() {
    let mut trust = trusting("self-signed").to_vec();
    refused("localhost", "localhost", &trust, &["not issued by"]).await;
    trust.push("--tls-server-name=other.example".to_owned());
    refused(
        "self-signed",
        "localhost",
        &trust,
        &["not for \"other.example\""],
    )
    .await;

    let expired = trusting("self-signed-expired");
    refused(
        "self-signed-expired",
        "localhost",
        &expired,
        &["expired at 2021-"],
    )
    .await;
}

#[tokio::test]
async fn a_chain_is_verified_up_to_a_trusted_root_or_intermediate() {
    answered("chain", "localhost", &trusting("ca"), &[]).await;
    answered("chain", "localhost", &trusting("intermediate-ca"), &[]).await;
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_verified_alike() {
    for (version, fact) in [
        (&rustls::version::TLS12, "version=TLSv1_2"),
        (&rustls::version::TLS13, "version=TLSv1_3"),
    ] {
        let upstream = Upstream::with(only(version), echo_handshake).await;
        let kubegate = Kubegate::spawn(command(&upstream.url(), &trusting("ca")));
        all_answered(&kubegate, &upstream, &[fact]).await;

        let upstream = Upstream::with(only(version), echo_handshake).await;
        let kubegate = Kubegate::spawn(command(&upstream.url(), &trusting("other-ca")));
        all_refused(&kubegate, &upstream, &["not issued by"]).await;
    }
}

/// A server with `certs/localhost.pem` and one version of TLS.
fn only(version: &'static SupportedProtocolVersion) -> ServerConfig {
    let (chain, key) = certified("localhost");
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

#[tokio::test]
async fn skipping_verification_is_possible_with_one_warning() {
    let skip = ["--insecure-skip-tls-verify".to_owned()];
    let upstream = Upstream::tls("expired", echo_handshake).await;
    let kubegate = Kubegate::spawn(command(&upstream.url(), &skip));
    all_answered(&kubegate, &upstream, &["authorization: Bearer sesame\r\n"]).await;
    kubegate.signal("TERM");
    let (code, log) = kubegate.wait();
    assert_eq!(code, Some(0));
    let warnings: Vec<_> = log.lines().filter(|l| l.contains("NOT verified")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("WARN"), "{log}");

    let upstream = Upstream::tls("localhost", echo_handshake).await;
    let kubegate = Kubegate::spawn(command(&upstream.url(), &trusting("ca")));
    all_answered(&kubegate, &upstream, &[]).await;
    kubegate.signal("TERM");
    let (_, log) = kubegate.wait();
    assert!(!log.contains("NOT verified"), "{log}");
}

#[tokio::test]
async fn verification_is_skipped_only_by_an_explicit_true() {
    let mut trust = trusting("ca").to_vec();
    trust.push("--insecure-skip-tls-verify=false".to_owned());
    refused("expired", "localhost", &trust, &["expired at"]).await;
}

#[tokio::test]
async fn the_kubeconfig_can_skip_verification() {
    let upstream = Upstream::tls("cn-only", echo_handshake).await;
    for skips in [true, false] {
        let cluster = serde_json::json!({
            "server": upstream.url(),
            "insecure-skip-tls-verify": skips,
        });
        let file = serde_json::json!({
            "clusters": [{ "name": "c", "cluster": cluster }],
            "contexts": [{ "name": "x", "context": { "cluster": "c" } }],
            "current-context": "x",
        });
        let config = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&config, file.to_string()).unwrap();
        let kubegate = Kubegate::start(["--kubeconfig".as_ref(), config.path()]);
        let response = exchange(&kubegate.address, REQUESTS[0]).await;
        assert_eq!(
            status(&response),
            if skips { 200 } else { 502 },
            "{response}"
        );
        kubegate.signal("TERM");
        let (_, log) = kubegate.wait();
        assert_eq!(log.contains("NOT verified"), skips, "{log}");
    }
}

#[tokio::test]
async fn without_a_configured_ca_those_of_the_system_are_trusted() {
    let upstream = Upstream::tls("localhost", echo_handshake).await;
    let mut with = command(&upstream.url(), &[]);
    with.env("SSL_CERT_FILE", cert("ca.pem"));
    all_answered(&Kubegate::spawn(with), &upstream, &[]).await;

    let upstream = Upstream::tls("localhost", echo_handshake).await;
    let without = Kubegate::spawn(command(&upstream.url(), &[]));
    all_refused(&without, &upstream, &["set certificate-authority"]).await;
}

#[tokio::test]
async fn a_configured_ca_is_the_only_one_trusted() {
    let upstream = Upstream::tls("localhost", echo_handshake).await;
    let mut other = command(&upstream.url(), &trusting("other-ca"));
    other.env("SSL_CERT_FILE", cert("ca.pem"));
    all_refused(&Kubegate::spawn(other), &upstream, &["not issued by"]).await;
}

fn client_certificate() -> Vec<String> {
    let [pem, key] = ["client.pem", "client.key"].map(|name| cert(name).display().to_string());
    let flags = [
        "--client-certificate".to_owned(),
        pem,
        "--client-key".to_owned(),
        key,
    ];
    [&trusting("ca")[..], &flags].concat()
}

#[tokio::test]
async fn the_client_certificate_is_presented_to_the_server() {
    answered(
        "localhost",
        "localhost",
        &client_certificate(),
        &["client=client.pem"],
    )
    .await;
    answered("localhost", "localhost", &trusting("ca"), &["client=none"]).await;
}

#[tokio::test]
async fn a_refused_server_gets_no_client_certificate() {
    refused(
        "expired",
        "localhost",
        &client_certificate(),
        &["expired at"],
    )
    .await;
}

#[tokio::test]
async fn a_request_with_its_own_authorization_uses_no_client_certificate() {
    let upstream = Upstream::tls("localhost", echo_handshake).await;
    let kubegate = Kubegate::spawn(command(&upstream.url(), &client_certificate()));
    for request in REQUESTS {
        let own = request.replace("Host:", "Authorization: Bearer mine\r\nHost:");
        let response = exchange(&kubegate.address, own).await;
        assert!(
            response.contains("authorization: Bearer mine\r\n"),
            "{response}"
        );
        assert!(response.contains("client=none"), "{response}");
        assert!(!response.contains("sesame"), "{response}");
    }
    // The control: the next request without a header uses the configured credential again.
    all_answered(&kubegate, &upstream, &["client=client.pem", "sesame"]).await;
}

#[tokio::test]
async fn over_plain_http_no_credential_is_sent() {
    let upstream = Upstream::plain(echo_handshake).await;
    let url = upstream.url();
    let basic = [
        "--username=admin".to_owned(),
        "--password=hunter2".to_owned(),
    ];
    let logins = [
        vec!["--token=sesame".to_owned()],
        basic.to_vec(),
        client_certificate(),
    ];
    for login in logins {
        let server = ["--server".to_owned(), url.clone()];
        let kubegate = Kubegate::start(server.iter().chain(&login));
        for (request, expected) in REQUESTS.iter().zip([200, 101, 101]) {
            let response = exchange(&kubegate.address, request).await;
            assert_eq!(status(&response), expected, "{response}");
            let lower = response.to_ascii_lowercase();
            assert!(!lower.contains("authorization:"), "{login:?}: {response}");

            let own = request.replace("Host:", "Authorization: Bearer mine\r\nHost:");
            let response = exchange(&kubegate.address, own).await;
            assert!(
                response.contains("authorization: Bearer mine\r\n"),
                "{response}"
            );
        }
        kubegate.signal("TERM");
        let (_, log) = kubegate.wait();
        assert_eq!(
            log.matches("your credential is not sent to it").count(),
            1,
            "{log}"
        );
    }
}

#[tokio::test]
async fn over_https_the_same_credential_is_sent() {
    let upstream = Upstream::tls("localhost", echo_handshake).await;
    let server = ["--server".to_owned(), upstream.url()];
    let basic = [
        "--username=admin".to_owned(),
        "--password=hunter2".to_owned(),
    ];
    let trust = trusting("ca");
    let kubegate = Kubegate::start(server.iter().chain(&trust).chain(&basic));
    // base64 of admin:hunter2
    let facts = ["authorization: Basic YWRtaW46aHVudGVyMg==\r\n"];
    all_answered(&kubegate, &upstream, &facts).await;
}

#[tokio::test]
async fn http_2_is_offered_for_requests_and_never_for_upgrades() {
    let config = tls_config("localhost", &[b"h2", b"http/1.1"]);
    let (sender, mut agreed) = tokio::sync::mpsc::unbounded_channel();
    let upstream = Upstream::with(config, move |connection| {
        let alpn = connection
            .handshake
            .as_ref()
            .and_then(|tls| tls.alpn.clone());
        sender.send(alpn.clone()).unwrap();
        async move {
            if alpn.as_deref() != Some("h2") {
                echo_handshake(connection).await;
            }
        }
    })
    .await;
    let kubegate = Kubegate::spawn(command(&upstream.url(), &trusting("ca")));
    for request in &REQUESTS[1..] {
        let response = exchange(&kubegate.address, request).await;
        assert_eq!(status(&response), 101, "{response}");
        let alpn = agreed.recv().await.unwrap();
        assert_ne!(alpn.as_deref(), Some("h2"), "{request}");
    }
    // The control: this server would have accepted HTTP/2.
    let short = "GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let response = exchange(&kubegate.address, short).await;
    assert_eq!(
        status(&response),
        502,
        "the script speaks no HTTP/2: {response}"
    );
    assert_eq!(agreed.recv().await.unwrap().as_deref(), Some("h2"));
}
