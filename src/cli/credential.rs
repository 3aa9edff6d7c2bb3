//! `kubegate credential`

mod cluster;

use std::sync::Arc;

use anyhow::bail;

use super::{exec_info, interrupt::guarded, output};
use crate::{
    credential::{self, CommandContext, Need, exec_credential},
    kubeconfig::{Cluster, ExecApiVersion, ExecInfo},
    login,
    settings::{ConnectionFlags, Login},
};

pub(super) const EXAMPLES: &str = "\
`kubegate login` writes this command into the kubeconfig. kubectl and other clients run it; kubegate
itself uses the login without running it. To see a token, run `kubegate token`.

A client that does not say which cluster it is for (KUBERNETES_EXEC_INFO) gets the credential for the
cluster that --context or --server names, else for the one whose context in the kubeconfig uses the
login.

Exit codes: 0 with an ExecCredential on standard output, 1 if there is no credential, 2 for
bad flags.";

/// Prints an `ExecCredential` for the login that the arguments describe.
pub(super) async fn run(
    connection: &ConnectionFlags,
    login: &Login,
    exec_api_version: Option<ExecApiVersion>,
) -> anyhow::Result<()> {
    let info = exec_info::read()?;
    let cluster = cluster_of(info.as_ref(), connection, login)?;
    login::note_use_by_kubectl(login, &|name| std::env::var_os(name));
    let (of_error, at) = (login.clone(), cluster.clone());
    let context = CommandContext::Searched(Arc::new(move || {
        login::context_of(&of_error, &at, &|name| std::env::var_os(name))
    }));
    let source = credential::saved_login::source(login, &cluster, &context)?;
    // kubectl's Ctrl-C reaches this process too.
    let credential = guarded(async { Ok(source.fetch_once(Need::Current).await?) }).await?;
    let version = exec_info::output_version(info.as_ref(), exec_api_version);
    let answer = exec_credential::to_json(&credential, &version, &source.subject())?;
    output::print_data(answer.as_str())
}

/// Returns the cluster that the client names. A client that could name it and does not gets nothing:
/// the kubeconfig may be another's, with a server that the credential is not for.
fn cluster_of(
    info: Option<&ExecInfo>,
    connection: &ConnectionFlags,
    login: &Login,
) -> anyhow::Result<Cluster> {
    match info {
        Some(info) if info.cluster.is_none() && info.can_have_cluster => bail!(
            "kubectl did not say which cluster this is for; set provideClusterInfo: true in the \
             user's exec entry"
        ),
        Some(ExecInfo {
            cluster: Some(cluster),
            ..
        }) => Ok(cluster.clone()),
        _ => cluster::of_login(login, connection, &|name| std::env::var_os(name)),
    }
}
