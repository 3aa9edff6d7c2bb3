//! Logins at an OIDC issuer by other grants than a code in a browser on this machine: for people without
//! a browser, and for machines.
#![cfg(feature = "demo")]

mod headless;
mod machine;
mod options;
mod refusals;

use std::{fs, path::PathBuf, process::Command, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use kubegate::demo::{
    ControlPlane,
    oidc::{OidcIssuer, Options},
};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::support::{Kubegate, Refused};

/// An issuer, an API server that accepts its tokens, and the home folder of a user.
struct Home {
    folder: TempDir,
    issuer: OidcIssuer,
    plane: ControlPlane,
}

impl Home {
    /// With an issuer of tokens that expire in an hour, whose devices may ask every second.
    async fn new() -> Self {
        Self::with(options()).await
    }

    async fn with(options: Options) -> Self {
        let issuer = OidcIssuer::start(options).await.unwrap();
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

    /// Writes a file, and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Kubegate::command(args);
        command.env("HOME", self.folder.path());
        command
    }

    fn run(&self, args: &[&str]) -> Refused {
        Kubegate::refused(self.command(args))
    }

    fn out(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended.stdout
    }

    /// The command of the first login, without a browser.
    fn login(&self, args: &[&str]) -> Command {
        let (server, issuer) = (self.plane.url(), self.issuer.url());
        let mut command = self.command(&["login", "oidc", "--server", &server]);
        command
            .arg("--certificate-authority")
            .arg(self.path("api.pem"))
            .args(["--oidc-issuer-url", &issuer])
            .args(["--oidc-client-id", "kubegate-demo"])
            .arg("--oidc-certificate-authority")
            .arg(self.path("issuer.pem"))
            .args(args);
        command
    }

    /// Logs in, which must succeed.
    fn log_in(&self, args: &[&str]) -> Refused {
        let ended = Kubegate::refused(self.login(args));
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended
    }

    /// The command that serves as a browser.
    fn curl(&self) -> String {
        format!(
            "curl --silent --location --cacert {} --output /dev/null %s",
            self.path("issuer.pem").display()
        )
    }

    fn kubeconfig(&self) -> String {
        fs::read_to_string(self.path(".kube/config")).unwrap()
    }

    /// The text of every file in the state folder.
    fn state(&self) -> String {
        let mut folders = vec![self.path(".local/state/kubegate")];
        let mut text = String::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    text.push_str(&fs::read_to_string(path).unwrap());
                }
            }
        }
        text
    }
}

fn options() -> Options {
    Options {
        id_token: Duration::from_secs(3600),
        device_interval: Duration::from_secs(1),
        ..Options::default()
    }
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    let claims = token.trim().split('.').nth(1).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice(&claims).unwrap()
}
