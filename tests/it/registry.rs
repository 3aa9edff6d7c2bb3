//! The image registry of an `OpenShift`, reached through kubegate with the session of a context.
#![cfg(feature = "demo")]

use std::{fs, path::PathBuf};

use kubegate::demo::openshift::{OpenShift, Options};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Kubegate, exchange, get, status};

/// A cluster, and a kubeconfig with contexts for it.
struct Setup {
    cluster: OpenShift,
    folder: TempDir,
}

impl Setup {
    /// The context `session` has a valid session, `ended` a revoked one, and `login` begins one at the
    /// cluster's OAuth server.
    async fn new() -> Self {
        let cluster = OpenShift::start(Options::default()).await.unwrap();
        cluster.add_user("jane", "sesame-registry-1");
        let session = cluster.issue_session("jane").unwrap();
        let ended = cluster.issue_session("jane").unwrap();
        assert!(cluster.revoke(ended.expose()));
        let folder = tempdir().unwrap();
        let setup = Self { cluster, folder };
        fs::write(setup.path("api-ca.pem"), setup.cluster.api().ca_pem()).unwrap();
        let registry_ca = setup.cluster.registry_ca_pem();
        fs::write(setup.path("registry-ca.pem"), registry_ca).unwrap();
        let context = |name| json!({"name": name, "context": {"cluster": "api", "user": name}});
        let user = |name, token: &str| json!({"name": name, "user": {"token": token}});
        for (name, text) in [
            ("username", "jane"),
            ("password", "sesame-registry-1"),
            ("oauth-ca.pem", setup.cluster.oauth_ca_pem()),
        ] {
            fs::write(setup.path(name), text).unwrap();
        }
        let login = json!({"name": "login", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "kubegate",
            "args": [
                "credential", "openshift",
                "--openshift-username-file", setup.path("username"),
                "--openshift-password-file", setup.path("password"),
                "--oauth-certificate-authority", setup.path("oauth-ca.pem"),
            ],
            "interactiveMode": "Never",
            "provideClusterInfo": true,
        }}});
        let config = json!({
            "current-context": "ended",
            "contexts": [context("session"), context("ended"), context("login")],
            "clusters": [{"name": "api", "cluster": {
                "server": setup.cluster.api().url(),
                "certificate-authority": "api-ca.pem",
            }}],
            "users": [user("session", session.expose()), user("ended", ended.expose()), login],
        });
        fs::write(setup.path("config"), config.to_string()).unwrap();
        setup
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts `kubegate --server https://REGISTRY` with a context's credential.
    fn before_the_registry(&self, context: &str) -> Kubegate {
        let (config, ca) = (self.path("config"), self.path("registry-ca.pem"));
        Kubegate::start([
            "--kubeconfig",
            config.to_str().unwrap(),
            "--context",
            context,
            "--server",
            &self.cluster.registry_url(),
            "--certificate-authority",
            ca.to_str().unwrap(),
        ])
    }
}

async fn put(kubegate: &Kubegate, path: &str, body: &str) -> String {
    let address = &kubegate.address;
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(address, head).await
}

fn body(response: &str) -> Value {
    serde_json::from_str(response.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

#[tokio::test]
async fn a_contexts_session_works_at_the_registry() {
    let setup = Setup::new().await;
    let kubegate = setup.before_the_registry("session");
    let response = get(&kubegate.address, "/v2/").await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(
        response.contains("\r\nx-registry-supports-signatures: 1\r\n"),
        "{response}"
    );

    let ended = setup.before_the_registry("ended");
    let refused = get(&ended.address, "/v2/").await;
    assert_eq!(status(&refused), 401, "{refused}");
}

#[tokio::test]
async fn a_login_is_bound_to_its_cluster_and_not_the_registry() {
    let setup = Setup::new().await;
    let kubegate = setup.before_the_registry("login");
    let response = get(&kubegate.address, "/v2/").await;
    assert_eq!(status(&response), 200, "{response}");
    let requests = setup.cluster.registry_requests();
    let paths: Vec<_> = requests.iter().map(|seen| seen.path.as_str()).collect();
    assert_eq!(paths, ["/v2/"]);
}

#[tokio::test]
async fn signatures_can_be_written_and_read() {
    let setup = Setup::new().await;
    let digest = setup.cluster.add_image("demo/signed");
    let path = format!("/extensions/v2/demo/signed/signatures/{digest}");
    let kubegate = setup.before_the_registry("session");

    let before = get(&kubegate.address, &path).await;
    assert_eq!(status(&before), 200, "{before}");
    assert_eq!(body(&before), json!({"signatures": []}));

    let signature = json!({
        "schemaVersion": 2,
        "name": format!("{digest}@from-kubegate"),
        "type": "atomic",
        "content": "owGbwMvMwMEo",
    });
    let created = put(&kubegate, &path, &signature.to_string()).await;
    assert_eq!(status(&created), 201, "{created}");
    let again = put(&kubegate, &path, &signature.to_string()).await;
    assert_eq!(status(&again), 409, "{again}");
    assert_eq!(body(&again)["errors"][0]["code"], "SIGNATURE_EXISTS");
    let by_the_docs = signature.to_string().replace("schemaVersion", "version");
    let invalid = put(&kubegate, &path, &by_the_docs).await;
    assert_eq!(status(&invalid), 400, "{invalid}");
    assert_eq!(body(&invalid)["errors"][0]["code"], "SIGNATURE_INVALID");

    let after = get(&kubegate.address, &path).await;
    assert_eq!(body(&after), json!({"signatures": [signature]}));

    let ended = setup.before_the_registry("ended");
    let refused = put(&ended, &path, &signature.to_string()).await;
    assert_eq!(status(&refused), 401, "{refused}");
}
