//! Why there is no credential.

use std::{borrow::Cow, fmt, io, path::PathBuf, process::ExitStatus, sync::Arc, time::Duration};

use rustix::io::Errno;

use super::store;
use crate::{dial, kubeconfig, tls};

/// What the system says when it is short of something, or a program is just being written.
const PASSING: [Errno; 5] = [
    Errno::AGAIN,
    Errno::NOMEM,
    Errno::MFILE,
    Errno::NFILE,
    Errno::TXTBSY,
];

/// Why there is no credential. Shared by all who waited for it, so it can be cloned; no variant
/// ever holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The plugin's program is not there.
    #[error("exec plugin {} was not found{}{}", command.display(), where_looked(command), hint(install_hint.as_deref()))]
    PluginNotFound {
        /// The program.
        command: PathBuf,
        /// `installHint` of the kubeconfig.
        install_hint: Option<String>,
    },
    /// The plugin's program cannot be started, or contact with it was lost.
    #[error("exec plugin {} {what}", command.display())]
    PluginUnusable {
        /// The program.
        command: PathBuf,
        /// What is wrong, and what to do.
        what: &'static str,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The plugin needs a terminal, and there is none for it.
    #[error("exec plugin {} needs a terminal (interactiveMode: Always), but {what}", command.display())]
    PluginNeedsTerminal {
        /// The program.
        command: PathBuf,
        /// Why it cannot have one.
        what: &'static str,
    },
    /// The plugin said no.
    #[error("exec plugin {} failed ({status}){}", command.display(), said(stderr))]
    PluginFailed {
        /// The program.
        command: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to standard error, made harmless.
        stderr: String,
        /// Whether the log has all of that too.
        logged: bool,
    },
    /// The plugin took too long and was killed.
    #[error("exec plugin {} did not finish within {} s and was killed{}", command.display(), after.as_secs_f32(), said(stderr))]
    PluginTimedOut {
        /// The program.
        command: PathBuf,
        /// How long it was given.
        after: Duration,
        /// The end of what it wrote to standard error, made harmless.
        stderr: String,
        /// Whether the log has all of that too.
        logged: bool,
    },
    /// The plugin was stopped, because this process is about to end.
    #[error("exec plugin {} was stopped, for kubegate ends", command.display())]
    PluginEnded {
        /// The program.
        command: PathBuf,
    },
    /// The plugin ended well, but what it printed is no credential.
    #[error("exec plugin {} printed no credential that can be used: {what}", command.display())]
    PluginOutput {
        /// The program.
        command: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A fetch is under way and takes longer than a request may wait.
    #[error("waited {} s for {subject}, which is still under way; try again soon", after.as_secs())]
    WaitedTooLong {
        /// Whom for.
        subject: String,
        /// How long.
        after: Duration,
    },
    /// The token file cannot be read.
    #[error("cannot read token file {}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// The token file holds no token.
    #[error("token file {} {what}", path.display())]
    BadTokenFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file with a user name, a password or a key cannot be read.
    #[error("cannot read {what} file {}", path.display())]
    SecretFile {
        /// What stands in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// Such a file holds no such thing.
    #[error("{what} file {} {problem}", path.display())]
    BadSecretFile {
        /// What stands in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Secret text with characters that a header cannot have.
    #[error("{subject} has characters that no HTTP header can carry, such as a line break")]
    Unsendable {
        /// Whose text.
        subject: String,
    },
    /// A user who is not known by a token.
    #[error(
        "{subject} gives no bearer token: it logs in by certificate or password, or not at all"
    )]
    NoToken {
        /// Whose credential it is.
        subject: String,
    },
    /// The API server does not say who somebody is.
    #[error("the API server at {url} does not say who this is: {problem}")]
    Unidentified {
        /// What was asked for.
        url: String,
        /// What is wrong with its answer, without its text.
        problem: String,
    },
    /// RFC 7617 has no way to send such a name.
    #[error("username of user {user:?} has a colon, which basic authentication cannot send")]
    ColonInUsername {
        /// Name of the user entry.
        user: String,
    },
    /// A certificate and key that cannot be used.
    #[error("the client certificate cannot be used")]
    Certificate(#[source] Arc<tls::Error>),
    /// A certificate, key or authority that cannot be read.
    #[error(transparent)]
    Pem(Arc<kubeconfig::Error>),
    /// The URL of an issuer cannot be used.
    #[error("{what} {problem}")]
    IssuerUrl {
        /// Which URL, and where it stands.
        what: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The issuer cannot be reached as configured.
    #[error("the issuer cannot be reached as configured")]
    Dial(#[source] Arc<dial::Error>),
    /// No connection to the issuer, or it broke.
    #[error("cannot reach {who} at {url}")]
    IssuerUnreachable {
        /// Who was asked: `the issuer`, `the API server`.
        who: &'static str,
        /// What was asked for.
        url: String,
        /// Why not.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The issuer took too long.
    #[error("{who} at {url} did not answer within {} s", after.as_secs_f32())]
    IssuerTimedOut {
        /// Who was asked.
        who: &'static str,
        /// What was asked for.
        url: String,
        /// How long it was given.
        after: Duration,
    },
    /// The issuer answered with something other than tokens.
    #[error("{who} at {url} gave no token: {problem}")]
    IssuerAnswer {
        /// Who was asked.
        who: &'static str,
        /// What was asked for.
        url: String,
        /// What is wrong with the answer, without its text.
        problem: String,
        /// Whether it may pass by itself.
        passing: bool,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// IBM Cloud's services do not have what was asked for, or do not say.
    #[error("IBM Cloud: {problem}")]
    Ibm {
        /// What is wrong, and what to do.
        problem: String,
        /// Whether it may pass by itself.
        passing: bool,
        /// When the service wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Only a human can go on.
    #[error("{subject}: {problem}; {remedy}")]
    LoginNeeded {
        /// The issuer, by kind and URL: `OIDC issuer https://...`.
        subject: String,
        /// Why what is there will not do.
        problem: Cow<'static, str>,
        /// What to do: ``run `kubegate login openshift --server https://...` ``.
        remedy: String,
    },
    /// The state folder, where saved logins rest, cannot be used.
    #[error(transparent)]
    Store(Arc<store::Error>),
    /// The kubeconfig that holds the tokens cannot be used.
    #[error("the tokens in the kubeconfig cannot be read or locked")]
    Kubeconfig(#[source] Arc<kubeconfig::Error>),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes, without which no login is safe")]
    NoRandomness,
    /// A fault of ours.
    #[error("{subject}: obtaining the credential broke off; this is a bug in kubegate")]
    SourceFailed {
        /// Whom it was to come from.
        subject: String,
    },
    /// The last fetch failed, and the next one has to wait.
    #[error(transparent)]
    Failing(Failing),
}

impl Error {
    pub(crate) fn pem(error: kubeconfig::Error) -> Self {
        Self::Pem(Arc::new(error))
    }

    pub(crate) fn store(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }

    /// IBM Cloud, and what will not pass by itself.
    pub(super) fn ibm(problem: String) -> Self {
        Self::Ibm {
            problem,
            passing: false,
            retry_after: None,
        }
    }

    /// Refers to the log for a plugin's messages where the log has all of them: a command's user
    /// sees both.
    pub(super) fn without_logged_messages(mut self) -> Self {
        if let Self::PluginFailed { stderr, logged, .. }
        | Self::PluginTimedOut { stderr, logged, .. } = &mut self
            && *logged
            && !stderr.is_empty()
        {
            "see its messages above".clone_into(stderr);
        }
        self
    }

    /// Whether it may pass by itself. Else a human must act: log in, install, correct a file.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::PluginTimedOut { .. }
            | Self::PluginEnded { .. }
            | Self::WaitedTooLong { .. }
            | Self::IssuerUnreachable { .. }
            | Self::IssuerTimedOut { .. }
            | Self::SourceFailed { .. } => true,
            Self::IssuerAnswer { passing, .. } | Self::Ibm { passing, .. } => *passing,
            Self::Store(error) => matches!(
                **error,
                store::Error::Turn(kubeconfig::Error::Locked { .. })
            ),
            Self::Kubeconfig(error) => matches!(**error, kubeconfig::Error::Locked { .. }),
            // Killed, by the out-of-memory killer for example: it had no say.
            Self::PluginFailed { status, .. } => status.code().is_none(),
            Self::PluginUnusable { source, .. } => source
                .raw_os_error()
                .map(Errno::from_raw_os_error)
                .is_some_and(|errno| PASSING.contains(&errno)),
            Self::Failing(failing) => failing.cause.is_transient(),
            _ => false,
        }
    }

    /// What to do about it, where its text does not say so.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::PluginFailed { stderr, .. } if stderr.is_empty() => {
                "run it in a terminal to see what it needs"
            }
            Self::PluginFailed { .. } => "if it asks for a login, log in by its own tool",
            Self::PluginTimedOut { .. } => {
                "run it in a terminal to see what it waits for, or give it longer by --exec-timeout"
            }
            Self::PluginUnusable { .. } | Self::PluginNeedsTerminal { .. } => {
                "see exec in the kubeconfig's user"
            }
            Self::PluginOutput { .. } => {
                "run it in a terminal to see what it prints, and see exec in the kubeconfig's user"
            }
            Self::TokenFile { .. } | Self::BadTokenFile { .. } => {
                "have a token written there, or correct tokenFile in the kubeconfig"
            }
            Self::Unsendable { .. } => "correct it where it stands, or log in again",
            Self::Certificate(_) | Self::Pem(_) => {
                "see client-certificate and client-key in the kubeconfig's user"
            }
            Self::Dial(_) => "see HTTPS_PROXY and NO_PROXY, or proxy-url in the kubeconfig",
            Self::IssuerUnreachable { .. } | Self::IssuerTimedOut { .. } => {
                "see that this machine can reach it (network, VPN, HTTPS_PROXY)"
            }
            Self::Failing(failing) => return failing.cause.remedy(),
            _ => return None,
        })
    }

    /// When a new request may have better luck; for `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::WaitedTooLong { .. } => Some(Duration::from_secs(5)),
            Self::IssuerAnswer { retry_after, .. } | Self::Ibm { retry_after, .. } => *retry_after,
            Self::Failing(failing) => Some(failing.retry_after),
            _ => None,
        }
    }
}

