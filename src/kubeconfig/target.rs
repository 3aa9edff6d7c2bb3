//! [`Target`]: what a kubeconfig, or a pod's service account, comes to.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use http::Uri;
use zeroize::Zeroizing;

use crate::{
    kubeconfig::{Error, OidcConfig, OidcTokens, ProxyUrl, fields, file, text},
    secret::Secret,
};

/// One API server and one way to be somebody there.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name of the context, where one was chosen.
    pub context: Option<String>,
    /// Default namespace of the context.
    pub namespace: Option<String>,
    /// The API server.
    pub cluster: Cluster,
    /// The cluster that the file has, where `--server` puts another place over it, such as the
    /// cluster's registry: there the user's logins belong.
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

    /// The files it names that say whom to trust.
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

/// What the file says of an API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Name of the entry, where one was chosen.
    pub name: Option<String>,
    /// `http` or `https`, an authority, and possibly a path; never user info, query or fragment.
    pub server: Uri,
    /// The only roots to trust, where given.
    pub certificate_authority: Option<Pem>,
    /// Do not verify the server's certificate.
    pub insecure_skip_tls_verify: bool,
    /// Name to send as SNI and to check in place of the host of `server`.
    pub tls_server_name: Option<String>,
    /// Proxy to reach the server through; wins over the environment.
    pub proxy_url: Option<ProxyUrl>,
    /// Do not ask the server for compressed answers.
    pub disable_compression: bool,
    /// The `client.authentication.k8s.io/exec` extension, handed to exec plugins as `config`.
    pub exec_config: Option<serde_json::Value>,
}

impl Cluster {
    /// The URL of `server` as kubeconfigs have it: `Uri` writes a bare authority with a slash.
    #[must_use]
    pub fn url(&self) -> String {
        let mut text = self.server.to_string();
        if self.server.path() == "/" {
            text.truncate(text.trim_end_matches('/').len());
        }
        text
    }
}

/// PEM text and where it stands. Two are equal if they hold the same, wherever that stands, or
/// name the same file.
#[derive(Clone)]
pub enum Pem {
    /// From a `*-data` field, base64 already decoded.
    Inline {
        /// The PEM text.
        data: Zeroizing<Vec<u8>>,
        /// For error messages: file, entry and field.
        origin: String,
    },
    /// A file, to be read when needed; its path is absolute or relative to the working folder.
    File {
        /// The file.
        path: PathBuf,
        /// For error messages: file, entry and field.
        origin: String,
    },
}

impl Pem {
    /// Bytes a certificate, chain or key file may have.
    const LIMIT: u64 = 1 << 20;

    /// PEM text in base64, as a kubeconfig's `-data` fields have it; `origin` names its place.
    ///
    /// # Errors
    /// What is no base64.
    pub fn from_base64(origin: &str, text: &str) -> Result<Self, Error> {
        let (place, field) = origin.rsplit_once(": ").unwrap_or(("", origin));
        let data = fields::decode(text);
        Ok(Self::Inline {
            data: data.ok_or_else(|| Error::field(place, field, "is not valid base64"))?,
            origin: origin.to_owned(),
        })
    }

    /// The file that a flag names.
    #[must_use]
    pub fn from_flag(flag: &str, path: &Path) -> Self {
        Self::File {
            path: path.to_owned(),
            origin: flag.to_owned(),
        }
    }

    /// The PEM text: what is inline, or what its file holds now, as UTF-8 without a byte order mark.
    ///
    /// # Errors
    /// A file that cannot be read or has more than 1 MiB; the error names it and its origin.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self {
            Self::Inline { data, .. } => Ok(plain(data)),
            Self::File { path, origin } => {
                let what = format!("the file that {origin} names,");
                let bytes = file::read_bounded(&what, path, Self::LIMIT)?;
                Ok(plain(&bytes))
            }
        }
    }

    /// What a file holds now, as if it stood inline.
    ///
    /// # Errors
    /// As for [`Pem::read`].
    pub fn inlined(&self) -> Result<Self, Error> {
        Ok(Self::Inline {
            data: self.read()?,
            origin: self.location().into_owned(),
        })
    }

    /// The file, where it is one.
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Inline { .. } => None,
            Self::File { path, .. } => Some(path),
        }
    }

    /// File, entry and field that this comes from, for error messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        match self {
            Self::Inline { origin, .. } | Self::File { origin, .. } => origin,
        }
    }

    /// [`Pem::origin`] and, where it is a file, its path.
    #[must_use]
    pub fn location(&self) -> Cow<'_, str> {
        match self.path() {
            None => Cow::Borrowed(self.origin()),
            Some(path) => Cow::Owned(format!("{}, {}", self.origin(), path.display())),
        }
    }
}

/// PEM text as editors and shells may have left it. What is no text stays: its reader says so.
fn plain(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = text::decode(bytes).ok();
    let plain = text.as_ref().map_or(bytes, |text| text.as_bytes());
    Zeroizing::new(plain.to_vec())
}

impl PartialEq for Pem {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline { data, .. }, Self::Inline { data: other, .. }) => data == other,
            _ => self.path().is_some() && self.path() == other.path(),
        }
    }
}

/// Shows where it stands, never what it holds: it may be a private key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({})", self.origin())
    }
}

/// What the file says of a user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// Name of the entry, where one was chosen.
    pub name: Option<String>,
    /// Client certificate and key, beside the login or alone.
    pub certificate: Option<KeyPair>,
    /// What goes into `Authorization`.
    pub login: Login,
    /// Whom to act as.
    pub impersonation: Impersonation,
}

impl User {
    /// Whether the same is configured. Tokens that are renewed and written back are none of
    /// the configuration.
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

/// The ways a kubeconfig (or flag) lets a user log in.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Login {
    /// Nothing, or a client certificate alone.
    #[default]
    None,
    /// `token`
    Token(Secret),
    /// `tokenFile`, with `token` as its first value where both are given.
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Used until the file can be read.
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
    /// The program; already resolved against the kubeconfig's folder where it is a relative path.
    pub command: PathBuf,
    /// Its arguments, never read by a shell.
    pub args: Vec<String>,
    /// Variables added to the environment.
    pub env: Vec<(String, Secret)>,
    /// Hand the cluster over in `KUBERNETES_EXEC_INFO`.
    pub provide_cluster_info: bool,
    /// Whether the plugin may have the terminal.
    pub interactive_mode: InteractiveMode,
    /// Shown where the program cannot be found.
    pub install_hint: Option<String>,
}

/// `interactiveMode` of an exec plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InteractiveMode {
    /// Never hand it standard input.
    Never,
    /// Hand it standard input where that is a terminal.
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
