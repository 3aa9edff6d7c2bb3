//! Headers for a front before the API server: `--upstream-header` and the settings file.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
};

use tempfile::tempdir;

use crate::support::{Connection, Kubegate, Upstream, cert, exchange, get, in_time};

/// Sends a GET with these header lines, and returns what the server got.
async fn echoed(gate: &Kubegate, path: &str, lines: &str) -> String {
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
    exchange(&gate.address, head).await
}

fn count(text: &str, part: &str) -> usize {
    text.to_ascii_lowercase().matches(part).count()
}

#[tokio::test]
async fn a_header_of_a_file_replaces_the_clients_and_follows_the_file() {
    let upgrades = Arc::new(Mutex::new(Vec::new()));
    let seen = upgrades.clone();
    let upstream = Upstream::tls("localhost", move |mut connection: Connection| {
        let seen = seen.clone();
        async move {
            while let Some(request) = connection.request().await {
                if count(&request.head, "upgrade: spdy") == 1 {
                    seen.lock().unwrap().push(request.head);
                    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
                    connection.write(refusal).await;
                } else {
                    connection.answer(&request.head).await;
                }
            }
        }
    })
    .await;
    let folder = tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "front-secret-1\n").unwrap();
    let header = format!("CF-Access-Client-Secret: @{}", file.display());
    let gate = Kubegate::before(&upstream, &["--upstream-header", &header]);
    let lines = "cf-access-client-secret: mine\r\ncf_access_client_secret: mine\r\n";
    let got = echoed(&gate, "/version", lines).await;
    assert_eq!(
        count(&got, "cf-access-client-secret: front-secret-1"),
        1,
        "{got}"
    );
    assert_eq!(count(&got, "mine"), 0, "{got}");
    // An upgrade has it too.
    let path = "/api/v1/namespaces/x/pods/y/portforward";
    let upgrade = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
    );
    let mut client = Connection::open(&gate.address).await;
    client.write(upgrade).await;
    assert!(in_time(client.response()).await.is_some());
    let heads = upgrades.lock().unwrap().clone();
    assert_eq!(heads.len(), 1);
    assert_eq!(count(&heads[0], "front-secret-1"), 1, "{heads:?}");
    fs::write(&file, "front-secret-2\n").unwrap();
    in_time(async {
        while count(&get(&gate.address, "/version").await, "front-secret-2") == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!gate.log().contains("front-secret"), "{}", gate.log());
}

#[tokio::test]
async fn a_header_of_a_context_is_sent_to_its_server_alone() {
    let first = Upstream::tls("localhost", Connection::echo).await;
    let second = Upstream::tls("localhost", Connection::echo).await;
    let home = tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let (ca, one, two) = (cert("ca.pem"), first.url(), second.url());
    let ca = ca.display();
    fs::write(
        at("kubeconfig"),
        format!(
            "clusters:\n- {{name: a, cluster: {{server: '{one}', certificate-authority: '{ca}'}}}}\n\
             - {{name: b, cluster: {{server: '{two}', certificate-authority: '{ca}'}}}}\n\
             users:\n- {{name: u, user: {{token: sesame}}}}\n\
             contexts:\n- {{name: a, context: {{cluster: a, user: u}}}}\n\
             - {{name: b, context: {{cluster: b, user: u}}}}\n"
        ),
    )
    .unwrap();
    fs::write(at("id"), "front-id").unwrap();
    fs::write(
        at("settings.toml"),
        "port = 0\nkubeconfig = 'kubeconfig'\ncontext = ['a', 'b']\n[contexts.a]\n\
         upstream-headers = { CF-Id = '@id', CF-Secret = 'front-words' }\n",
    )
    .unwrap();
    let start = || {
        let mut command = Kubegate::command(["--config"]);
        command.arg(at("settings.toml"));
        command
    };
    let mode = |mode| fs::set_permissions(at("settings.toml"), fs::Permissions::from_mode(mode));
    mode(0o644).unwrap();
    let refused = Kubegate::refused(start());
    assert!(refused.stderr.contains("a secret in line 5"), "{refused:?}");
    mode(0o600).unwrap();
    let gate = Kubegate::spawn(start());
    let got = echoed(&gate, "/clusters/a/version", "").await;
    assert!(count(&got, "cf-id: front-id") == 1 && count(&got, "cf-secret: front-words") == 1);
    let got = echoed(&gate, "/clusters/b/version", "").await;
    assert!(
        got.contains("Bearer sesame") && count(&got, "front") == 0,
        "{got}"
    );
    assert!(!gate.log().contains("front-words"), "{}", gate.log());
}

#[test]
fn a_header_that_means_something_else_is_refused_before_the_start() {
    for (header, expected) in [
        ("Authorization: @/f", "--token"),
        ("Impersonate-User: @/f", "cannot be set"),
        ("Transfer-Encoding: @/f", "cannot be set"),
        ("X-Front: front-words", "@FILE"),
        ("X-Front: @/nonexistent/f", "/nonexistent/f"),
    ] {
        let args = [
            "--server",
            "https://k.example",
            "--port",
            "0",
            "--upstream-header",
            header,
        ];
        let refused = Kubegate::refused(Kubegate::command(args));
        assert!(refused.stderr.contains(expected), "{header}: {refused:?}");
        assert!(!refused.stderr.contains("front-words"), "{refused:?}");
        assert_ne!(refused.code, Some(0));
    }
}
