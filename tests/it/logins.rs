//! Saved logins: begun with a browser, used by the proxy without a process and by kubectl as a plugin,
//! and ended.

mod binding;
mod clients;
mod copies;
mod entries;
mod failures;
mod forget;
mod interrupted_renewals;
pub(crate) mod interrupts;
mod issuers;
mod keyring;
mod list;
mod login;
mod logout;
mod older_servers;
mod other_hands;
mod remedies;
mod renewal;
mod several_files;
mod token;
mod unsaved_tokens;
mod unwritable;

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kubegate::{
    credential::store::{LoginBinding, SavedLogin, Store},
    demo::{
        ControlPlane,
        oidc::{OidcIssuer, Options},
    },
    secret::Secret,
};
use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::support::{Kubegate, Refused};

struct Home {
    folder: TempDir,
    issuer: OidcIssuer,
    plane: ControlPlane,
}

impl Home {
    async fn new(id_token: u64) -> Self {
        let issuer = OidcIssuer::start(Options {
            id_token: Duration::from_secs(id_token),
            ..Options::default()
        });
        let issuer = issuer.await.unwrap();
        let plane = issuer.control_plane().await.unwrap();
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("issuer.pem"), issuer.ca_pem()).unwrap();
        fs::write(folder.path().join("api.pem"), plane.ca_pem()).unwrap();
        Self {
            folder,
            issuer,
            plane,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn kubeconfig(&self) -> String {
        fs::read_to_string(self.path(".kube/config")).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Kubegate::command(args);
        command.env("HOME", self.folder.path());
        command
    }

    fn out(&self, args: &[&str]) -> String {
        let ended = Kubegate::refused(self.command(args));
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended.stdout
    }

    /// The command to log in, with curl as the browser.
    fn log_in_with(&self, args: &[&str]) -> Command {
        let mut command = self.command(&["login", "oidc"]);
        command.args(["--oidc-redirect-url", "http://127.0.0.1:0/callback"]);
        command.args(args);
        let browser = format!(
            "curl --silent --location --cacert {} --output /dev/null %s",
            self.path("issuer.pem").display()
        );
        command.env("BROWSER", browser);
        command
    }

    fn first_login(&self) -> Command {
        let (server, issuer) = (self.plane.url(), self.issuer.url());
        let (api, ca) = (self.path("api.pem"), self.path("issuer.pem"));
        self.log_in_with(&[
            "--server",
            &server,
            "--certificate-authority",
            api.to_str().unwrap(),
            "--oidc-issuer-url",
            &issuer,
            "--oidc-client-id",
            "kubegate-demo",
            "--oidc-certificate-authority",
            ca.to_str().unwrap(),
        ])
    }

    fn log_in(&self) -> Refused {
        let ended = Kubegate::refused(self.first_login());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    }

    fn saved(&self) -> PathBuf {
        let mut files = fs::read_dir(self.path(".local/state/kubegate/logins")).unwrap();
        let saved = files.find_map(|file| {
            let path = file.unwrap().path();
            (path.extension()? == "json").then_some(path)
        });
        saved.unwrap()
    }
}

/// A program on PATH; `tests/run` installs missing ones.
fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(program));
    let found = found.find(|file| file.exists());
    found.unwrap_or_else(|| panic!("{program} is not on PATH; run tests/run, which installs it"))
}

/// A home with a session of `jane` at `server`, as after `login openshift`.
fn with_session(server: &str, ca: &str, token: Secret) -> TempDir {
    let folder = tempdir().unwrap();
    save_session(&folder, server, token);
    let config = json!({
        "current-context": "default/c/jane",
        "clusters": [{"name": "c", "cluster": {
            "server": server,
            "certificate-authority-data": BASE64_STANDARD.encode(ca),
        }}],
        "users": [{"name": "jane/c", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "kubegate",
            "args": ["credential", "openshift", "--login", "jane/c"],
            "interactiveMode": "Never",
            "provideClusterInfo": true,
        }}}],
        "contexts": [{"name": "default/c/jane", "context": {
            "cluster": "c",
            "user": "jane/c",
            "extensions": [{"name": "kubegate", "extension": {"made": ["cluster", "context"]}}],
        }}],
    });
    let path = folder.path().join(".kube/config");
    fs::create_dir(folder.path().join(".kube")).unwrap();
    fs::write(&path, kubegate::kubeconfig::yaml(&config).as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

fn save_session(folder: &TempDir, server: &str, token: Secret) {
    let home = folder.path().as_os_str().to_owned();
    let store = Store::of_user(&|name| (name == "HOME").then(|| home.clone())).unwrap();
    let saved = SavedLogin {
        token: Some(token),
        ..SavedLogin::default()
    };
    let binding = LoginBinding::of_server(&server.parse().unwrap());
    store.bound_to(binding).write("jane/c", &saved).unwrap();
}

fn run_in(home: &TempDir, args: &[&str]) -> Refused {
    let mut command = Kubegate::command(args);
    command.env("HOME", home.path());
    Kubegate::refused(command)
}
