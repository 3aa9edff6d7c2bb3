//! Routes to other servers: `--route` and the settings file.

use std::{fs, path::Path, process::Command};

use tempfile::tempdir;

use crate::support::{Connection, Kubegate, Upstream, cert, exchange, get, status};

/// A proxy for `cluster` with a route, whose server is trusted as the system's roots say.
fn routed(cluster: &Upstream, route: &str, args: &[&str]) -> Command {
    let mut command = Kubegate::command(["--server", &cluster.url(), "--token", "sesame"]);
    command.args(["--port", "0", "--route", route]).args(args);
    command.arg("--certificate-authority").arg(cert("ca.pem"));
    command.env("SSL_CERT_FILE", cert("ca.pem"));
    command
}

async fn sent(gate: &Kubegate, method: &str, path: &str, lines: &str) -> String {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{lines}\r\n",
        gate.address
    );
    exchange(&gate.address, head).await
}

#[tokio::test]
async fn a_route_gets_the_credential_of_the_context_and_nothing_else_of_the_cluster() {
    let cluster = Upstream::tls("localhost", Connection::echo).await;
    let server = Upstream::tls("localhost", Connection::echo).await;
    let route = format!("/registry/={}/base", server.url());
    let gate = Kubegate::spawn(routed(&cluster, &route, &["--as", "jane"]));
    let got = sent(
        &gate,
        "GET",
        "/registry/v2/%41?x=%20",
        "Impersonate-User: root\r\nCookie: a=b\r\n",
    )
    .await;
    assert!(got.contains("GET /base/v2/%41?x=%20 HTTP/1.1"), "{got}");
    assert!(got.contains("Bearer sesame"), "{got}");
    let text = got.to_ascii_lowercase();
    assert!(
        !text.contains("impersonate") && !text.contains("jane"),
        "{got}"
    );
    assert!(
        text.contains(&format!("host: localhost:{}", server.port())),
        "{got}"
    );
    assert!(text.contains("content-security-policy: sandbox"), "{got}");
    let slash = get(&gate.address, "/registry?x").await;
    assert!(
        slash.contains("307") && slash.contains("/registry/?x"),
        "{slash}"
    );
    assert_eq!(cluster.connections(), 0);
    let api = get(&gate.address, "/version").await;
    assert!(api.contains("GET /version HTTP/1.1"), "{api}");
    assert!(
        api.to_ascii_lowercase().contains("impersonate-user: jane"),
        "{api}"
    );
    // The cluster's authority is not the route's.
    let mut untrusting = routed(&cluster, &route, &[]);
    untrusting.env("SSL_CERT_FILE", cert("other-ca.pem"));
    let gate = Kubegate::spawn(untrusting);
    let refused = get(&gate.address, "/registry/v2/").await;
    assert!(status(&refused) >= 500, "{refused}");
    assert_eq!(status(&get(&gate.address, "/version").await), 200);
}

#[tokio::test]
async fn the_rules_for_requests_hold_for_routes_and_redirects_are_passed_on() {
    let cluster = Upstream::tls("localhost", Connection::echo).await;
    let server = Upstream::tls("localhost", |mut connection: Connection| async move {
        while let Some(request) = connection.request().await {
            let is_moved = request.head.starts_with("GET /moved");
            let is_upgrade = request
                .head
                .to_ascii_lowercase()
                .contains("upgrade: websocket");
            if is_moved {
                let moved = "HTTP/1.1 302 Found\r\nLocation: https://other.example/x\r\n\
                             Content-Length: 0\r\n\r\n";
                connection.write(moved).await;
            } else if is_upgrade {
                let refused = "HTTP/1.1 418 Upgraded\r\nContent-Length: 0\r\n\r\n";
                connection.write(refused).await;
            } else {
                connection.answer(&request.head).await;
            }
        }
    })
    .await;
    let route = format!("/r/={}", server.url());
    let gate = Kubegate::spawn(routed(&cluster, &route, &["--reject-paths", "^/r/secret"]));
    let moved = sent(&gate, "GET", "/r/moved", "").await;
    assert!(
        moved.contains("302") && moved.contains("https://other.example/x"),
        "{moved}"
    );
    assert_eq!(status(&sent(&gate, "POST", "/r/x", "").await), 200);
    assert_eq!(status(&sent(&gate, "GET", "/r/secret", "").await), 403);
    assert_eq!(status(&sent(&gate, "GET", "/r/%73ecret", "").await), 403);
    assert_eq!(status(&sent(&gate, "GET", "/r/../secret", "").await), 400);
    assert_eq!(
        status(&sent(&gate, "GET", "/r/x", "Origin: https://evil.example\r\n").await),
        403
    );
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let head = format!(
        "GET /r/ws HTTP/1.1\r\nHost: {}\r\n{upgrade}\r\n",
        gate.address
    );
    let mut client = Connection::open(&gate.address).await;
    client.write(head.clone()).await;
    let upgraded = client.response().await.unwrap();
    assert!(upgraded.head.contains("418"), "{}", upgraded.head);
    let gate = Kubegate::spawn(routed(&cluster, &route, &["--read-only"]));
    assert_eq!(status(&sent(&gate, "GET", "/r/x", "").await), 200);
    assert_eq!(status(&sent(&gate, "HEAD", "/r/x", "").await), 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = sent(&gate, method, "/r/x", "").await;
        assert_eq!(status(&refused), 403, "{refused}");
    }
    let mut client = Connection::open(&gate.address).await;
    client.write(head.replace(&gate.address, "localhost")).await;
    assert!(client.response().await.unwrap().head.contains("403"));
}

