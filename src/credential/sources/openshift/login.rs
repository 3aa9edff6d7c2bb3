//! The source for a kubegate login.

use std::sync::Arc;

use super::{
    Access, SavedSession, password_file_session::PasswordFileSession, password_login::PasswordFiles,
};
use crate::{
    credential::{
        Error, Source,
        store::{LoginBinding, Store},
    },
    kubeconfig::Cluster,
    settings::OpenshiftFlags,
};

/// Returns the source for a kubegate login at `cluster`: the session that is saved in the state
/// folder or, if there are files with user name and password, sessions that are started with them.
/// `command` logs in again.
pub(in crate::credential) fn source(
    flags: &OpenshiftFlags,
    cluster: &Cluster,
    command: Option<String>,
) -> Result<Arc<dyn Source>, Error> {
    let access = Access::new(cluster, flags.files.oauth_certificate_authority.as_deref());
    let saved = match &flags.login {
        Some(login) => {
            let store = Store::of_user(&|name| std::env::var_os(name));
            let here = store
                .map_err(Error::store)?
                .bound_to(LoginBinding::of_cluster(cluster));
            Some((here, login.clone()))
        }
        None => None,
    };
    if let Some((user, password)) = flags.files.username_and_password() {
        let files = PasswordFiles::new(user, password, command);
        return Ok(Arc::new(PasswordFileSession::new(access, files, saved)));
    }
    let (store, login) = saved.ok_or_else(|| Error::LoginNeeded {
        subject: format!("the OpenShift login at {}", access.server()),
        problem: "neither a saved login nor a file with a password is given".into(),
        remedy: "give --login, or --openshift-username-file and --openshift-password-file".into(),
    })?;
    Ok(Arc::new(SavedSession::of_store(
        access, store, &login, command,
    )))
}
