//! The source: runs the plugin, and reads the credential from its output.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::process::Command;
use zeroize::Zeroizing;

use super::{
    PluginError, exec_info,
    process::{self, Output, RunError},
    program, recursion,
    redact::KnownSecrets,
    shutdown, status, stderr,
    stderr_log::StderrLog,
    terminal,
    timeouts::Timeouts,
};
use crate::{
    credential::{
        Credential, Error, Fetch, RefreshPolicy, Source, blocking::blocking,
        protocol::authorization, sources::client_cert::LastIdentity,
    },
    kubeconfig::{Cluster, ExecConfig},
    tls::identity,
};

/// A source that runs a plugin for each credential.
pub(in crate::credential) struct Exec(Arc<Plugin>);

struct Plugin {
    config: ExecConfig,
    cluster: Cluster,
    last_identity: LastIdentity,
    timeouts: Timeouts,
    /// The output of the last run, which the next run may quote on standard error.
    last_output: Mutex<Arc<Zeroizing<Vec<u8>>>>,
    /// Whether a plugin can read from the terminal, and if not, why.
    terminal: fn() -> Result<(), &'static str>,
}

impl Exec {
    /// `limit` is `--exec-timeout`: how long a run may take; zero means without limit.
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
            last_output: Mutex::default(),
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

    /// A run has a limit of its own, and may wait for a human's login.
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
        let interactive = terminal::is_interactive(config, self.terminal)?;
        let program = program::find(&config.command, std::env::var_os("PATH").as_deref())
            .ok_or_else(|| self.not_found())?;
        let above = std::env::var_os(recursion::VARIABLE);
        let plugins = recursion::plugins_with(above.as_deref(), config, &self.cluster);
        let plugins = plugins.map_err(|what| self.recursive(what))?;
        let request = self.request(interactive).await?;
        let mut command = Command::new(program);
        command.args(&config.args);
        for (name, value) in &config.env {
            command.env(name, value.expose());
        }
        command.env("KUBERNETES_EXEC_INFO", request.as_str());
        command.env(recursion::VARIABLE, plugins);
        let limit = self.timeouts.limit(interactive);
        if interactive {
            self.log_terminal_use(limit);
        }
        let last_output = Arc::clone(&self.last_output());
        let secrets = KnownSecrets {
            env: &config.env,
            last_output: &last_output,
        };
        let mut log = StderrLog::new(&config.command, limit, secrets);
        let run = process::run(command, interactive, &self.timeouts, &mut log);
        let ended = shutdown::tracked(run).await;
        let logged = log.has_logged_all();
        let (status, output) = ended.map_err(|error| self.error(error, interactive, logged))?;
        if !status.success() {
            return Err(Error::Plugin(PluginError::Failed {
                command: config.command.clone(),
                status,
                stderr: self.presentable(&output),
                logged,
            }));
        }
        let credential = self.credential(&output.stdout);
        *self.last_output() = Arc::new(output.stdout);
        credential
    }

    fn last_output(&self) -> MutexGuard<'_, Arc<Zeroizing<Vec<u8>>>> {
        self.last_output
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn log_terminal_use(&self, limit: Duration) {
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

    /// The value of `KUBERNETES_EXEC_INFO`; it may contain the password of a proxy.
    async fn request(self: &Arc<Self>, interactive: bool) -> Result<Zeroizing<String>, Error> {
        let plugin = Arc::clone(self);
        // This reads the certificate authority's file.
        let make = move || {
            let cluster = plugin
                .config
                .provide_cluster_info
                .then_some(&plugin.cluster);
            exec_info::encode(&plugin.config.api_version, interactive, cluster)
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

    fn error(&self, error: RunError, interactive: bool, logged: bool) -> Error {
        let command = self.config.command.clone();
        match error {
            RunError::Spawn(error) if error.kind() == io::ErrorKind::ArgumentListTooLong => {
                Error::Plugin(PluginError::Unusable {
                    command,
                    what: "cannot be started: its arguments and environment are too long",
                    source: Arc::new(error),
                })
            }
            RunError::Spawn(error) => Error::Plugin(PluginError::Unusable {
                what: why_not_started(&command, &error),
                command,
                source: Arc::new(error),
            }),
            RunError::Lost(error) => Error::Plugin(PluginError::Unusable {
                command,
                what: "was lost while it ran",
                source: Arc::new(error),
            }),
            RunError::TooMuchOutput => Error::Plugin(PluginError::BadOutput {
                command,
                what: "more than 1 MiB on standard output".to_owned(),
            }),
            RunError::ShuttingDown => Error::Plugin(PluginError::Stopped { command }),
            RunError::TimedOut(output) => Error::Plugin(PluginError::TimedOut {
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

    fn recursive(&self, what: &'static str) -> Error {
        Error::Plugin(PluginError::Recursive {
            command: self.config.command.clone(),
            what,
        })
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
        // The file itself exists: it was found before.
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
