//! Sessions of an `OpenShift` cluster: those that kubegate begins with a password, and existing ones
//! of the kubeconfig or the state folder, whose end is announced.

mod browser_login;
mod contexts;
mod existing_sessions;
mod login;
mod password_files;
mod projects;
mod redirected_challenges;
mod refused_passwords;
mod renew;
mod saved_login;
mod tokens;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kubegate::demo::openshift::{OpenShift, Options};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{Kubegate, PATIENCE, get, status};

/// A path that needs a session.
const OWN_USER: &str = "/apis/user.openshift.io/v1/users/~";

/// A cluster with the user alice, and a folder for her files.
struct Cluster {
    openshift: OpenShift,
    folder: TempDir,
}

impl Cluster {
    async fn with(options: Options) -> Self {
        let openshift = OpenShift::start(options).await.unwrap();
        openshift.add_user("alice", "sesame-os-1");
        Self {
            openshift,
            folder: tempdir().unwrap(),
        }
    }

    /// Writes a file to the folder.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    /// A kubeconfig for the API server with this user.
    fn kubeconfig(&self, user: &Value) -> PathBuf {
        let api = self.openshift.api();
        self.kubeconfig_for(&api.url(), api.ca_pem(), user)
    }

    fn kubeconfig_for(&self, server: &str, ca: &str, user: &Value) -> PathBuf {
        let config = json!({
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "alice"}}],
            "clusters": [{"name": "c", "cluster": {
                "server": server,
                "certificate-authority-data": BASE64_STANDARD.encode(ca),
            }}],
            "users": [{"name": "alice", "user": user}],
        });
        self.file("config", &config.to_string())
    }

    /// Starts the proxy with a kubeconfig and the cluster's state folder.
    fn start(&self, config: &Path, args: &[&str]) -> Kubegate {
        let mut command = Kubegate::command(["--kubeconfig", config.to_str().unwrap()]);
        command.args(args).args(["--port", "0"]);
        command.env("XDG_STATE_HOME", self.state());
        Kubegate::spawn(command)
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn oauth_ca(&self) -> String {
        let path = self.file("oauth-ca.pem", self.openshift.oauth_ca_pem());
        path.to_str().unwrap().to_owned()
    }
}

/// Sends requests until a response is as wanted.
async fn wait_until(kubegate: &Kubegate, path: &str, wanted: impl Fn(&str) -> bool) -> String {
    let started = Instant::now();
    loop {
        let response = get(&kubegate.address, path).await;
        if wanted(&response) {
            return response;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{response}\n{}",
            kubegate.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn is_ok(response: &str) -> bool {
    status(response) == 200
}
