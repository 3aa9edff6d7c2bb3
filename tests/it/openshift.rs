//! Sessions of an `OpenShift` cluster: begun without a human, one after another, or found in the
//! kubeconfig or the state folder and announced before they end.

mod found;
mod login;
mod unattended;

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

/// What only those may ask who have a session.
const OWN_USER: &str = "/apis/user.openshift.io/v1/users/~";

/// A cluster with the user alice, and a folder for files of hers.
struct Cluster {
    shift: OpenShift,
    folder: TempDir,
}

impl Cluster {
    async fn with(options: Options) -> Self {
        let shift = OpenShift::start(options).await.unwrap();
        shift.add_user("alice", "sesame-os-1");
        Self {
            shift,
            folder: tempdir().unwrap(),
        }
    }

    /// Writes a file of the folder.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    /// A kubeconfig with this user, before the API server.
    fn kubeconfig(&self, user: &Value) -> PathBuf {
        let api = self.shift.api();
        self.kubeconfig_before(&api.url(), api.ca_pem(), user)
    }

    fn kubeconfig_before(&self, server: &str, ca: &str, user: &Value) -> PathBuf {
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

    /// Starts the proxy on a kubeconfig, with a state folder of its own.
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
        let path = self.file("oauth-ca.pem", self.shift.oauth_ca_pem());
        path.to_str().unwrap().to_owned()
    }
}

/// Asks until an answer is as wanted.
async fn until(gate: &Kubegate, path: &str, wanted: impl Fn(&str) -> bool) -> String {
    let started = Instant::now();
    loop {
        let answer = get(&gate.address, path).await;
        if wanted(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{answer}\n{}", gate.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn is_ok(answer: &str) -> bool {
    status(answer) == 200
}
