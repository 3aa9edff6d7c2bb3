//! Acting as a service account: tokens asked for and renewed, and tokens that rest in Secrets.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kubegate::demo::ControlPlane;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{
    Connection, Kubegate, PATIENCE, Upstream, cert, exchange, get, in_time, kubeconfig, status,
};

/// A control plane, and a kubeconfig with its admin's token.
struct Home {
    plane: ControlPlane,
    folder: TempDir,
    admin: Kubegate,
}

impl Home {
    async fn new() -> Self {
        let plane = ControlPlane::start(Duration::from_secs(3600))
            .await
            .unwrap();
        let folder = tempdir().unwrap();
        let user = json!({"token": plane.token().0.expose()});
        write(&folder, "admin", &plane.url(), plane.ca_pem(), &user);
        let admin = start(&folder, "admin", &[]);
        Self {
            plane,
            folder,
            admin,
        }
    }

    fn start(&self, args: &[&str]) -> Kubegate {
        start(&self.folder, "admin", args)
    }

    /// Does something as the admin.
    async fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let response = send(&self.admin.address, method, path, body).await;
        assert!(status(&response) < 300, "{method} {path}: {response}");
        serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap_or_default()
    }

    async fn add_account(&self, name: &str) {
        let account = json!({"metadata": {"name": name}});
        self.admin(
            "POST",
            "/api/v1/namespaces/default/serviceaccounts",
            &account,
        )
        .await;
    }

    async fn add_secret(&self, name: &str, account: &str) {
        let secret = json!({
            "metadata": {
                "name": name,
                "annotations": {"kubernetes.io/service-account.name": account},
            },
            "type": "kubernetes.io/service-account-token",
        });
        self.admin("POST", SECRETS, &secret).await;
    }

    /// Puts a new token of `account` into a Secret.
    async fn change_secret(&self, name: &str, account: &str, seconds: u64) {
        let path = format!("/api/v1/namespaces/default/serviceaccounts/{account}/token");
        let request = json!({"spec": {"expirationSeconds": seconds}});
        let granted = self.admin("POST", &path, &request).await;
        let token = granted["status"]["token"].as_str().unwrap();
        let change = json!({"data": {"token": BASE64_STANDARD.encode(token)}});
        self.admin("PATCH", &format!("{SECRETS}/{name}"), &change)
            .await;
    }
}

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

fn write(folder: &TempDir, name: &str, server: &str, ca: &str, user: &Value) {
    fs::write(folder.path().join(name), kubeconfig(server, ca, user)).unwrap();
}

fn start(folder: &TempDir, config: &str, args: &[&str]) -> Kubegate {
    let path = folder.path().join(config);
    let mut all = vec!["--kubeconfig", path.to_str().unwrap()];
    all.extend(args);
    Kubegate::start(all)
}

async fn send(address: &str, method: &str, path: &str, body: &Value) -> String {
    let body = body.to_string();
    let kind = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(address, head).await
}

/// As whom the API server sees the proxy's requests; the answer where it does not know them.
async fn whoami(kubegate: &Kubegate) -> Result<String, String> {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let response = send(&kubegate.address, "POST", path, &json!({})).await;
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let review: Value = serde_json::from_str(body).unwrap_or_default();
    let name = review["status"]["userInfo"]["username"].as_str();
    name.map(str::to_owned).ok_or(response)
}

