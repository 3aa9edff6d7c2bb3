//! The cluster of a login, for clients that do not say which one they want the credential for.

use std::ffi::OsString;

use anyhow::bail;

use crate::{
    credential::store::Store,
    kubeconfig::{self, Cluster, Context, EXEC_INFO, Overrides},
    settings::{self, ConnectionFlags, Login},
};

/// Returns the cluster that `--context` or `--server` names, else that of a context that uses `login`:
/// in the kubeconfig, preferably the current one, else in a kubeconfig that is known to name the login.
pub(super) fn of_login(
    login: &Login,
    connection: &ConnectionFlags,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> anyhow::Result<Cluster> {
    let own = Overrides::from(connection);
    if own.context.is_some() || own.server.is_some() {
        let own = Overrides {
            // Of the login, whose flags have the same names.
            cluster: None,
            certificate_authority: None,
            ..own
        };
        let found = kubeconfig::resolve_pinned(connection.kubeconfig(), &own, None, env)?;
        return Ok(found.target.cluster);
    }
    let contexts = kubeconfig::contexts(connection.kubeconfig(), env)?;
    if let Some(cluster) = cluster_in(contexts, login) {
        return Ok(cluster);
    }
    let noted = match (login.saved_as(), Store::of_user(env)) {
        (Some(name), Ok(store)) => store.kubeconfigs(&name),
        _ => Vec::new(),
    };
    for file in noted.iter().filter(|file| file.is_file()) {
        let contexts = kubeconfig::contexts(Some(file), env).unwrap_or_default();
        if let Some(cluster) = cluster_in(contexts, login) {
            return Ok(cluster);
        }
    }
    bail!(
        "{EXEC_INFO} is not set, and no context of the kubeconfig uses this login, so the cluster is \
         not known; name it by --context NAME in the arguments of the user's exec entry, or set \
         KUBECONFIG; for a token, run `kubegate token`"
    )
}

fn cluster_in(contexts: Vec<Context>, login: &Login) -> Option<Cluster> {
    let mut clusters: Vec<(bool, Cluster)> = contexts
        .into_iter()
        .filter_map(|context| {
            let target = context.target.ok()?;
            let kubeconfig::Login::Exec(entry) = &target.user.login else {
                return None;
            };
            let is_used = settings::Login::of_exec(entry).as_ref() == Some(login);
            is_used.then_some((context.is_current, target.cluster))
        })
        .collect();
    let current = clusters.iter().position(|(is_current, _)| *is_current);
    let chosen = current.unwrap_or(0);
    (chosen < clusters.len()).then(|| clusters.swap_remove(chosen).1)
}
