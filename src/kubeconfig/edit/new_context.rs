//! [`NewContext`]: the entries that a login adds to a kubeconfig.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::exec_entry::ExecEntry;
use crate::kubeconfig::block::yaml;

/// A context with its cluster and user, whose exec plugin is `kubegate credential`.
pub struct NewContext {
    /// Name of the context.
    pub context: String,
    /// Name of the cluster's entry.
    pub cluster: String,
    /// Name of the user's entry.
    pub user: String,
    /// Default namespace; `None` keeps that of an existing context of this name.
    pub namespace: Option<String>,
    /// URL of the API server.
    pub server: String,
    /// PEM text of the only CAs to trust.
    pub certificate_authority: Option<Vec<u8>>,
    /// Name to send as SNI and to verify instead of the server's host.
    pub tls_server_name: Option<String>,
    /// Proxy to reach the server through.
    pub proxy_url: Option<String>,
    /// The user's plugin.
    pub exec: ExecEntry,
}

impl NewContext {
    pub(super) fn cluster_fields(&self) -> Map<String, Value> {
        let authority = self.certificate_authority.as_ref();
        filled([
            ("server", Some(json!(self.server))),
            (
                "certificate-authority-data",
                authority.map(|pem| json!(BASE64_STANDARD.encode(pem))),
            ),
            (
                "tls-server-name",
                self.tls_server_name.as_ref().map(|name| json!(name)),
            ),
            ("proxy-url", self.proxy_url.as_ref().map(|url| json!(url))),
        ])
    }

    /// The fields of the user in place of those of an entry of this name in `config`.
    pub(super) fn user_fields(&self, config: &Map<String, Value>) -> Map<String, Value> {
        let exec = self.exec.to_json(config, &self.user);
        filled([("exec", Some(exec))])
    }

    pub(super) fn context_fields(&self) -> Map<String, Value> {
        filled([
            ("cluster", Some(json!(self.cluster))),
            ("user", Some(json!(self.user))),
            ("namespace", self.namespace.as_ref().map(|name| json!(name))),
        ])
    }

    /// The entries as YAML, to be shown to the user: without the password of a proxy.
    pub(super) fn to_yaml(&self) -> Zeroizing<String> {
        let mut cluster = self.cluster_fields();
        if let Some(Value::String(url)) = cluster.get_mut("proxy-url")
            && let Some((_, host)) = url.rsplit_once('@')
        {
            *url = format!("http://USER:PASSWORD@{host}");
        }
        let entries = json!({
            "clusters": [{"name": self.cluster, "cluster": cluster}],
            "users": [{"name": self.user, "user": self.user_fields(&Map::new())}],
            "contexts": [{"name": self.context, "context": self.context_fields()}],
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
