//! The context, cluster and user that a login writes into the kubeconfig.

use super::Error;
use crate::{
    kubeconfig::{self, Cluster, Pem, ProxyUrl, edit::NewContext},
    secret::Secret,
};

/// The names of the three entries.
pub(super) struct EntryNames {
    pub(super) context: String,
    pub(super) cluster: String,
    pub(super) user: String,
}

/// Builds the context that reaches `cluster` at the URL `server` and runs `kubegate` with
/// `credential_args` for a credential. `proxy_url` is the flag's text, which the parsed URL of the
/// cluster no longer has.
///
/// # Errors
/// A certificate authority that cannot be read.
pub(super) fn new_context(
    names: EntryNames,
    namespace: Option<String>,
    cluster: &Cluster,
    server: String,
    proxy_url: Option<&Secret>,
    credential_args: Vec<String>,
) -> Result<NewContext, Error> {
    let authority = cluster.certificate_authority.as_ref();
    let authority = authority.map(Pem::read).transpose()?;
    let given = proxy_url.map(|url| url.expose().to_owned());
    Ok(NewContext {
        context: names.context,
        cluster: names.cluster,
        user: names.user,
        namespace,
        server,
        certificate_authority: authority.map(|pem| pem.to_vec()),
        tls_server_name: cluster.tls_server_name.clone(),
        proxy_url: given.or_else(|| cluster.proxy_url.as_ref().map(ProxyUrl::to_text)),
        credential_args,
    })
}

/// Returns the name that `oc` gives a cluster's entry: `api-example:6443` for `api.example:6443`.
pub(super) fn cluster_entry_name(cluster: &Cluster) -> String {
    let host = kubeconfig::host(&cluster.server).replace(['.', ':'], "-");
    format!("{host}:{}", kubeconfig::port(&cluster.server))
}
