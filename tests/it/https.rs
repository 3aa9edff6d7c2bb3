//! TLS of the proxy's own listener: `--tls-cert`, `--tls-self-signed`, and what is refused at the start.

mod certificates;
mod clients;
mod http1;
mod refused;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Connection, Kubegate, Upstream, cert};

/// The flags for a listener with a certificate of `certs/`, which `certs/ca.pem` has signed.
fn with_certificate(name: &str) -> Vec<String> {
    let file = |suffix: &str| cert(&format!("{name}.{suffix}")).display().to_string();
    let flags = ["--tls-cert", &file("pem"), "--tls-key", &file("key")];
    flags.map(str::to_owned).to_vec()
}

/// kubegate with `--tls-self-signed`, and its CA.
struct SelfSigned {
    kubegate: Kubegate,
    authority: PathBuf,
}

impl SelfSigned {
    fn start(upstream: &Upstream, state: &Path, flags: &[&str]) -> Self {
        let mut command = Kubegate::command(["--server", &upstream.url(), "--token", "sesame"]);
        command
            .args(["--port", "0", "--tls-self-signed"])
            .args(flags);
        command.env("XDG_STATE_HOME", state);
        Self {
            kubegate: Kubegate::spawn(command),
            authority: state.join("kubegate/local-ca/ca.pem"),
        }
    }

    /// `https://localhost:PORT`
    fn url(&self, host: &str) -> String {
        let (_, port) = self.kubegate.address.rsplit_once(':').unwrap();
        format!("https://{host}:{port}")
    }
}

/// What curl prints: the body, then the status and the version of HTTP.
fn curl(authority: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "20"])
        .args(["--write-out", "\n%{http_code} HTTP/%{http_version}"])
        .arg("--cacert")
        .arg(authority)
        .args(arguments);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

async fn echo() -> Upstream {
    Upstream::plain(Connection::echo).await
}
