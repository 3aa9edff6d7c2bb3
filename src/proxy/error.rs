//! [`Error`]: why a request got no response from the API server.

use std::sync::Arc;

use super::refusal::Refusal;
use crate::{credential, upstream};

/// Why a request got no response from the API server, or one that cannot be passed on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The guard, or a layer that filters heads, refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no credential to send it with.
    #[error("no credential for the API server")]
    Credential(#[from] credential::Error),
    /// The address of the API server could not be looked up.
    #[error("cannot find the cluster")]
    Unresolved(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The request's context is wrong in the kubeconfig, or what it names cannot be read.
    #[error("the context {context:?} cannot be used")]
    UnusableContext {
        /// The context's name.
        context: Arc<str>,
        /// What is wrong.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A bug in this program.
    #[error("there is no destination for this request; this is a bug in kubegate")]
    NoDestination,
    /// The request could not be sent, or got no response.
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    /// The API server switched protocols for a request that is no upgrade.
    #[error("the API server switched protocols (101) for a request that is no upgrade")]
    UnexpectedSwitch,
    /// The response's framing headers cannot be passed on.
    #[error("the API server's response has a {header} that {problem}")]
    BadFraming {
        /// The header.
        header: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The API server answered an upgrade with neither 101 nor an error.
    #[error("the API server answered the upgrade to {asked} with {answered}")]
    BadUpgrade {
        /// The protocol that the client asked for.
        asked: &'static str,
        /// The status, and for a 101 the protocol that it names.
        answered: String,
    },
}
