//! `exec`: a client-go credential plugin, `client.authentication.k8s.io/v1` and `v1beta1`.
//!
//! Rules: <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>
//! and client-go's `plugin/pkg/client/auth/exec`.

mod ending;
mod error;
mod find;
mod process;
mod protocol;
mod relay;
mod status;
mod stderr;
mod terminal;
mod time;
mod tree;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::process::Command;
use zeroize::Zeroizing;

pub use self::{ending::end_plugins, error::PluginError};
use self::{
    process::{Halt, Output, Timeouts},
    relay::Relay,
    stderr::Hide,
};
use super::client_cert::LastIdentity;
use crate::{
    credential::{
        Credential, Error, Fetch, RefreshPolicy, Source, blocking::blocking,
        protocol::authorization,
    },
    kubeconfig::{Cluster, ExecConfig},
    tls::identity,
};

/// Runs a plugin for every credential that the cache wants.
pub(in crate::credential) struct Exec(Arc<Plugin>);

struct Plugin {
    config: ExecConfig,
    cluster: Cluster,
    last_identity: LastIdentity,
    timeouts: Timeouts,
    /// What it printed last, which its next run may quote.
    last: Mutex<Arc<Zeroizing<Vec<u8>>>>,
    /// Why standard input is no terminal for a plugin, if so.
    terminal: fn() -> Result<(), &'static str>,
}

impl Exec {
    /// `limit` is how long a run may take, where that was said; zero is without end.
    pub(in crate::credential) fn new(
        config: &ExecConfig,
        cluster: &Cluster,
        limit: Option<Duration>,
    ) -> Self {
        Self(Arc::new(Plugin {
            config: config.clone(),
            cluster: cluster.clone(),
            last_identity: LastIdentity::default(),
            timeouts: limit.map_or_else(Timeouts::default, Timeouts::within),
            last: Mutex::default(),
            terminal: terminal::available,
        }))
    }
}

impl Source for Exec {
    fn subject(&self) -> String {
        self.0.subject()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.0.run())
    }

    /// Its runs are bounded by themselves, and may wait for a human's login.
    fn refresh_policy(&self) -> RefreshPolicy {
        RefreshPolicy {
            max_wait: None,
            ..RefreshPolicy::ISSUER
        }
    }
}

impl Plugin {
    fn subject(&self) -> String {
        format!("exec plugin {}", self.config.command.display())
    }

    async fn run(self: &Arc<Self>) -> Result<Credential, Error> {
        let config = &self.config;
        let interactive = terminal::decide(config, self.terminal)?;
        let program = find::program(&config.command, std::env::var_os("PATH").as_deref())
            .ok_or_else(|| self.not_found())?;
        let request = self.request(interactive).await?;
        let mut command = Command::new(program);
        command.args(&config.args);
        for (name, value) in &config.env {
            command.env(name, value.expose());
        }
        command.env("KUBERNETES_EXEC_INFO", request.as_str());
        let limit = self.timeouts.limit(interactive);
        if interactive {
            self.tell_of_terminal(limit);
        }
        let last = Arc::clone(&self.last());
        let hide = Hide {
            env: &config.env,
            last: &last,
        };
        let mut relay = Relay::new(&config.command, limit, hide);
        let run = process::run(command, interactive, &self.timeouts, &mut relay);
        let ended = ending::counted(run).await;
        let logged = relay.has_logged_all();
        let (status, output) = ended.map_err(|halt| self.halted(halt, interactive, logged))?;
        if !status.success() {
            return Err(Error::Plugin(PluginError::Failed {
                command: config.command.clone(),
                status,
                stderr: self.presentable(&output),
                logged,
            }));
        }
        let credential = self.credential(&output.stdout);
        *self.last() = Arc::new(output.stdout);
        credential
    }