#[test]
fn routes_that_cannot_be_served_are_refused_before_the_start() {
    let client = (cert("client.pem"), cert("client.key"));
    let (certificate, key) = (client.0.to_str().unwrap(), client.1.to_str().unwrap());
    let with_certificate = ["--client-certificate", certificate, "--client-key", key];
    for (args, parts) in [
        (&["--route", "/a/=http://r.example"][..], &["https://"][..]),
        (
            &["--route", "/api/=https://r.example"],
            &["/api/", "would hide /api"],
        ),
        (
            &["--route", "/APIs/x=https://r.example"],
            &["/APIs/x/", "hide"],
        ),
        (
            &["--route", "/.kubegate/x=https://r.example"],
            &["/.kubegate/x/"],
        ),
        (&["--route", "/clusters=https://r.example"], &["/clusters/"]),
        (
            &[
                "--route",
                "/a=https://r.example",
                "--route",
                "/a/b=https://s.example",
            ],
            &["/a/ and /a/b/ overlap"],
        ),
        (
            &[
                "--route",
                "/k8s/x=https://r.example",
                "--api-prefix",
                "/k8s",
            ],
            &["/k8s/x/", "--api-prefix /k8s"],
        ),
        (
            &["--route", "/static=https://r.example", "--www", "/"],
            &["/static/", "--www-prefix /static/"],
        ),
        (
            &["--route", "/ibm=https://containers.cloud.ibm.com"],
            &["/ibm/", "no login at IBM Cloud"],
        ),
    ] {
        let mut command = Kubegate::command(["--server", "https://k.example", "--port", "0"]);
        command.args(["--token", "sesame"]).args(args);
        let refused = Kubegate::refused(command);
        let has_all = parts.iter().all(|part| refused.stderr.contains(part));
        assert!(has_all, "{args:?}: {refused:?}");
        assert!(!refused.stdout.contains("Starting"), "{refused:?}");
    }
    let mut command = Kubegate::command(["--server", "https://k.example", "--port", "0"]);
    command
        .args(["--route", "/a=https://r.example"])
        .args(with_certificate);
    let refused = Kubegate::refused(command);
    assert!(refused.stderr.contains("client certificate"), "{refused:?}");
    assert!(refused.stderr.contains("/a/"), "{refused:?}");
}

fn two_contexts(folder: &Path, cluster: &Upstream, settings: &str) -> Command {
    let (ca, server) = (cert("ca.pem"), cluster.url());
    let ca = ca.display();
    let kubeconfig = format!(
        "clusters:\n- {{name: c, cluster: {{server: '{server}', certificate-authority: '{ca}'}}}}\n\
         users:\n- {{name: one, user: {{token: sesame-one}}}}\n\
         - {{name: two, user: {{token: sesame-two}}}}\n\
         contexts:\n- {{name: a, context: {{cluster: c, user: one}}}}\n\
         - {{name: b, context: {{cluster: c, user: two}}}}\n"
    );
    fs::write(folder.join("kubeconfig"), kubeconfig).unwrap();
    let settings = format!("port = 0\nkubeconfig = 'kubeconfig'\ncontext = ['a', 'b']\n{settings}");
    fs::write(folder.join("settings.toml"), settings).unwrap();
    let mut command = Kubegate::command(["--config"]);
    command.arg(folder.join("settings.toml"));
    command
}

#[tokio::test]
async fn a_route_of_the_settings_file_gets_the_credential_of_its_context_alone() {
    let cluster = Upstream::tls("localhost", Connection::echo).await;
    let server = Upstream::tls("localhost", Connection::echo).await;
    let home = tempdir().unwrap();
    fs::copy(cert("ca.pem"), home.path().join("ca.pem")).unwrap();
    let url = server.url();
    let settings = format!(
        "[routes.'/registry/']\nurl = '{url}'\ncontext = 'b'\ncertificate-authority = 'ca.pem'\n"
    );
    let gate = Kubegate::spawn(two_contexts(home.path(), &cluster, &settings));
    let got = get(&gate.address, "/registry/v2/").await;
    assert!(
        got.contains("GET /v2/ HTTP/1.1") && got.contains("Bearer sesame-two"),
        "{got}"
    );
    let got = get(&gate.address, "/clusters/a/version").await;
    assert!(got.contains("Bearer sesame-one"), "{got}");
    for (route, part) in [
        ("url = 'https://r.example'\n", "context = \"NAME\""),
        (
            "url = 'https://r.example'\ncontext = 'c'\n",
            "\"c\" is not served",
        ),
        ("context = 'a'\n", "url is missing"),
        ("url = 'http://r.example'\n", "https://"),
        (
            "url = 'https://r.example'\ncontex = 'a'\n",
            "did you mean context?",
        ),
    ] {
        let settings = format!("[routes.'/registry/']\n{route}");
        let refused = Kubegate::refused(two_contexts(home.path(), &cluster, &settings));
        let is_named = refused.stderr.contains(part) && refused.stderr.contains("/registry/");
        assert!(is_named, "{route}: {refused:?}");
    }
}
