//! Why an issuer gave no token.

use std::{sync::Arc, time::Duration};

use http::Uri;

use crate::{dial, tls};

/// Why an issuer, or an API server that is asked for tokens, gave none.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IssuerError {
    /// The URL of an issuer cannot be used.
    #[error("{what} {problem}")]
    Url {
        /// Which URL, and where it was given.
        what: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The issuer cannot be reached as configured.
    #[error("the issuer cannot be reached as configured")]
    Dial(#[source] Arc<dial::Error>),
    /// No connection to the issuer, or it broke.
    #[error("cannot reach {server} at {url}")]
    Unreachable {
        /// Which kind of server: `the issuer`, `the API server`.
        server: &'static str,
        /// The requested URL.
        url: String,
        /// Why not.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The issuer took too long.
    #[error("{server} at {url} did not answer within {} s", after.as_secs_f32())]
    TimedOut {
        /// Which kind of server.
        server: &'static str,
        /// The requested URL.
        url: String,
        /// How long it was given.
        after: Duration,
    },
    /// The issuer answered with something other than tokens.
    #[error("{server} at {url} gave no token: {problem}")]
    Response {
        /// Which kind of server.
        server: &'static str,
        /// The requested URL.
        url: String,
        /// What is wrong with the response, without its text.
        problem: String,
        /// Whether a later call may succeed.
        transient: bool,
        /// `Retry-After` of the response.
        retry_after: Option<Duration>,
    },
}

impl IssuerError {
    /// No connection to `url`, or it broke.
    pub(super) fn unreachable(
        server: &'static str,
        url: &Uri,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        // A refused certificate is reported as such, without the errors that wrap it.
        let refusal = tls::refusal(source.as_ref()).cloned();
        Self::Unreachable {
            server,
            url: url.to_string(),
            source: match refusal {
                Some(refusal) => Arc::new(refusal),
                None => tls::readable(source.into()),
            },
        }
    }

    /// Whether a later call may succeed without a change by a human.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Response { transient, .. } => *transient,
            Self::Url { .. } | Self::Dial(_) => false,
        }
    }

    /// What to do about it, where its text does not say so.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Dial(_) => Some("see HTTPS_PROXY and NO_PROXY, or proxy-url in the kubeconfig"),
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                Some("check that this machine can reach it (network, VPN, HTTPS_PROXY)")
            }
            Self::Url { .. } | Self::Response { .. } => None,
        }
    }

    /// When the issuer wants to be called again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Response { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_refused_certificate_is_told_in_its_own_words() {
        let refusal = tls::Refusal::NoSystemRoots {
            reason: "none".to_owned(),
        };
        let hidden = std::io::Error::other(rustls::Error::from(refusal.clone()));
        let error =
            IssuerError::unreachable("the issuer", &Uri::from_static("https://a/"), hidden.into());
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), refusal.to_string());
        assert_eq!(tls::refusal(&error), Some(&refusal));
    }
}