    fn last(&self) -> MutexGuard<'_, Arc<Zeroizing<Vec<u8>>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_of_terminal(&self, limit: Duration) {
        let plugin = self.config.command.display();
        if limit < Duration::MAX {
            let limit = limit.as_secs();
            tracing::warn!(
                %plugin,
                "an exec plugin has the terminal now; it is stopped after {limit} s"
            );
        } else {
            tracing::warn!(%plugin, "an exec plugin has the terminal now");
        }
    }

    /// The text of `KUBERNETES_EXEC_INFO`; it may hold the password of a proxy.
    async fn request(self: &Arc<Self>, interactive: bool) -> Result<Zeroizing<String>, Error> {
        let plugin = Arc::clone(self);
        // Reads the certificate authority's file.
        let make = move || {
            let cluster = plugin
                .config
                .provide_cluster_info
                .then_some(&plugin.cluster);
            protocol::request(&plugin.config.api_version, interactive, cluster)
        };
        let request = blocking(|| self.subject(), make).await?;
        request.map_err(Error::pem)
    }

    fn credential(&self, stdout: &[u8]) -> Result<Credential, Error> {
        let bad = |what: String| {
            Error::Plugin(PluginError::BadOutput {
                command: self.config.command.clone(),
                what,
            })
        };
        let status = status::parse(stdout, &self.config.api_version).map_err(bad)?;
        let subject = self.subject();
        let authorization = match &status.token {
            Some(token) => Some(authorization::bearer_of(token.expose(), || {
                format!("the token of {subject}")
            })?),
            None => None,
        };
        let certificate = match &status.pair {
            Some((certificate, key)) => Some(self.last_identity.certified_key(
                certificate.expose().as_bytes(),
                key.expose().as_bytes(),
                (
                    &format!("clientCertificateData of {subject}"),
                    &format!("clientKeyData of {subject}"),
                ),
            )?),
            None => None,
        };
        let not_after = certificate.as_deref().and_then(identity::not_after);
        Ok(Credential {
            expires_at: [status.expires_at, not_after].into_iter().flatten().min(),
            authorization,
            certificate,
            ..Credential::default()
        })
    }

    fn halted(&self, halt: Halt, interactive: bool, logged: bool) -> Error {
        let command = self.config.command.clone();
        match halt {
            Halt::Spawn(error) if error.kind() == io::ErrorKind::ArgumentListTooLong => {
                Error::Plugin(PluginError::Unusable {
                    command,
                    what: "cannot be started: its arguments and environment are too long",
                    source: Arc::new(error),
                })
            }
            Halt::Spawn(error) => Error::Plugin(PluginError::Unusable {
                what: why_not_started(&command, &error),
                command,
                source: Arc::new(error),
            }),
            Halt::Lost(error) => Error::Plugin(PluginError::Unusable {
                command,
                what: "was lost while it ran",
                source: Arc::new(error),
            }),
            Halt::TooMuch => Error::Plugin(PluginError::BadOutput {
                command,
                what: "more than 1 MiB on standard output".to_owned(),
            }),
            Halt::Ended => Error::Plugin(PluginError::Stopped { command }),
            Halt::TimedOut(output) => Error::Plugin(PluginError::TimedOut {
                command,
                after: self.timeouts.limit(interactive),
                stderr: self.presentable(&output),
                logged,
            }),
        }
    }

    fn presentable(&self, output: &Output) -> String {
        stderr::presentable(&output.stderr, &output.stdout, &self.config.env)
    }

    fn not_found(&self) -> Error {
        Error::Plugin(PluginError::NotFound {
            command: self.config.command.clone(),
            install_hint: self.config.install_hint.clone(),
        })
    }
}

fn why_not_started(command: &Path, error: &io::Error) -> &'static str {
    const ENOEXEC: i32 = rustix::io::Errno::NOEXEC.raw_os_error();
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::PermissionDenied, _) if command.is_dir() => {
            "cannot be started: it is a folder"
        }
        (io::ErrorKind::PermissionDenied, _) => {
            "cannot be started: it is not executable (chmod +x)"
        }
        // The file itself was found before.
        (io::ErrorKind::NotFound, _) => {
            "cannot be started: the interpreter that its first line names is missing"
        }
        (_, Some(ENOEXEC)) => {
            "cannot be started: it is no program for this machine (a script needs a first line \
             such as #!/bin/sh)"
        }
        _ => "cannot be started",
    }
}

#[cfg(test)]
mod tests;
