//! HUMAN FLOWS: what a login needs of the person who runs it.
//!
//! | file | asks |
//! |---|---|
//! | [`terminal`] | for a user name, a password, a choice; or standard input for one secret line |
//! | [`ibm`] | for who one is at IBM Cloud, in which account, and for which cluster |
//! | [`browser`] | for a login on the issuer's own pages, which comes back with a code |
//! | [`oidc`] | for a login at an OIDC issuer |
//! | [`trust`] | for the fingerprint of a server whose authority is not known |
//! | [`openshift`] | for all that a session at an `OpenShift` cluster takes |
//! | [`confirm`] | whether a server is meant that nobody named |
//! | [`name_for`] | nothing: under which name a login is saved, and who else uses it |
//! | [`keep()`] | nothing: it keeps a login as a whole or not at all |
//!
//! What comes of a flow is a [`crate::credential`] and rests in its store. The proxy never
//! comes here: it cannot ask anybody.

pub mod browser;
mod confirm;
pub mod ibm;
mod keep;
mod names;
pub mod oidc;
pub mod openshift;
pub mod terminal;
pub mod trust;

use std::{io, time::Duration};

pub use confirm::confirm;
pub use keep::keep;
pub use names::{Naming, UserEntry, name_for, note_use, note_use_by_kubectl, users_of};

use crate::{
    credential,
    kubeconfig::{self, Cluster},
    shell::in_quotes,
};

/// Why a login was not finished. No variant ever holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody can be asked.
    #[error("cannot ask for the {what}, for there is no terminal (/dev/tty); {instead}")]
    NoTerminal {
        /// What was to be asked for: `password`.
        what: &'static str,
        /// What to do: `give it by --password-stdin`.
        instead: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The terminal or standard input cannot be read.
    #[error("cannot read the {what}")]
    Input {
        /// What was asked for.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// What was typed or piped is no answer.
    #[error("the {what} {problem}")]
    BadInput {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Ctrl-C, or the end of input, at a prompt.
    #[error("interrupted, so nothing was changed")]
    Interrupted,
    /// Several, and nobody to choose among them; or none.
    #[error("which {what} is meant? Choose one by {flag}: {list}")]
    Choice {
        /// What there are several of: `cluster`.
        what: &'static str,
        /// The flag that names one.
        flag: &'static str,
        /// Those there are.
        list: String,
    },
    /// No port on loopback for the browser to come back to.
    #[error("cannot listen on {address} for the browser to come back to")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The browser did not come back.
    #[error(
        "the browser did not come back within {} s; run the command again, and log in sooner",
        after.as_secs()
    )]
    BrowserTimedOut {
        /// How long it was given.
        after: Duration,
    },
    /// The browser came back with something other than a code for this login.
    #[error("the login in the browser failed: {problem}")]
    Browser {
        /// What is wrong, without what the issuer wrote.
        problem: String,
    },
    /// Nobody said where.
    #[error(
        "which cluster? There is no context to take it from; give the URL of its API server, such \
         as https://api.cluster.example:6443"
    )]
    NoServer,
    /// A server that nobody named, and nobody who could be asked.
    #[error(
        "which cluster? The current context {context:?} is at {server}; if that is meant, give \
         --context {}, else the URL of the API server",
        in_quotes(context)
    )]
    NotNamed {
        /// The context.
        context: String,
        /// Its server.
        server: String,
    },
    /// A server that was not meant.
    #[error("nothing was done; give --context, or the URL of the API server that is meant")]
    NotMeant,
    /// What is never done at a login.
    #[error(
        "--insecure-skip-tls-verify is not for a login: a password or token could go to anybody; \
         give --certificate-authority, or --trust-fingerprint for a certificate that you know"
    )]
    Insecure,
    /// Text that should be a fingerprint.
    #[error(
        "--trust-fingerprint is no SHA-256 fingerprint: 64 hexadecimal digits, with or without \
         colons, as `openssl x509 -noout -fingerprint -sha256` prints them"
    )]
    BadFingerprint,
    /// The server's authority is not known.
    #[error(
        "nobody here knows the authority behind {server}, so nothing was sent. It shows:\n\n\
         {shown}\nGive --certificate-authority FILE; or ask the cluster's administrator for the \
         fingerprint, and if it is one of these, give --trust-fingerprint SHA256"
    )]
    UnknownAuthority {
        /// The API server.
        server: String,
        /// Its certificates.
        shown: String,
    },
    /// The authority of the cluster's OAuth server is not known.
    #[error(
        "the cluster's OAuth server has another authority than its API server, which is not known \
         here; give it by --oauth-certificate-authority FILE (the cluster publishes it in \
         ConfigMap openshift-config-managed/oauth-serving-cert)"
    )]
    UnknownOauthAuthority(#[source] credential::Error),
    /// The server shows other certificates than the one to be trusted.
    #[error(
        "{server} shows no certificate with the fingerprint of --trust-fingerprint, so nothing \
         was sent: somebody may be in between. It shows:\n\n{shown}"
    )]
    OtherFingerprint {
        /// The API server.
        server: String,
        /// Its certificates.
        shown: String,
    },
    /// The server showed nothing.
    #[error("{server} shows no certificate")]
    Unseen {
        /// The API server.
        server: String,
        /// Why the handshake did not come so far.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A kubeconfig, or flags in its place, that cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
    /// The issuer or the cluster said no.
    #[error(transparent)]
    Credential(#[from] credential::Error),
}

/// The name that `oc` gives a cluster's entry: `api.example:6443` is `api-example:6443`.
#[must_use]
pub fn cluster_name(cluster: &Cluster) -> String {
    let host = kubeconfig::host(&cluster.server).replace(['.', ':'], "-");
    format!("{host}:{}", kubeconfig::port(&cluster.server))
}
