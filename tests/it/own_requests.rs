//! The requests that kubegate itself makes, to issuers and API servers: they carry its User-Agent, and
//! a command waits for a busy server.
#![cfg(feature = "demo")]

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kubegate::demo::{
    https::{Faults, ReceivedRequest, RetryAfter},
    ibm::{self, API_KEY, IbmCloud},
    oidc::{self, OidcIssuer},
    openshift::{self, OpenShift},
};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Connection, Kubegate, Refused, Upstream, cert, kubeconfig};

const AGENT: &str = concat!("kubegate/", env!("CARGO_PKG_VERSION"));

/// A folder with a kubeconfig.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a kubeconfig for `server` with this user.
    fn kubeconfig(&self, server: &str, ca: &str, user: &Value) {
        self.file("config", &kubeconfig(server, ca, user));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Kubegate::command(args);
        command
            .env("HOME", self.0.path())
            .env("KUBECONFIG", self.0.path().join("config"));
        command
    }

    fn succeeds(&self, args: &[&str]) -> Refused {
        let done = Kubegate::refused(self.command(args));
        assert_eq!(done.code, Some(0), "{args:?}: {done:?}");
        done
    }
}

/// An OIDC issuer, and a home whose ID token has expired.
async fn with_oidc() -> (OidcIssuer, Home) {
    let issuer = OidcIssuer::start(oidc::Options::default()).await.unwrap();
    let home = Home::new();
    let ca = home.file("issuer-ca.pem", issuer.ca_pem());
    let (_, refresh_token) = issuer.issue_login().unwrap();
    let user = json!({"auth-provider": {"name": "oidc", "config": {
        "idp-issuer-url": issuer.url(),
        "client-id": "kubegate-demo",
        "idp-certificate-authority": ca,
        "refresh-token": refresh_token,
    }}});
    home.kubeconfig("https://127.0.0.1:1", issuer.ca_pem(), &user);
    (issuer, home)
}

/// An `OpenShift` cluster, a home, and the arguments of the plugin that begins a session there.
async fn with_openshift() -> (OpenShift, Home, Vec<String>) {
    let cluster = OpenShift::start(openshift::Options::default()).await;
    let cluster = cluster.unwrap();
    cluster.add_user("jane", "sesame-own-1");
    let home = Home::new();
    let mut args = vec!["credential".to_owned(), "openshift".to_owned()];
    for (flag, name, text) in [
        ("--openshift-username-file", "username", "jane"),
        ("--openshift-password-file", "password", "sesame-own-1"),
        (
            "--oauth-certificate-authority",
            "oauth-ca.pem",
            cluster.oauth_ca_pem(),
        ),
    ] {
        let path = home.file(name, text);
        args.extend([flag.to_owned(), path.display().to_string()]);
    }
    (cluster, home, args)
}

/// Runs a plugin as kubectl does.
fn plugin(home: &Home, cluster: &OpenShift, args: &[String]) -> Refused {
    let info = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {"interactive": false, "cluster": {
            "server": cluster.api().url(),
            "certificate-authority-data": BASE64_STANDARD.encode(cluster.api().ca_pem()),
        }},
    });
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut command = home.command(&args);
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    Kubegate::refused(command)
}

/// The demo's IBM Cloud, and the login at one of its clusters.
async fn with_ibm() -> (IbmCloud, Home, Command) {
    let options = ibm::Options {
        unsynchronized: 0,
        ..ibm::Options::default()
    };
    let cloud = IbmCloud::start(options).await.unwrap();
    let home = Home::new();
    let ca = home.file("ca.pem", cloud.ca_pem());
    let mut command = home.command(&["login", "ibm", "--cluster", "kubegate-iks"]);
    command
        .envs(cloud.environment())
        .env("SSL_CERT_FILE", ca)
        .env("IBMCLOUD_API_KEY", API_KEY);
    (cloud, home, command)
}