/// Waits until requests are made as `name`, and says how long that took.
async fn until(kubegate: &Kubegate, name: &str) -> Duration {
    let started = Instant::now();
    loop {
        let is = whoami(kubegate).await;
        if is.as_deref() == Ok(name) {
            return started.elapsed();
        }
        assert!(started.elapsed() < PATIENCE, "{is:?}: {}", kubegate.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn requests_are_made_as_the_service_account() {
    let home = Home::new().await;
    home.add_account("robot").await;
    let kubegate = home.start(&["--service-account", "default/robot"]);
    let is = whoami(&kubegate).await;
    assert_eq!(is.as_deref(), Ok("system:serviceaccount:default:robot"));
    // Without, as the kubeconfig's user.
    assert_eq!(whoami(&home.admin).await.as_deref(), Ok("demo-admin"));
    assert_eq!(home.plane.account_tokens(), 1);
}

#[tokio::test]
async fn twenty_renewals_under_steady_load_go_unnoticed() {
    let home = Home::new().await;
    home.plane.allow_account_tokens_from(Duration::from_secs(1));
    let account = ["--service-account", "default/default"];
    let kubegate = home.start(&[&account[..], &["--service-account-lifetime", "3s"]].concat());
    let (mut requests, mut refused) = (0, 0);
    let started = Instant::now();
    while home.plane.account_tokens() <= 20 {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "too few renewals"
        );
        requests += 1;
        refused += usize::from(status(&get(&kubegate.address, "/api/v1/nodes").await) != 200);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(refused, 0, "of {requests}: {}", kubegate.log());
    assert!(requests > 200, "{requests}");
    let log = kubegate.log();
    assert!(!log.contains("WARN") && !log.contains("eyJ"), "{log}");
}

#[tokio::test]
async fn what_the_real_server_refuses_is_told_with_what_to_do() {
    let home = Home::new().await;
    for (args, part) in [
        (
            &[
                "--service-account",
                "default/default",
                "--service-account-lifetime",
                "599s",
            ][..],
            "ask for 10m (600 s) or more by --service-account-lifetime",
        ),
        (
            &["--service-account", "default/ghost"],
            "no service account ghost in namespace default (404)",
        ),
        (
            &["--service-account-secret", "default/ghost"],
            "Secret default/ghost is not there (404)",
        ),
        (
            &["--service-account-secret", "default/database"],
            "is not of type kubernetes.io/service-account-token",
        ),
    ] {
        let response = get(&home.start(args).address, "/api/v1/nodes").await;
        assert_eq!(status(&response), 401, "{response}");
        assert!(response.contains(part), "{response}");
    }
    // The shortest that is granted.
    let args = [
        "--service-account",
        "default/default",
        "--service-account-lifetime",
        "600s",
    ];
    let response = get(&home.start(&args).address, "/api/v1/nodes").await;
    assert_eq!(status(&response), 200, "{response}");
}

#[tokio::test]
async fn answers_of_all_kinds_are_understood_and_not_quoted() {
    let cause = |field: &str| {
        json!({"kind": "Status", "message": "hunter2", "details": {"causes": [{"field": field}]}})
            .to_string()
    };
    for (line, body, code, part) in [
        (
            "403 Forbidden",
            "hunter2".to_owned(),
            401,
            "`create` `serviceaccounts/token`",
        ),
        (
            "401 Unauthorized",
            "hunter2".to_owned(),
            401,
            "log in again as that user",
        ),
        (
            "302 Found",
            "hunter2".to_owned(),
            401,
            "redirects elsewhere",
        ),
        (
            "422 Unprocessable Entity",
            cause("spec.audiences[0]"),
            401,
            "that audience",
        ),
        (
            "422 Unprocessable Entity",
            "hunter2".to_owned(),
            401,
            "invalid (422)",
        ),
        (
            "500 Internal Server Error",
            "hunter2".to_owned(),
            503,
            "it answered 500",
        ),
        (
            "429 Too Many Requests",
            "hunter2".to_owned(),
            503,
            "it answered 429",
        ),
        ("201 Created", "<html>hunter2".to_owned(), 503, "login page"),
        (
            "201 Created",
            json!({"status": {"hunter2": 1}}).to_string(),
            401,
            "no TokenRequest",
        ),
        (
            "201 Created",
            json!({"status": {"token": "hunter2\n"}}).to_string(),
            401,
            "HTTP header",
        ),
        ("201 Created", "hunter2".repeat(1_500_000), 401, "more than"),
    ] {
        let responses = format!(
            "HTTP/1.1 {line}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let upstream = Upstream::tls("localhost", move |mut connection: Connection| {
            let responses = responses.clone();
            async move {
                while connection.request().await.is_some() {
                    connection.write(responses.clone()).await;
                }
            }
        })
        .await;
        let kubegate = Kubegate::before(&upstream, &["--service-account", "default/robot"]);
        let response = get(&kubegate.address, "/x").await;
        assert_eq!(status(&response), code, "{line}: {response}");
        assert!(response.contains(part), "{line}: {response}");
        let log = kubegate.log();
        assert!(
            !response.contains("hunter2") && !log.contains("hunter2"),
            "{response} {log}"
        );
        assert_eq!(
            response.contains("retry-after: "),
            code == 503,
            "{response}"
        );
    }
}

#[tokio::test]
async fn a_refused_base_credential_is_renewed_once() {
    let home = Home::new().await;
    let (good, _) = home.plane.token();
    let folder = home.folder.path().display();
    let credential = |token: &str| {
        json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"token": token},
        })
    };
    fs::write(
        home.folder.path().join("bad"),
        credential("revoked").to_string(),
    )
    .unwrap();
    let good = credential(good.expose()).to_string();
    fs::write(home.folder.path().join("good"), good).unwrap();
    let plugin = home.folder.path().join("plugin");
    let text = format!(
        "#!/bin/sh\ncd '{folder}'\necho x >>runs\nif [ $(wc -l <runs) = 1 ]; then cat bad; else cat good; fi\n"
    );
    fs::write(&plugin, text).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let user = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": plugin,
        "interactiveMode": "Never",
    }});
    write(
        &home.folder,
        "plugged",
        &home.plane.url(),
        home.plane.ca_pem(),
        &user,
    );
    let kubegate = start(
        &home.folder,
        "plugged",
        &["--service-account", "default/default"],
    );
    let is = whoami(&kubegate).await;
    assert_eq!(is.as_deref(), Ok("system:serviceaccount:default:default"));
    let runs = fs::read_to_string(home.folder.path().join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 2);
}

