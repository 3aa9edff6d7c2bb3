//! From a context to one [`Target`]: the cluster to reach and the user to be there.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use http::Uri;
use zeroize::Zeroizing;

use crate::{
    kubeconfig::{Error, Kubeconfig, ProxyUrl, cluster, fields::Entry, file, user},
    secret::Secret,
};

/// What flags say over the file, with kubectl's names and precedence.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--context`
    pub context: Option<String>,
    /// `--cluster`
    pub cluster: Option<String>,
    /// `--user`
    pub user: Option<String>,
    /// `--namespace`
    pub namespace: Option<String>,
    /// `--server`
    pub server: Option<String>,
    /// `--certificate-authority`
    pub certificate_authority: Option<PathBuf>,
    /// `--insecure-skip-tls-verify`
    pub insecure_skip_tls_verify: Option<bool>,
    /// `--tls-server-name`
    pub tls_server_name: Option<String>,
    /// `--proxy-url`; may hold a password
    pub proxy_url: Option<Secret>,
    /// `--disable-compression`
    pub disable_compression: Option<bool>,
    /// `--token`
    pub token: Option<Secret>,
    /// `--username`
    pub username: Option<String>,
    /// `--password`
    pub password: Option<Secret>,
    /// `--client-certificate`
    pub client_certificate: Option<PathBuf>,
    /// `--client-key`
    pub client_key: Option<PathBuf>,
    /// `--as`
    pub impersonate_user: Option<String>,
    /// `--as-uid`
    pub impersonate_uid: Option<String>,
    /// `--as-group`, repeated
    pub impersonate_groups: Vec<String>,
    /// `--as-user-extra key=value`, repeated
    pub impersonate_extra: BTreeMap<String, Vec<String>>,
}

/// Chooses the context, cluster and user that `config` and the flags over it name, with
/// kubectl's precedence. An empty `config` will do where the flags give a server.
///
/// # Errors
/// Where nothing is chosen, a name has no entry, or a field of the chosen entries is wrong.
pub fn target(config: &Kubeconfig, flags: &Overrides) -> Result<Target, Error> {
    let context = chosen_context(config, flags)?;
    let said = |field| match &context {
        Some((_, entry)) => entry.fields().text(field),
        None => Ok(None),
    };
    let find = |kind, entries, flag: &str, given: Option<&str>| {
        let by_context = context
            .as_ref()
            .map(|(name, _)| format!("context {name:?}"));
        let (name, named_by) = match (given, said(kind)?, by_context) {
            (Some(name), _, _) => (name.to_owned(), flag.to_owned()),
            (None, Some(name), Some(context)) => (name.to_owned(), context),
            _ => return Ok(None),
        };
        let entry = find(config, kind, entries, &name, named_by)?;
        Ok(Some((name, entry)))
    };

    let chosen = find(
        "cluster",
        &config.clusters,
        "--cluster",
        flags.cluster.as_deref(),
    )?;
    let mut cluster = match (&chosen, &context) {
        (Some((name, entry)), _) => cluster::Draft::from_entry(name, entry)?,
        (None, _) if flags.server.is_some() => cluster::Draft::default(),
        (None, Some((_, entry))) => {
            let problem = "is missing; set it or give --cluster or --server";
            return Err(entry.fields().error("cluster", problem));
        }
        (None, None) => {
            return Err(Error::NoContext {
                files: config.files().to_vec(),
                existing: config.contexts.keys().cloned().collect(),
            });
        }
    };
    cluster.apply(flags)?;
    let chosen = find("user", &config.users, "--user", flags.user.as_deref())?;
    let mut user = match &chosen {
        Some((name, entry)) => user::Draft::from_entry(name, entry)?,
        None => user::Draft::nobody("flags"),
    };
    user.apply(flags)?;
    Ok(Target {
        namespace: match &flags.namespace {
            Some(namespace) => Some(namespace.clone()),
            None => said("namespace")?.map(str::to_owned),
        },
        context: context.as_ref().map(|(name, _)| (*name).to_owned()),
        cluster: cluster.finish()?,
        user: user.finish()?,
    })
}

/// `--context`, else `current-context`; a name that has no entry is an error.
fn chosen_context<'a>(
    config: &'a Kubeconfig,
    flags: &'a Overrides,
) -> Result<Option<(&'a str, &'a Entry)>, Error> {
    let (name, named_by) = match (&flags.context, &config.current_context) {
        (Some(name), _) => (name, "--context"),
        (None, Some(name)) => (name, "current-context"),
        (None, None) => return Ok(None),
    };
    let entry = find(
        config,
        "context",
        &config.contexts,
        name,
        named_by.to_owned(),
    )?;
    Ok(Some((name, entry)))
}

fn find<'a>(
    config: &Kubeconfig,
    kind: &'static str,
    entries: &'a BTreeMap<String, Entry>,
    name: &str,
    named_by: String,
) -> Result<&'a Entry, Error> {
    entries.get(name).ok_or_else(|| Error::Missing {
        kind,
        name: name.to_owned(),
        named_by,
        files: config.files().to_vec(),
        existing: entries.keys().cloned().collect(),
    })
}

/// One API server and one way to be somebody there.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name of the context, where one was chosen.
    pub context: Option<String>,
    /// Default namespace of the context.
    pub namespace: Option<String>,
    /// The API server.
    pub cluster: Cluster,
    /// The user.
    pub user: User,
}

/// What the file says of an API server.
#[derive(Clone, Debug)]
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

/// PEM text and where it stands.
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

    pub(super) fn from_flag(flag: &str, path: &Path) -> Self {
        Self::File {
            path: path.to_owned(),
            origin: format!("flags: {flag}"),
        }
    }

    /// The PEM text: what is inline, or what its file holds now.
    ///
    /// # Errors
    /// A file that cannot be read or has more than 1 MiB; the error names it and its origin.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self {
            Self::Inline { data, .. } => Ok(data.clone()),
            Self::File { path, origin } => {
                file::read_bounded(&format!("({origin})"), path, Self::LIMIT)
            }
        }
    }

    /// File, entry and field that this comes from, for error messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        match self {
            Self::Inline { origin, .. } | Self::File { origin, .. } => origin,
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
#[derive(Clone, Debug, Default)]
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

/// A client certificate with its key.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The certificate chain.
    pub certificate: Pem,
    /// The private key.
    pub key: Pem,
}

/// The ways a kubeconfig (or flag) lets a user log in.
#[derive(Clone, Debug, Default)]
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
}

/// The `exec` section: a client-go credential plugin.
#[derive(Clone, Debug)]
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

#[cfg(test)]
mod tests;