fn assert_named(requests: &[ReceivedRequest]) {
    assert!(!requests.is_empty());
    for request in requests {
        assert_eq!(request.user_agent.as_deref(), Some(AGENT), "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_issuers_and_services_carry_the_user_agent() {
    let (issuer, home) = with_oidc().await;
    home.succeeds(&["token"]);
    assert_named(&issuer.server().requests());

    let (cluster, home, args) = with_openshift().await;
    let done = plugin(&home, &cluster, &args);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_named(&cluster.oauth_requests());

    let (cloud, _home, command) = with_ibm().await;
    let done = Kubegate::refused(command);
    assert_eq!(done.code, Some(0), "{done:?}");
    for (server, _) in [cloud.iam(), cloud.containers()] {
        assert_named(&server.requests());
    }
}

/// An API server that answers reviews, and requests for tokens of service accounts. It answers 429
/// to the first `busy` requests.
async fn api_server(busy: usize) -> (Upstream, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::<Mutex<Vec<String>>>::default();
    let received = Arc::clone(&heads);
    let left = Arc::new(AtomicUsize::new(busy));
    let serve = move |connection| answer_all(connection, received.clone(), left.clone());
    (Upstream::tls("localhost", serve).await, heads)
}

async fn answer_all(
    mut connection: Connection,
    received: Arc<Mutex<Vec<String>>>,
    left: Arc<AtomicUsize>,
) {
    while let Some(request) = connection.request().await {
        received.lock().unwrap().push(request.head.clone());
        let one_less = |left: usize| left.checked_sub(1);
        let is_busy = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        if is_busy.is_ok() {
            let busy = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n\
                        Content-Length: 0\r\n\r\n";
            connection.write(busy).await;
            continue;
        }
        let body = json!({
            "kind": "SelfSubjectReview",
            "status": {
                "userInfo": {"username": "jane"},
                "token": "sesame-own-2",
                "expirationTimestamp": "2099-01-01T00:00:00Z",
            },
        });
        let body = body.to_string();
        let length = body.len();
        connection
            .write(format!(
                "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            ))
            .await;
    }
}

fn home_of(server: &Upstream) -> Home {
    let home = Home::new();
    let ca = fs::read_to_string(cert("ca.pem")).unwrap();
    home.kubeconfig(&server.url(), &ca, &json!({"token": "sesame-own-3"}));
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_the_api_server_carry_the_user_agent() {
    let (server, heads) = api_server(0).await;
    let home = home_of(&server);
    let done = home.succeeds(&["whoami"]);
    assert!(done.stdout.contains("jane"), "{done:?}");
    let kubegate = Kubegate::spawn({
        let mut command = home.command(&["--service-account", "default/robot", "--port", "0"]);
        command.stdin(std::process::Stdio::null());
        command
    });
    crate::support::get(&kubegate.address, "/version").await;
    let heads = heads.lock().unwrap();
    for path in [
        "selfsubjectreviews",
        "serviceaccounts/robot/token",
        "/version",
    ] {
        let head = heads.iter().find(|head| head.contains(path));
        let head = head.unwrap_or_else(|| panic!("no {path}: {heads:?}"));
        let agent = format!("user-agent: {AGENT}");
        assert!(head.to_ascii_lowercase().contains(&agent), "{head}");
    }
}

/// Has `faults` answer 429 once at `path`, with a time to wait.
fn busy_once(faults: &Faults, path: &str) {
    faults.only_on(path);
    faults.limit_to(1);
    faults.rate_limit(Some(RetryAfter::Seconds(1)));
}

fn assert_waited(done: &Refused) {
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.took >= Duration::from_secs(1), "{done:?}");
    assert!(done.stderr.contains("is busy (429)"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_a_busy_issuer() {
    for path in ["/.well-known/openid-configuration", "/token"] {
        let (issuer, home) = with_oidc().await;
        busy_once(issuer.faults(), path);
        let done = home.succeeds(&["token"]);
        assert_waited(&done);
        assert_eq!(issuer.server().count(path), 2);
        assert_eq!(issuer.refreshes(), 1);
    }

    let (cluster, home, args) = with_openshift().await;
    busy_once(cluster.faults(), "/oauth/authorize");
    let done = plugin(&home, &cluster, &args);
    assert_waited(&done);
    assert_eq!(cluster.logins(), 1);

    let (cloud, _home, command) = with_ibm().await;
    busy_once(cloud.iam().1, "/identity/token");
    assert_waited(&Kubegate::refused(command));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_a_busy_api_server() {
    let (server, _) = api_server(1).await;
    let home = home_of(&server);
    let done = home.succeeds(&["whoami"]);
    assert_waited(&done);
    assert!(done.stdout.contains("jane"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_does_not_wait_longer_than_a_call_may_take() {
    let (issuer, home) = with_oidc().await;
    issuer.faults().only_on("/token");
    issuer.faults().rate_limit(Some(RetryAfter::Seconds(3600)));
    let refused = Kubegate::refused(home.command(&["token"]));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("429"), "{refused:?}");
    assert_eq!(issuer.server().count("/token"), 1);
}