#[tokio::test]
async fn over_plain_http_no_service_account_is_asked_for() {
    let command = Kubegate::command([
        "--server",
        "http://127.0.0.1:1",
        "--service-account",
        "default/robot",
        "--port",
        "0",
    ]);
    let refused = Kubegate::refused(command);
    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("https://"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_changed_secret_is_in_force_within_two_seconds() {
    let home = Home::new().await;
    for name in ["robot", "other"] {
        home.add_account(name).await;
    }
    home.add_secret("robot-token", "robot").await;
    let kubegate = home.start(&["--service-account-secret", "default/robot-token"]);
    until(&kubegate, "system:serviceaccount:default:robot").await;

    home.change_secret("robot-token", "other", 600).await;
    let took = until(&kubegate, "system:serviceaccount:default:other").await;
    assert!(took < Duration::from_millis(2500), "{took:?}");

    // Deleted, the last good stays; made anew, it is taken up.
    home.admin("DELETE", &format!("{SECRETS}/robot-token"), &json!({}))
        .await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(
        whoami(&kubegate).await.as_deref(),
        Ok("system:serviceaccount:default:other")
    );
    home.add_secret("robot-token", "robot").await;
    let took = until(&kubegate, "system:serviceaccount:default:robot").await;
    assert!(took < Duration::from_millis(3000), "{took:?}");
    assert!(!kubegate.log().contains("eyJ"), "{}", kubegate.log());
}

#[tokio::test]
async fn twenty_changes_of_a_secret_under_steady_load_go_unnoticed() {
    let home = Home::new().await;
    home.plane.allow_account_tokens_from(Duration::from_secs(1));
    home.add_secret("token", "default").await;
    home.change_secret("token", "default", 6).await;
    let kubegate = home.start(&["--service-account-secret", "default/token"]);
    let (mut requests, mut changed) = (0, 0);
    let mut last = Instant::now();
    while changed < 20 {
        let response = get(&kubegate.address, "/api/v1/nodes").await;
        assert_eq!(
            status(&response),
            200,
            "{requests} {changed} {response}: {}",
            kubegate.log()
        );
        requests += 1;
        // A token of 6 s, changed after 2 s, must be out of use before it ends.
        if last.elapsed() > Duration::from_secs(2) {
            last = Instant::now();
            changed += 1;
            home.change_secret("token", "default", 6).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(requests > 200, "{requests}");
}

/// A door to the control plane whose connections a test can cut.
struct Forwarder {
    url: String,
    open: Arc<Mutex<JoinSet<()>>>,
}

impl Forwarder {
    async fn to(plane: &ControlPlane) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let open = Arc::new(Mutex::new(JoinSet::new()));
        let (target, connections) = (plane.address(), open.clone());
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                connections.lock().unwrap().spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(target).await {
                        // Its end, of whatever kind, is the end of the connection.
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self { url, open }
    }

    fn cut(&self) {
        self.open.lock().unwrap().abort_all();
    }
}

#[tokio::test]
async fn a_watch_that_breaks_is_opened_again() {
    let home = Home::new().await;
    home.add_account("robot").await;
    home.add_secret("token", "robot").await;
    let forwarder = Forwarder::to(&home.plane).await;
    let user = json!({"token": home.plane.token().0.expose()});
    write(
        &home.folder,
        "door",
        &forwarder.url,
        home.plane.ca_pem(),
        &user,
    );
    let secret = ["--service-account-secret", "default/token"];
    let kubegate = start(&home.folder, "door", &secret);
    until(&kubegate, "system:serviceaccount:default:robot").await;
    for account in ["default", "robot", "default"] {
        forwarder.cut();
        home.change_secret("token", account, 600).await;
        let name = format!("system:serviceaccount:default:{account}");
        let took = until(&kubegate, &name).await;
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
}

#[tokio::test]
async fn what_may_be_read_but_not_watched_is_read() {
    let token = BASE64_STANDARD.encode("sesame-sa-secret");
    let secret = json!({
        "metadata": {"resourceVersion": "7"},
        "type": "kubernetes.io/service-account-token",
        "data": {"token": token},
    });
    let watches = Arc::new(Mutex::new(0));
    let counted = watches.clone();
    let upstream = Upstream::tls("localhost", move |mut connection: Connection| {
        let (secret, watches) = (secret.clone(), counted.clone());
        async move {
            while let Some(request) = connection.request().await {
                let response = if request.head.contains("watch=1") {
                    *watches.lock().unwrap() += 1;
                    "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned()
                } else if request
                    .head
                    .starts_with("GET /api/v1/namespaces/default/secrets/")
                {
                    let secret = secret.to_string();
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{secret}",
                        secret.len()
                    )
                } else {
                    let right = request
                        .head
                        .contains("authorization: Bearer sesame-sa-secret\r\n");
                    let line = if right { "200 OK" } else { "401 Unauthorized" };
                    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n")
                };
                connection.write(response).await;
            }
        }
    })
    .await;
    let kubegate = Kubegate::before(&upstream, &["--service-account-secret", "default/token"]);
    let response = get(&kubegate.address, "/x").await;
    assert_eq!(status(&response), 200, "{response}");
    in_time(async {
        while *watches.lock().unwrap() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let response = get(&kubegate.address, "/x").await;
    assert_eq!(status(&response), 200, "{response}");
    let log = kubegate.log();
    assert_eq!(
        log.matches("WARN the Secret is not watched").count(),
        1,
        "{log}"
    );
    assert!(log.contains("may not `watch` Secret token"), "{log}");
    assert!(!log.contains("sesame-sa-secret"), "{log}");
}

#[test]
fn names_and_flags_that_cannot_be_are_told() {
    let ca = cert("ca.pem");
    for (args, part) in [
        (&["--service-account", "robot"][..], "default/robot"),
        (&["--service-account", "a/../b"], "default/robot"),
        (&["--service-account-audience", "x"], "--service-account"),
        (
            &[
                "--service-account",
                "a/b",
                "--service-account-secret",
                "a/b",
            ],
            "cannot be used with",
        ),
    ] {
        let mut command = Kubegate::command(["--server", "https://localhost:1", "--port", "0"]);
        command.arg("--certificate-authority").arg(&ca).args(args);
        let refused = Kubegate::refused(command);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
}
