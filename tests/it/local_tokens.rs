//! `--require-token-file`: clients prove by a token that they may use the proxy.

use std::{fs, time::Instant};

use tempfile::{TempDir, tempdir};

use crate::support::{
    Connection, Kubegate, PATIENCE, Refused, Upstream, exchange, secrets, status,
};

const ALICE: &str = "alices-local-token-0123";
const BOB: &str = "bobs-local-token-4567";

/// A file of tokens, and a proxy that requires one of them.
struct Fixture {
    folder: TempDir,
    upstream: Upstream,
    kubegate: Kubegate,
}

impl Fixture {
    async fn start() -> Self {
        for token in [ALICE, BOB] {
            secrets::register(token);
        }
        let folder = tempdir().unwrap();
        let upstream = Upstream::plain(Connection::echo).await;
        let file = folder.path().join("tokens");
        fs::write(&file, format!("alice {ALICE}\n")).unwrap();
        fs::write(folder.path().join("page"), "static").unwrap();
        let (file, www) = (file.to_str().unwrap(), folder.path().to_str().unwrap());
        let flags = [
            "--require-token-file",
            file,
            "--www",
            www,
            "--allow-origin",
            "https://ui.example",
        ];
        let kubegate = Kubegate::before(&upstream, &flags);
        Self {
            folder,
            upstream,
            kubegate,
        }
    }

    async fn send(&self, request_line: &str, lines: &str) -> String {
        let head = format!(
            "{request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n"
        );
        exchange(&self.kubegate.address, head).await
    }

    async fn get(&self, lines: &str) -> String {
        self.send("GET /api/v1/pods", lines).await
    }

    fn write(&self, text: &str) {
        fs::write(self.folder.path().join("tokens"), text).unwrap();
    }

    /// Waits until a request with these header lines has the status.
    async fn until(&self, lines: &str, expected: u16) {
        let until = Instant::now() + PATIENCE;
        loop {
            let response = self.get(lines).await;
            if status(&response) == expected {
                return;
            }
            assert!(Instant::now() < until, "{response}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn a_request_without_a_token_of_the_file_is_401() {
    let fixture = Fixture::start().await;
    for lines in [
        String::new(),
        bearer(BOB),
        "Authorization: Basic YWxpY2U6eA==\r\n".to_owned(),
        "Cookie: a=b\r\n".to_owned(),
    ] {
        for request in [
            "GET /api/v1/pods",
            "GET /static/page",
            "POST /x",
            "GET /healthz",
        ] {
            let response = fixture.send(request, &lines).await;
            assert_eq!(status(&response), 401, "{request} {lines} {response}");
            assert!(response.contains("www-authenticate: Bearer"), "{response}");
            assert!(response.contains("--require-token-file"), "{response}");
        }
    }
    assert_eq!(fixture.upstream.connections(), 0);
}

#[tokio::test]
async fn a_token_of_the_file_is_never_passed_on() {
    let fixture = Fixture::start().await;
    let response = fixture.get(&bearer(ALICE)).await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(
        !response.contains(ALICE) && !response.contains("uthorization"),
        "{response}"
    );
    let page = fixture.send("GET /static/page", &bearer(ALICE)).await;
    assert!(page.ends_with("static"), "{page}");
    let log = fixture.kubegate.log();
    assert!(log.contains("client alice"), "{log}");
}

#[tokio::test]
async fn a_websocket_token_is_taken_off() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    let fixture = Fixture::start().await;
    let token = URL_SAFE_NO_PAD.encode(ALICE);
    let lines = format!(
        "Sec-WebSocket-Protocol: v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.{token}\r\n"
    );
    let response = fixture.get(&lines).await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(response.contains("v4.channel.k8s.io"), "{response}");
    assert!(!response.contains("base64url"), "{response}");
}

#[tokio::test]
async fn a_preflight_of_an_allowed_origin_needs_no_token() {
    let fixture = Fixture::start().await;
    let lines = "Origin: https://ui.example\r\nAccess-Control-Request-Method: GET\r\n\
                 Access-Control-Request-Headers: authorization\r\n";
    let response = fixture.send("OPTIONS /api/v1/pods", lines).await;
    assert!(status(&response) < 300, "{response}");
    let response = fixture.get("Origin: https://ui.example\r\n").await;
    assert_eq!(status(&response), 401);
    assert!(
        response.contains("access-control-allow-origin"),
        "{response}"
    );
    assert_eq!(fixture.upstream.connections(), 0);
}

#[tokio::test]
async fn the_file_is_read_again_when_it_changes() {
    let fixture = Fixture::start().await;
    fixture.until(&bearer(ALICE), 200).await;
    fixture.write(&format!("bob {BOB}\n"));
    fixture.until(&bearer(BOB), 200).await;
    fixture.until(&bearer(ALICE), 401).await;
    // A broken file changes nothing.
    fixture.write("alice\n");
    let until = Instant::now() + PATIENCE;
    while !fixture
        .kubegate
        .log()
        .contains("last good tokens stay in use")
    {
        assert!(Instant::now() < until, "{}", fixture.kubegate.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(status(&fixture.get(&bearer(BOB)).await), 200);
    // An empty one lets nobody in.
    fixture.write("");
    fixture.until(&bearer(BOB), 401).await;
}

#[test]
fn a_file_that_cannot_be_used_is_refused_at_the_start() {
    let folder = tempdir().unwrap();
    for (text, problem) in [
        (None, "missing"),
        (Some(""), "no token"),
        (Some("# nothing\n"), "no token"),
        (Some("alice short\n"), "line 1: "),
    ] {
        let file = folder.path().join("missing");
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
        }
        let flags = [
            "--server",
            "https://127.0.0.1:1",
            "--port",
            "0",
            "--require-token-file",
        ];
        let mut command = Kubegate::command(flags);
        command.arg(&file);
        let Refused {
            code,
            stdout,
            stderr,
            ..
        } = Kubegate::refused(command);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains("--require-token-file"), "{stderr}");
        assert!(stderr.contains(problem), "{stderr}");
    }
}
