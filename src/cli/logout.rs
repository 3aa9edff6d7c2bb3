//! `kubegate logout`

use anyhow::{Context as _, bail};

use super::{output, target};
use crate::{
    credential::{
        self,
        oidc::Client,
        openshift::Access,
        store::{self, Saved, Store},
    },
    kubeconfig::{self, Cluster, edit::remove_user},
    settings::{ConnectionFlags, Login},
};

pub(super) const EXAMPLES: &str = "\
Ends the session at its server, where that can be done, and forgets here what was saved: tokens,
the keyring's entry, the user and its contexts in the kubeconfig. The cluster's entry stays.

Examples:
  kubegate logout
  kubegate logout --context staging

Exit codes: 0 when logged out, 1 where that failed, or where the session could not be ended at its
server: what was saved here is gone all the same. 2 for bad flags.";

/// Logs the context's user out.
pub(super) async fn run(connection: &ConnectionFlags) -> anyhow::Result<()> {
    let env = |name: &str| std::env::var_os(name);
    let target = target(connection)?;
    let login = match &target.user.login {
        kubeconfig::Login::Exec(config) => Login::of_exec(config),
        _ => None,
    };
    let (Some(login), Some(user)) = (login, target.user.name) else {
        bail!("this context was not made by `kubegate login`, so it is not for kubegate to end");
    };
    let store = Store::of_user(&env)?;
    let mut ended = Ok(());
    if let Some(name) = login.saved_as() {
        let _turn = store.turn(&name)?;
        let here = store.at(credential::place_of_login(&login, &target.cluster)?);
        ended = match here.read(&name) {
            Ok(Some(saved)) => end(&login, &saved, &target.cluster).await,
            Ok(None) => Ok(()),
            // It is not this context's to end.
            Err(error @ store::Error::Elsewhere { .. }) => return Err(error.into()),
            Err(error) => Err(error.into()),
        };
        store.remove(&name)?;
    }
    for file in kubeconfig::edit::files(connection.kubeconfig(), &env) {
        if remove_user(&file, &user)? {
            break;
        }
    }
    ended.context(
        "logged out here, but the session could not be ended at its server, where it goes on \
         until it ends by itself",
    )?;
    output::print(&format!("Logged out {user}\n"))
}

/// Ends a session where it was begun.
async fn end(login: &Login, saved: &Saved, cluster: &Cluster) -> anyhow::Result<()> {
    match login {
        Login::Openshift(flags) => {
            if let Some(token) = &saved.token {
                let authority = flags.files.oauth_certificate_authority.as_deref();
                // One that was over already is as good.
                Access::new(cluster, authority).revoke(token).await?;
            }
        }
        Login::Oidc(flags) => {
            if let Some(refresh) = &saved.refresh_token {
                let client = Client::of_flags(flags)?;
                let metadata = client.metadata().await?;
                let secret = saved.client_secret.as_ref();
                if !client.revoke(&metadata, secret, refresh).await? {
                    tracing::info!("the issuer has no way to end a login; it ends by itself");
                }
            }
        }
        // What is saved is a root credential, which is used elsewhere too.
        Login::Ibm(_) => {}
    }
    Ok(())
}
