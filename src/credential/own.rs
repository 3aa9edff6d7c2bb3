//! Logins that kubegate keeps itself: what its `exec` entry means becomes a [`Source`], in the
//! proxy as in `kubegate credential`.

use std::sync::Arc;

use super::{Error, Source, ibm_iam, oidc::Oidc, openshift};
use crate::{kubeconfig::Cluster, settings::Login};

/// The source for a login of our own at `cluster`.
///
/// # Errors
/// A state folder or flag that cannot be used.
pub fn source(login: &Login, cluster: &Cluster) -> Result<Arc<dyn Source>, Error> {
    match login {
        Login::Openshift(flags) => openshift::source(flags, cluster),
        Login::Ibm(flags) => ibm_iam::source(flags, cluster),
        Login::Oidc(flags) => Ok(Arc::new(Oidc::of_login(flags)?)),
    }
}
