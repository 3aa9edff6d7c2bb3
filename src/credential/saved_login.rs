//! Logins that kubegate saves itself. Their `exec` entry becomes a [`Source`], both in the proxy
//! and in `kubegate credential`.

use std::sync::Arc;

use super::{
    CommandContext, Error, Source,
    login_command::of_context,
    sources::{ibm_iam, oidc, openshift},
    store::LoginBinding,
};
use crate::{kubeconfig::Cluster, settings::Login};

/// The source for a saved login at `cluster`. Its errors name `context` in the command to log in again.
///
/// # Errors
/// A state folder or flag that cannot be used.
pub fn source(
    login: &Login,
    cluster: &Cluster,
    context: &CommandContext,
) -> Result<Arc<dyn Source>, Error> {
    let command = context.known().map(|known| of_context(login.kind(), known));
    match login {
        Login::Openshift(flags) => openshift::source(flags, cluster, command),
        Login::Ibm(flags) => ibm_iam::source(flags, cluster, command),
        Login::Oidc(flags) => oidc::source(flags, cluster, context.clone()),
    }
}

/// The issuer and API server that `login` is saved for when it is used at `cluster`.
///
/// # Errors
/// An IBM Cloud endpoint that is no https URL.
pub fn binding(login: &Login, cluster: &Cluster) -> Result<LoginBinding, Error> {
    let binding = LoginBinding::of_cluster(cluster);
    Ok(match login {
        Login::Openshift(_) => binding,
        Login::Ibm(flags) => {
            let endpoints = ibm_iam::endpoints(flags.iam.as_deref())?;
            binding.with_issuer(&endpoints.name())
        }
        Login::Oidc(flags) => binding
            .with_issuer(&flags.oidc_issuer_url)
            .with_client(&flags.oidc_client_id),
    })
}
