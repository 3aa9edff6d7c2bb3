//! `kubegate logout`

use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;

use super::{output, target::target};
use crate::{
    credential::{
        self,
        oidc::Client,
        openshift::Access,
        store::{self, SavedLogin, Store},
    },
    kubeconfig::{
        self, Cluster,
        edit::{self, forget_user, may_forget_user},
    },
    login::{LoginUser, users_of},
    printable::printable,
    settings::{ConnectionFlags, Login},
    shell::in_quotes,
};

pub(super) const EXAMPLES: &str = "\
Ends the session at its server, where that can be done, and removes its tokens here, from the
state folder or the keyring. Context, cluster and user stay in the kubeconfig, so that
`kubegate login KIND --context NAME` needs no more than a password.

Examples:
  kubegate logout
  kubegate logout --context staging

  # Remove what the login wrote into the kubeconfig too; what was current before is so again
  kubegate logout --forget

Exit codes: 0 when logged out, 1 where that failed, or where the session could not be ended at its
server: what was saved here is gone all the same. 2 for bad flags.";

#[derive(Args, Debug)]
pub(super) struct Flags {
    /// Remove the login's context, user and cluster from the kubeconfig too
    #[arg(long)]
    forget: bool,
}

/// Logs the context's user out.
pub(super) async fn run(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<()> {
    let env = |name: &str| std::env::var_os(name);
    let target = target(connection)?;
    let login = match &target.user.login {
        kubeconfig::Login::Exec(config) => Login::of_exec(config),
        _ => None,
    };
    let (Some(login), Some(user)) = (login, target.user.name) else {
        bail!("this context was not made by `kubegate login`, so it is not for kubegate to end");
    };
    let files = edit::files(connection.kubeconfig(), &env);
    if flags.forget {
        // Before anything is ended that cannot be had again.
        for file in &files {
            may_forget_user(file, &user)?;
        }
    }
    let mut done = Done::default();
    if let Some(name) = login.saved_as() {
        let mut known = files.clone();
        let store = Store::of_user(&env)?;
        known.extend(store.kubeconfigs(&name));
        known.extend(edit::files(None, &env));
        done.others = users_of(&name, &known);
        done.others
            .retain(|one| !(one.user == user && files.contains(&one.file)));
        done.end(&store, &name, &login, &target.cluster, flags.forget)
            .await?;
    } else if !flags.forget {
        bail!("nothing is saved of this login, which logs in by files of your own");
    }
    if flags.forget {
        for file in &files {
            if forget_user(file, &user)? {
                break;
            }
        }
    }
    done.ended.context(
        "logged out here, but the session could not be ended at its server, where it goes on \
         until it ends by itself",
    )?;
    let user = printable(&user);
    let mut said = vec![if done.was_over {
        format!("{user} was logged out already\n")
    } else {
        format!("Logged out {user}\n")
    }];
    said.extend(done.others.iter().map(|one| {
        let file = one.file.display().to_string();
        format!(
            "User {} in {} used the same login, and is logged out too\n",
            printable(&one.user),
            printable(&file)
        )
    }));
    if let (false, Some(context)) = (flags.forget, &target.context) {
        said.push(again(login.kind(), context, connection.kubeconfig()));
    }
    output::print(&said.concat())
}

/// What to run to log in again.
fn again(kind: &str, context: &str, kubeconfig: Option<&Path>) -> String {
    let file = kubeconfig.map(|file| in_quotes(&file.display().to_string()));
    let file = file.map_or(String::new(), |file| format!(" --kubeconfig {file}"));
    let context = in_quotes(context);
    let command = format!("kubegate login {kind} --context {context}{file}");
    format!("To log in again, run: {}\n", printable(&command))
}

/// What came of a logout.
struct Done {
    /// Whether the session ended at its server.
    ended: anyhow::Result<()>,
    /// Whether there was none.
    was_over: bool,
    /// Who else used it.
    others: Vec<LoginUser>,
}

impl Default for Done {
    fn default() -> Self {
        Self {
            ended: Ok(()),
            was_over: false,
            others: Vec::new(),
        }
    }
}

impl Done {
    /// Ends the session, and removes what is saved of it. What belongs to the client rather than the
    /// user stays for the next login, unless nobody is left to log in.
    async fn end(
        &mut self,
        store: &Store,
        name: &str,
        login: &Login,
        cluster: &Cluster,
        forget: bool,
    ) -> anyhow::Result<()> {
        let _turn = store.lock_for_renewal(name)?;
        let here = store.bound_to(credential::saved_login::binding(login, cluster)?);
        let mut rest = None;
        match here.read(name) {
            Ok(Some(saved)) => {
                let has = [&saved.token, &saved.refresh_token, &saved.api_key];
                self.was_over = has.iter().all(|secret| secret.is_none());
                self.ended = end(login, &saved, cluster).await;
                rest = saved.client_secret.is_some().then(|| SavedLogin {
                    client_secret: saved.client_secret.clone(),
                    issuer: saved.issuer.clone(),
                    servers: saved.servers.clone(),
                    keyring: saved.keyring,
                    ..SavedLogin::default()
                });
            }
            Ok(None) => self.was_over = true,
            // It is not this context's to end.
            Err(error @ store::Error::OtherBinding { .. }) => return Err(error.into()),
            Err(error) => self.ended = Err(error.into()),
        }
        let is_last = forget && self.others.is_empty();
        match rest.filter(|_| !is_last) {
            Some(rest) => store.write(name, &rest)?,
            None => {
                store.remove(name)?;
            }
        }
        if is_last {
            store.forget_kubeconfigs(name);
        }
        Ok(())
    }
}

/// Ends a session where it was begun.
async fn end(login: &Login, saved: &SavedLogin, cluster: &Cluster) -> anyhow::Result<()> {
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