/// A failed fetch and the pause after it, during which nobody is asked again.
#[derive(Clone, Debug)]
pub struct Failing {
    /// Why the fetch failed.
    pub cause: Arc<Error>,
    /// What is left of the pause.
    pub retry_after: Duration,
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.retry_after.as_millis().div_ceil(1000);
        write!(f, "{} (next try in {seconds} s)", self.cause)
    }
}

/// Stands for its cause, so it passes on the cause's own source.
impl std::error::Error for Failing {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.cause)
    }
}

fn where_looked(command: &std::path::Path) -> &'static str {
    if command.components().count() == 1 {
        " in PATH"
    } else {
        ""
    }
}

fn hint(install_hint: Option<&str>) -> String {
    let own = "install it, or correct exec.command in the kubeconfig";
    format!("; {}", install_hint.map_or(own, str::trim))
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!(": {stderr}")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn not_started(errno: Errno) -> Error {
        Error::PluginUnusable {
            command: "plugin".into(),
            what: "cannot be started",
            source: Arc::new(errno.into()),
        }
    }

    fn failed(status: i32) -> Error {
        Error::PluginFailed {
            command: "plugin".into(),
            status: ExitStatus::from_raw(status),
            stderr: String::new(),
            logged: true,
        }
    }

    #[test]
    fn what_a_human_must_put_right_is_not_transient() {
        let by_signal = failed(9);
        let by_itself = failed(1 << 8);
        for (error, transient) in [
            (not_started(Errno::NOMEM), true),
            (not_started(Errno::ACCESS), false),
            (not_started(Errno::TOOBIG), false),
            (by_signal, true),
            (by_itself, false),
        ] {
            assert_eq!(error.is_transient(), transient, "{error:?}");
            assert_eq!(error.retry_after(), None);
            let failing = Error::Failing(Failing {
                cause: Arc::new(error),
                retry_after: Duration::from_millis(1500),
            });
            assert_eq!(failing.is_transient(), transient);
            assert_eq!(failing.retry_after(), Some(Duration::from_millis(1500)));
        }
    }

    #[test]
    fn a_failure_in_its_pause_speaks_for_its_cause() {
        let failing = Error::Failing(Failing {
            cause: Arc::new(not_started(Errno::ACCESS)),
            retry_after: Duration::from_millis(1500),
        });
        let shown = format!("{:#}", anyhow::Error::new(failing));
        assert!(
            shown.starts_with("exec plugin plugin cannot be started (next try in 2 s): Permission"),
            "{shown}"
        );
    }
}
