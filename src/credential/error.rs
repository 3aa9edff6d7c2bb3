//! Why there is no credential.

use std::{borrow::Cow, fmt, io, path::PathBuf, sync::Arc, time::Duration};

use super::{protocol::issuer::IssuerError, sources::exec::PluginError, store};
use crate::{kubeconfig, tls};

/// Why there is no credential. All requests that waited for it get the error, so it can be cloned.
/// No variant contains a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An exec plugin gave no credential.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A fetch is in flight that takes longer than a request may wait.
    #[error("waited {} s for {subject}, which is still under way; try again soon", after.as_secs())]
    WaitedTooLong {
        /// The source.
        subject: String,
        /// How long the request waited.
        after: Duration,
    },
    /// The token file cannot be read.
    #[error("cannot read token file {}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
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
        /// What it should contain.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: Arc<io::Error>,
    },
    /// A file that does not contain that.
    #[error("{what} file {} {problem}", path.display())]
    BadSecretFile {
        /// What it should contain.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Secret text with characters that a header cannot have.
    #[error("{subject} has characters that no HTTP header can carry, such as a line break")]
    Unsendable {
        /// Names the text.
        subject: String,
    },
    /// A user who has no bearer token.
    #[error(
        "{subject} gives no bearer token: it logs in by certificate or password, or not at all"
    )]
    NoToken {
        /// Names the user.
        subject: String,
    },
    /// The API server does not say whose credential it is.
    #[error("the API server at {url} does not say who this is: {problem}")]
    Unidentified {
        /// The requested URL.
        url: String,
        /// What is wrong with the response, without its text.
        problem: String,
    },
    /// A user name that RFC 7617 cannot encode.
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
    /// An issuer gave no token.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// A vendor's service does not have what was requested, or gave no usable response.
    #[error("{vendor}: {problem}")]
    Vendor {
        /// The vendor's name.
        vendor: &'static str,
        /// What is wrong, and what to do.
        problem: String,
        /// Whether a later call may succeed.
        transient: bool,
        /// When the service wants to be called again.
        retry_after: Option<Duration>,
    },
    /// The user must log in.
    #[error("{subject}: {problem}; {remedy}")]
    LoginNeeded {
        /// The issuer, by kind and URL: `OIDC issuer https://...`.
        subject: String,
        /// Why the present credential cannot be used.
        problem: Cow<'static, str>,
        /// What to do: ``run `kubegate login openshift --server https://...` ``.
        remedy: String,
    },
    /// The state folder with the saved logins cannot be used.
    #[error(transparent)]
    Store(Arc<store::Error>),
    /// The kubeconfig that holds the tokens cannot be used.
    #[error("the tokens in the kubeconfig cannot be read or locked")]
    Kubeconfig(#[source] Arc<kubeconfig::Error>),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes, without which no login is safe")]
    NoRandomness,
    /// A bug in kubegate.
    #[error("{subject}: obtaining the credential broke off; this is a bug in kubegate")]
    SourceFailed {
        /// The source.
        subject: String,
    },
    /// The last fetch failed, and the pause before the next one is running.
    #[error(transparent)]
    Backoff(Backoff),
}

impl Error {
    pub(crate) fn pem(error: kubeconfig::Error) -> Self {
        Self::Pem(Arc::new(error))
    }

    pub(crate) fn store(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }

    /// Refers to the log for a plugin's messages if the log has all of them: the user of a command
    /// sees both.
    pub(super) fn without_logged_messages(self) -> Self {
        match self {
            Self::Plugin(error) => Self::Plugin(error.without_logged_messages()),
            other => other,
        }
    }

    /// Whether a later try may succeed. Otherwise a human must log in, install a program or correct
    /// a file.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::WaitedTooLong { .. } | Self::SourceFailed { .. } => true,
            Self::Plugin(error) => error.is_transient(),
            Self::Issuer(error) => error.is_transient(),
            Self::Vendor { transient, .. } => *transient,
            Self::Store(error) => matches!(
                **error,
                store::Error::Lock(kubeconfig::Error::Locked { .. })
            ),
            Self::Kubeconfig(error) => matches!(**error, kubeconfig::Error::Locked { .. }),
            Self::Backoff(backoff) => backoff.cause.is_transient(),
            _ => false,
        }
    }

    /// What to do about it, if its text does not say so.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Plugin(error) => return error.remedy(),
            Self::Issuer(error) => return error.remedy(),
            Self::TokenFile { .. } | Self::BadTokenFile { .. } => {
                "have a token written there, or correct tokenFile in the kubeconfig"
            }
            Self::Unsendable { .. } => "correct it in the kubeconfig or file, or log in again",
            Self::Certificate(_) | Self::Pem(_) => {
                "see client-certificate and client-key in the kubeconfig's user"
            }
            Self::Backoff(backoff) => return backoff.cause.remedy(),
            _ => return None,
        })
    }

    /// When a new request may succeed; for `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::WaitedTooLong { .. } => Some(Duration::from_secs(5)),
            Self::Issuer(error) => error.retry_after(),
            Self::Vendor { retry_after, .. } => *retry_after,
            Self::Backoff(backoff) => Some(backoff.retry_after),
            _ => None,
        }
    }
}

/// A failed fetch and the pause after it, during which the source is not called.
#[derive(Clone, Debug)]
pub struct Backoff {
    /// Why the fetch failed.
    pub cause: Arc<Error>,
    /// What is left of the pause.
    pub retry_after: Duration,
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.retry_after.as_millis().div_ceil(1000);
        write!(f, "{} (next try in {seconds} s)", self.cause)
    }
}

/// Its text contains its cause's text, so its source is the cause's source.
impl std::error::Error for Backoff {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.cause)
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_failure_in_backoff_reports_its_cause() {
        for what in ["cannot be started", "was lost while it ran"] {
            for errno in [Errno::ACCESS, Errno::NOMEM] {
                let error = Error::Plugin(PluginError::Unusable {
                    command: "plugin".into(),
                    what,
                    source: Arc::new(errno.into()),
                });
                assert_eq!(error.retry_after(), None);
                let transient = error.is_transient();
                assert_eq!(transient, errno == Errno::NOMEM);
                let backoff = Error::Backoff(Backoff {
                    cause: Arc::new(error),
                    retry_after: Duration::from_millis(1500),
                });
                assert_eq!(backoff.is_transient(), transient);
                assert_eq!(backoff.retry_after(), Some(Duration::from_millis(1500)));
                let shown = format!("{:#}", anyhow::Error::new(backoff));
                let expected = format!("exec plugin plugin {what} (next try in 2 s): {errno}");
                assert_eq!(shown, expected);
            }
        }
    }
}
