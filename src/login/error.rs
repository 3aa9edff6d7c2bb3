//! Why a login fails.

use std::{error::Error as StdError, io, net::SocketAddr, path::PathBuf, time::Duration};

use crate::{credential, kubeconfig, shell::in_quotes};

/// Why a login fails. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no terminal to prompt on.
    #[error("cannot ask for the {what}, for there is no terminal (/dev/tty); {instead}")]
    NoTerminal {
        /// What is asked for, such as `password`.
        what: &'static str,
        /// What to do instead, such as `give it by --password-stdin`.
        instead: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The terminal or standard input cannot be read.
    #[error("cannot read the {what}")]
    Input {
        /// What is asked for.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The text that was typed or piped is not valid.
    #[error("the {what} {problem}")]
    BadInput {
        /// What is asked for.
        what: &'static str,
        /// What is wrong with the text.
        problem: &'static str,
    },
    /// Ctrl-C, or the end of input, at a prompt.
    #[error("interrupted, so nothing was changed")]
    Interrupted,
    /// A signal while another program held the lock of a file, before anything was done that stays.
    #[error("{0}, so nothing was changed")]
    InterruptedAtLock(kubeconfig::Error),
    /// The system allows no handlers of signals.
    #[error("cannot handle signals")]
    Signals(#[source] io::Error),
    /// There are several to choose from and no terminal to ask on, or there is none.
    #[error("which {what} is meant? Choose one by {flag}: {list}")]
    Choice {
        /// What there are several of, such as `cluster`.
        what: &'static str,
        /// The flag that names one.
        flag: &'static str,
        /// The choices.
        list: String,
    },
    /// The callback listener has no port on loopback.
    #[error("cannot listen on {address} for the browser to come back to")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The browser did not come back in time.
    #[error(
        "the browser did not come back within {} s; run the command again, and log in sooner",
        after.as_secs()
    )]
    BrowserTimedOut {
        /// How long the login waited.
        after: Duration,
    },
    /// The browser came back with something other than a code for this login.
    #[error("the login in the browser failed: {problem}")]
    Browser {
        /// What is wrong; the issuer's words are cut and printable.
        problem: String,
    },
    /// The login by device code ended without tokens.
    #[error("the login by device code failed: {problem}")]
    Device {
        /// Why.
        problem: String,
    },
    /// A URL that the browser cannot be redirected to.
    #[error("--oidc-redirect-url {problem}")]
    RedirectUrl {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A flag is missing without which a grant cannot be used.
    #[error("--grant-type {grant} needs {needs}")]
    GrantNeeds {
        /// The grant.
        grant: &'static str,
        /// The missing flag.
        needs: &'static str,
    },
    /// No flag, argument or context names a server.
    #[error(
        "which cluster? There is no context to take it from; give the URL of its API server, such \
         as https://api.cluster.example:6443"
    )]
    NoServer,
    /// The server would be the current context's, and there is no terminal to confirm that on.
    #[error(
        "which cluster? The current context {context:?} is at {server}; if that is meant, give \
         --context {}, else the URL of the API server",
        in_quotes(context)
    )]
    NotNamed {
        /// The current context.
        context: String,
        /// Its server.
        server: String,
    },
    /// The user did not confirm the current context's server.
    #[error("nothing was done; give --context, or the URL of the API server that is meant")]
    NotMeant,
    /// `--insecure-skip-tls-verify`, which no login accepts.
    #[error(
        "--insecure-skip-tls-verify is not for a login: a password or token could go to anybody; \
         give --certificate-authority, or --trust-fingerprint for a certificate that you know"
    )]
    Insecure,
    /// `--trust-fingerprint` is not a fingerprint.
    #[error(
        "--trust-fingerprint is no SHA-256 fingerprint: 64 hexadecimal digits, with or without \
         colons, as `openssl x509 -noout -fingerprint -sha256` prints them"
    )]
    BadFingerprint,
    /// The server's authority is not trusted.
    #[error(
        "the certificate authority of {server} is not trusted here, so nothing was sent. The server \
         shows:\n\n{shown}\nGive --certificate-authority FILE; or ask the cluster's administrator \
         for the fingerprint, and if it is one of these, give --trust-fingerprint SHA256"
    )]
    UnknownAuthority {
        /// The API server.
        server: String,
        /// Its certificates.
        shown: String,
    },
    /// The authority of the cluster's OAuth server is not trusted.
    #[error(
        "the cluster's OAuth server has another certificate authority than its API server, which \
         is not trusted here; give it by --oauth-certificate-authority FILE (the cluster publishes \
         it in ConfigMap openshift-config-managed/oauth-serving-cert)"
    )]
    UnknownOauthAuthority(#[source] credential::Error),
    /// None of the server's certificates has the fingerprint that is to be trusted.
    #[error(
        "{server} shows no certificate with the fingerprint of --trust-fingerprint, so nothing \
         was sent: the connection may be intercepted. The server shows:\n\n{shown}"
    )]
    OtherFingerprint {
        /// The API server.
        server: String,
        /// Its certificates.
        shown: String,
    },
    /// The server shows no certificate.
    #[error("{server} shows no certificate")]
    NoCertificate {
        /// The API server.
        server: String,
        /// Why the handshake ended before the certificate.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// An OIDC login whose cluster is named neither by a flag nor by a current context.
    #[error(
        "say which cluster to log in to: --server URL, or --context or --cluster NAME of the \
         kubeconfig"
    )]
    NoCluster,
    /// An OIDC login whose issuer is named neither by flags nor by the context.
    #[error("say who issues the tokens: --oidc-issuer-url URL and --oidc-client-id ID")]
    NoIssuer,
    /// The issuer accepted the user, and the cluster did not accept the issuer's token.
    #[error("the issuer let you in, but the cluster did not")]
    ClusterRefused(#[source] credential::Error),
    /// `--login` names a saved login of another issuer or client.
    #[error(
        "the saved login {login:?} is that of user {user:?} in {}, which has another issuer or \
         client; choose another name by --login, or leave --login out",
        file.display()
    )]
    LoginInUse {
        /// The name.
        login: String,
        /// The user's entry.
        user: String,
        /// The kubeconfig that has the entry.
        file: PathBuf,
    },
    /// The issuer's answer has no ID token.
    #[error("the issuer gave no ID token")]
    NoIdToken,
    /// The kubeconfig, or the flags given in its place, cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
    /// The kubeconfig cannot be written at the end of a login that renews an earlier one. Its tokens are
    /// saved.
    #[error(transparent)]
    ContextNotWritten(kubeconfig::Error),
    /// The issuer or the cluster refused, or could not be reached.
    #[error(transparent)]
    Credential(#[from] credential::Error),
}

impl Error {
    /// Whether the command line is wrong, whatever files and servers hold.
    #[must_use]
    pub fn is_of_command_line(&self) -> bool {
        match self {
            Self::NoCluster
            | Self::NoIssuer
            | Self::RedirectUrl { .. }
            | Self::GrantNeeds { .. } => true,
            Self::Kubeconfig(error) | Self::ContextNotWritten(error) => error.is_of_flags(),
            _ => false,
        }
    }
}
