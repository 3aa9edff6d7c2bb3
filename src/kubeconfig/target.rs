//! [`Target`]: the cluster and user that a kubeconfig, or a pod's service account, resolves to.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use http::Uri;

use crate::{
    kubeconfig::{OidcConfig, OidcTokens, Pem, ProxyUrl},
    secret::Secret,
    shell::in_quotes,
};

/// One API server and the user to authenticate as.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name of the context, where one was chosen.
    pub context: Option<String>,
    /// How to name that context to a later command; `None` where flags replace its cluster or user, or
    /// the kubeconfig can be read only once.
    pub context_ref: Option<ContextRef>,
    /// Default namespace of the context.
    pub namespace: Option<String>,
    /// The API server.
    pub cluster: Cluster,
    /// The cluster entry of the file, where `--server` overrides its URL (with that of the cluster's
    /// registry, for example). The user's logins belong to this cluster.
    pub file_cluster: Option<Box<Cluster>>,
    /// The user.
    pub user: User,
}

impl Target {
    /// The cluster that the user's logins belong to.
    #[must_use]
    pub fn login_cluster(&self) -> &Cluster {
        self.file_cluster.as_deref().unwrap_or(&self.cluster)
    }

    /// The files with the CA certificates of the API server and of the OIDC issuer.
    #[must_use]
    pub fn authority_files(&self) -> Vec<PathBuf> {
        let issuers = match &self.user.login {
            Login::Oidc(config) => config.certificate_authority.as_ref(),
            _ => None,
        };
        let named = [self.cluster.certificate_authority.as_ref(), issuers];
        let files = named.into_iter().flatten().filter_map(Pem::path);
        files.map(Path::to_owned).collect()
    }
}

/// A context of a kubeconfig, as flags name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextRef {
    /// Its name.
    pub name: String,
    /// `--kubeconfig`, if that named the file.
    pub kubeconfig: Option<PathBuf>,
}

impl ContextRef {
    /// Returns the flags, quoted for a shell: `--context 'NAME' --kubeconfig 'FILE'`.
    #[must_use]
    pub fn to_flags(&self) -> String {
        let context = format!("--context {}", in_quotes(&self.name));
        match &self.kubeconfig {
            Some(file) => format!(
                "{context} --kubeconfig {}",
                in_quotes(&file.to_string_lossy())
            ),
            None => context,
        }
    }
}

/// How to reach and verify an API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Name of the entry, where one was chosen.
    pub name: Option<String>,
    /// `http` or `https`, an authority, and possibly a path; never user info, query or fragment.
    pub server: Uri,
    /// The only CAs to trust; `None` for those of the system.
    pub certificate_authority: Option<Pem>,
    /// Whether the server's certificate is not verified.
    pub insecure_skip_tls_verify: bool,
    /// Name to send as SNI and to verify instead of the host of `server`.
    pub tls_server_name: Option<String>,
    /// Proxy to reach the server through, instead of one from the environment.
    pub proxy_url: Option<ProxyUrl>,
    /// Whether compressed responses are not asked for.
    pub disable_compression: bool,
    /// The `client.authentication.k8s.io/exec` extension, which exec plugins get as `config`.
    pub exec_config: Option<serde_json::Value>,
}

impl Cluster {
    /// The URL of `server` as kubeconfigs write it: without the slash that `Uri` adds to a bare
    /// authority.
    #[must_use]
    pub fn url(&self) -> String {
        let mut text = self.server.to_string();
        if self.server.path() == "/" {
            text.truncate(text.trim_end_matches('/').len());
        }
        text
    }
}

/// How to authenticate, and whom to act as.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// Name of the entry, where one was chosen.
    pub name: Option<String>,
    /// Client certificate and key, alone or in addition to the login.
    pub certificate: Option<KeyPair>,
    /// Where the `Authorization` header comes from.
    pub login: Login,
    /// Whom to act as.
    pub impersonation: Impersonation,
}

impl User {
    /// Whether both have the same configuration. Tokens that are renewed and written back do not
    /// count as configuration.
    #[must_use]
    pub fn is_configured_as(&self, other: &Self) -> bool {
        let without_tokens = |user: &Self| {
            let mut user = user.clone();
            if let Login::Oidc(config) = &mut user.login {
                config.tokens = OidcTokens::default();
            }
            user
        };
        without_tokens(self) == without_tokens(other)
    }
}

/// A client certificate with its key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyPair {
    /// The certificate chain.
    pub certificate: Pem,
    /// The private key.
    pub key: Pem,
}

/// A login method of a kubeconfig, or of the flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Login {
    /// No login, or a client certificate alone.
    #[default]
    None,
    /// `token`
    Token(Secret),
    /// `tokenFile`, with `token` as the first value where both are given.
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The token to use until the file can be read.
        fallback: Option<Secret>,
    },
    /// `username` and `password`
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `exec`
    Exec(ExecConfig),
    /// `auth-provider` with the name `oidc`
    Oidc(OidcConfig),
}

/// The `exec` section: a client-go credential plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecConfig {
    /// `client.authentication.k8s.io/v1` or `.../v1beta1`
    pub api_version: String,
    /// The program. A relative path is already resolved against the kubeconfig's folder.
    pub command: PathBuf,
    /// Its arguments, which no shell interprets.
    pub args: Vec<String>,
    /// Variables that are added to its environment.
    pub env: Vec<(String, Secret)>,
    /// Whether `KUBERNETES_EXEC_INFO` describes the cluster.
    pub provide_cluster_info: bool,
    /// Whether the plugin may use the terminal.
    pub interactive_mode: InteractiveMode,
    /// Text for the user where the program cannot be found.
    pub install_hint: Option<String>,
}

/// `interactiveMode` of an exec plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InteractiveMode {
    /// It never gets standard input.
    Never,
    /// It gets standard input if that is a terminal.
    #[default]
    IfAvailable,
    /// It cannot work without a terminal.
    Always,
}

/// `as`, `as-uid`, `as-groups` and `as-user-extra`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Impersonation {
    /// User to act as.
    pub user: Option<String>,
    /// UID to act as.
    pub uid: Option<String>,
    /// Groups to act with.
    pub groups: Vec<String>,
    /// Extra fields.
    pub extra: BTreeMap<String, Vec<String>>,
}
