//! The context, cluster and user that a login writes into the kubeconfig.

use super::{Error, own_program};
use crate::{
    kubeconfig::{
        self, Cluster, ExecApiVersion, Pem, ProxyUrl,
        edit::{ExecEntry, NewContext},
    },
    secret::Secret,
};

/// The names of the three entries.
pub(super) struct EntryNames {
    pub(super) context: String,
    pub(super) cluster: String,
    pub(super) user: String,
}

/// Builds the context that reaches `cluster` at the URL `server` and runs `kubegate` with
/// `credential_args` for a credential. `exec_api_version` is `--exec-api-version`. `proxy_url` is the flag's text, which the parsed URL of the
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
    (credential_args, exec_api_version): (Vec<String>, Option<ExecApiVersion>),
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
        exec: ExecEntry {
            command: own_program::command(),
            args: credential_args,
            api_version: exec_api_version,
        },
    })
}

/// Returns the name that `oc` gives a cluster's entry: `api-example:6443` for `api.example:6443`.
pub(super) fn cluster_entry_name(cluster: &Cluster) -> String {
    let host = kubeconfig::host(&cluster.server).replace(['.', ':'], "-");
    format!("{host}:{}", kubeconfig::port(&cluster.server))
}
