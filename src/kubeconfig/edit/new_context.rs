//! [`NewContext`]: the entries that a login adds to a kubeconfig.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::exec_entry::ExecEntry;
use crate::{
    kubeconfig::{Cluster, Error, ExecConfig, Pem, ProxyUrl, block::yaml},
    secret::Secret,
};

/// A context with its cluster and user, whose exec plugin is `kubegate credential`. Which entries it
/// takes is decided with the kubeconfig at hand, so that none that another context uses is changed.
pub struct NewContext {
    /// The names that the user chose.
    pub chosen: ChosenNames,
    /// How the other names are made.
    pub naming: Naming,
    /// The user's name in the cluster.
    pub username: String,
    /// Default namespace that the user chose; `None` keeps that of an existing context.
    pub namespace: Option<String>,
    /// Default namespace of a context that has none.
    pub default_namespace: Option<String>,
    /// The API server.
    pub cluster: NewCluster,
    /// The user's plugin.
    pub exec: ExecEntry,
    /// Which existing user entries are of the same login.
    pub identity: LoginIdentity,
}

/// Names of entries that the user chose. An existing context of the name is renewed.
#[derive(Clone, Debug, Default)]
pub struct ChosenNames {
    /// `--context`
    pub context: Option<String>,
    /// `--cluster`
    pub cluster: Option<String>,
    /// `--user`
    pub user: Option<String>,
}

/// How names of entries are made. A number is appended to one that is taken.
#[derive(Clone, Debug)]
pub enum Naming {
    /// As `oc` does: `NAMESPACE/CLUSTER/USER` and `USER/CLUSTER`, for a cluster `HOST:PORT`.
    Oc {
        /// The namespace in the name of the context.
        namespace: String,
    },
    /// As IBM's tools do: one name for all three entries, which the cluster's id makes unique.
    Ibm(String),
}

/// Which user entries are of the same login.
pub struct LoginIdentity {
    /// Whether an entry's plugin is the same login, whoever logs in by it.
    pub is_same: Box<dyn Fn(&ExecConfig) -> bool + Send + Sync>,
    /// Whether such a plugin also gets its tokens by the same grant, files and scopes.
    pub has_same_flags: Box<dyn Fn(&ExecConfig) -> bool + Send + Sync>,
    /// Whether an entry's plugin is a login of kubegate at all.
    pub is_login: Box<dyn Fn(&ExecConfig) -> bool + Send + Sync>,
    /// Whether the login is a session at one API server, as a token that `oc login` writes.
    pub is_session: bool,
}

/// How a new context reaches its API server.
#[derive(Clone, Debug, Default)]
pub struct NewCluster {
    /// URL of the API server.
    pub server: String,
    /// PEM text of the only CAs to trust.
    pub certificate_authority: Option<Vec<u8>>,
    /// Whether the server's certificate is not verified.
    pub insecure_skip_tls_verify: bool,
    /// Name to send as SNI and to verify instead of the server's host.
    pub tls_server_name: Option<String>,
    /// Proxy to reach the server through; its URL may hold a password.
    pub proxy_url: Option<Secret>,
}

impl NewCluster {
    /// Describes `cluster` at the URL `server`. `proxy_url` is the flag's text, which the parsed URL
    /// of the cluster no longer has.
    ///
    /// # Errors
    /// A certificate authority that cannot be read.
    pub fn of(
        cluster: &Cluster,
        server: String,
        proxy_url: Option<&Secret>,
    ) -> Result<Self, Error> {
        let authority = cluster.certificate_authority.as_ref();
        let authority = authority.map(Pem::read).transpose()?;
        let of_cluster = || cluster.proxy_url.as_ref().map(ProxyUrl::to_text);
        Ok(Self {
            server,
            certificate_authority: authority.map(|pem| pem.to_vec()),
            insecure_skip_tls_verify: cluster.insecure_skip_tls_verify,
            tls_server_name: cluster.tls_server_name.clone(),
            proxy_url: proxy_url
                .cloned()
                .or_else(|| of_cluster().map(|url| Secret::new(&url))),
        })
    }

    /// The fields of an entry.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let authority = self.certificate_authority.as_ref();
        let insecure = self.insecure_skip_tls_verify;
        filled([
            ("server", Some(json!(self.server))),
            (
                "certificate-authority-data",
                authority.map(|pem| json!(BASE64_STANDARD.encode(pem))),
            ),
            (
                "insecure-skip-tls-verify",
                insecure.then_some(Value::Bool(true)),
            ),
            (
                "tls-server-name",
                self.tls_server_name.as_ref().map(|name| json!(name)),
            ),
            (
                "proxy-url",
                self.proxy_url.as_ref().map(|url| json!(url.expose())),
            ),
        ])
    }
}

impl NewContext {
    /// The fields of the user in place of those of the entry `user` in `config`.
    pub(super) fn user_fields(
        &self,
        config: &Map<String, Value>,
        user: &str,
    ) -> Map<String, Value> {
        let exec = self.exec.to_json(config, user);
        filled([("exec", Some(exec))])
    }

    /// The entries as YAML, to be shown to the user: without the password of a proxy.
    pub(super) fn to_yaml(&self, context: &str, cluster: &str, user: &str) -> Zeroizing<String> {
        let mut fields = self.cluster.fields();
        if let Some(Value::String(url)) = fields.get_mut("proxy-url")
            && let Some((_, host)) = url.rsplit_once('@')
        {
            *url = format!("http://USER:PASSWORD@{host}");
        }
        let namespace = self.namespace.as_ref().or(self.default_namespace.as_ref());
        let of_context = filled([
            ("cluster", Some(json!(cluster))),
            ("user", Some(json!(user))),
            ("namespace", namespace.map(|name| json!(name))),
        ]);
        let entries = json!({
            "clusters": [{"name": cluster, "cluster": fields}],
            "users": [{"name": user, "user": self.user_fields(&Map::new(), user)}],
            "contexts": [{"name": context, "context": of_context}],
        });
        yaml(&entries)
    }
}

fn filled<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let fields = fields.into_iter();
    fields
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}
