//! The demo's IBM Cloud, and kubegate with a home folder for it.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use kubegate::{
    credential::store::Store,
    demo::{
        https::{Faults, HttpsServer, QUOTED_SECRET},
        ibm::{IbmCloud, Options},
    },
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::Kubegate;

/// The cluster of most tests.
pub const CLUSTER: &str = "kubegate-iks";
pub const CLUSTER_ID: &str = "bkiks0prod0000000001";

/// A path that every cluster serves.
pub const PODS: &str = "/api/v1/namespaces/default/pods";

/// The login that tests save in the state folder.
pub const SAVED_LOGIN: &str = "ibm/a/jane";

/// How secrets begin: API keys and passwords, refresh tokens, JWTs, and what IAM's errors quote.
const SECRETS: [&str; 6] = [
    "sesame-ibm",
    "ibm-refresh-",
    "ibm-delegated-",
    "e30.",
    "eyJhbGciOi",
    QUOTED_SECRET,
];

pub struct Cloud {
    pub ibm: IbmCloud,
    pub folder: TempDir,
}

/// A JWT with these claims, which no cluster accepts.
pub fn jwt(claims: &Value) -> String {
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("e30.{claims}.sesame-ibm-signature")
}

pub fn assert_no_secret(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

/// Asserts that the log is verbose and has no secret in it.
pub fn assert_no_secret_in_log(kubegate: &Kubegate) {
    let log = kubegate.log();
    assert!(log.contains("DEBUG"), "not verbose: {log}");
    assert_no_secret(&log);
}

impl Cloud {
    pub async fn start() -> Self {
        Self::with(Options {
            unsynchronized: 0,
            ..Options::default()
        })
        .await
    }

    /// With ID tokens of this lifetime, in seconds.
    pub async fn with_id_tokens_of(seconds: u64) -> Self {
        let cloud = Self::start().await;
        cloud.set_id_token_lifetime(seconds);
        cloud
    }

    pub async fn with(options: Options) -> Self {
        let ibm = IbmCloud::start(options).await.unwrap();
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), ibm.ca_pem()).unwrap();
        Self { ibm, folder }
    }

    pub fn set_id_token_lifetime(&self, seconds: u64) {
        let lifetime = Duration::from_secs(seconds);
        self.ibm.change(|options| options.id_token = lifetime);
    }

    pub fn iam_url(&self) -> String {
        self.ibm.iam().0.url()
    }

    /// The service that has this path.
    pub fn service(&self, path: &str) -> (&HttpsServer, &Faults) {
        if path.starts_with("/global") {
            self.ibm.containers()
        } else if path.starts_with("/coe") {
            self.ibm.accounts()
        } else {
            self.ibm.iam()
        }
    }

    /// How many requests to a path were received.
    pub fn count(&self, path: &str) -> usize {
        self.service(path).0.count(path)
    }

    /// Resets the connections of every service, or stops doing so.
    pub fn reset_connections(&self, resets: bool) {
        for (_, faults) in [self.ibm.iam(), self.ibm.accounts(), self.ibm.containers()] {
            faults.reset_connections(resets);
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, for which this is IBM Cloud.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Kubegate::command(args);
        command
            .env("HOME", self.folder.path())
            .env("SSL_CERT_FILE", self.path("ca.pem"))
            .envs(self.ibm.environment());
        command
    }

    /// A proxy at the most verbose level.
    pub fn proxy(&self, args: &[&str], variables: &[(&str, &str)]) -> Kubegate {
        let mut command = self.command(args);
        command.args(["--port", "0", "-v", "9"]);
        command.envs(variables.iter().copied());
        Kubegate::spawn(command)
    }

    /// Writes a login to the state folder.
    pub fn save(&self, name: &str, saved: &Value) {
        let path = self.saved_path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut saved = saved.clone();
        saved["issuer"] = json!(self.iam_url());
        fs::write(path, saved.to_string()).unwrap();
    }

    /// A login in the state folder.
    pub fn saved(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.saved_path(name)).unwrap()).unwrap()
    }

    /// Whether the refresh token of a login in the state folder is one that IAM accepts.
    pub fn has_valid_refresh_token(&self, name: &str) -> bool {
        let saved = self.saved(name);
        let refresh_token = saved["refresh-token"].as_str().unwrap();
        self.ibm.accepts_refresh_token(refresh_token)
    }

    /// The state folder.
    pub fn store(&self) -> Store {
        let state = self.path(".local/state").into_os_string();
        let env = |name: &str| (name == "XDG_STATE_HOME").then(|| state.clone());
        Store::of_user(&env).unwrap()
    }

    fn saved_path(&self, name: &str) -> PathBuf {
        let file = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        let file = file.replace("%2D", "-").replace("%5F", "_");
        self.path(".local/state/kubegate/logins")
            .join(format!("{file}.json"))
    }
}
