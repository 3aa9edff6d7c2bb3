//! `kubegate logout`

mod forgotten;
mod others;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::Args;

use self::{
    forgotten::{lines_of_contexts, orphaned_logins},
    others::{Other, without_server},
};
use super::{output, target::target};
use crate::{
    credential::{
        self,
        oidc::Client,
        openshift::{Access, object_name},
        store::{self, SavedLogin, Store},
    },
    kubeconfig::{
        self, Cluster, ExecConfig,
        edit::{self, Forget, Forgotten, forget_user, may_forget_user},
    },
    login::{uninterrupted, users_of},
    printable::printable,
    settings::{ConnectionFlags, Login, MachineGrant},
    shell::in_quotes,
    signals::Signals,
};

pub(super) const EXAMPLES: &str = "\
Ends the session at its server, if the server supports that, and removes its tokens from the state
folder or the keyring. Context, cluster and user stay in the kubeconfig, so that `kubegate login KIND
--context NAME` needs no more than a password.

Other contexts may use the same login, such as that of an API key of IBM Cloud. Those of the same API
server are logged out too; those of others stay logged in, unless --all is given. --forget names the
other contexts of the user that it removes, and leaves those at other API servers, unless --all is given.

Examples:
  kubegate logout
  kubegate logout --context staging

  # Also remove what the login wrote into the kubeconfig, and restore what was there before
  kubegate logout --forget

Exit codes: 0 when logged out, 1 if that failed or the session could not be ended at its server (its
tokens are removed all the same), 2 for bad flags.";

#[derive(Args, Debug)]
pub(super) struct Flags {
    /// Also remove the login's context, user and cluster from the kubeconfig
    #[arg(long)]
    forget: bool,
    /// Also log out (with --forget: remove) the contexts at other API servers that use the same login
    #[arg(long)]
    all: bool,
}

/// Logs the context's user out, and prints who else used the login.
pub(super) async fn run(connection: &ConnectionFlags, flags: &Flags) -> anyhow::Result<()> {
    let env = |name: &str| std::env::var_os(name);
    let target = target(connection)?;
    let exec = match &target.user.login {
        kubeconfig::Login::Exec(config) => Some(config),
        _ => None,
    };
    let login = exec.and_then(Login::of_exec);
    let (Some(exec), Some(login), Some(user)) = (exec, login, target.user.name.clone()) else {
        bail!("this context was not made by `kubegate login`, so kubegate cannot log it out");
    };
    let files = edit::files(connection.kubeconfig(), &env);
    let name = login.saved_as();
    let store = name.as_ref().map(|_| Store::of_user(&env)).transpose()?;
    let forget = Arc::new(Forget {
        user: user.clone(),
        is_same: {
            let exec = exec.clone();
            Box::new(move |other| other.is_some_and(|other| is_same(&exec, other)))
        },
        may_end: {
            let (store, cluster) = (store.clone(), target.cluster.clone());
            Box::new(move |exec| {
                let login = Login::of_exec(exec);
                login.is_some_and(|login| may_end(&login, store.as_ref(), &cluster))
            })
        },
        context: target.context.clone(),
        at: (!flags.all).then(|| target.cluster.clone()),
    });
    // Checked before the session is ended, which cannot be undone.
    let forgotten = flags
        .forget
        .then(|| may_forget_user(&files, &forget))
        .transpose()?;
    let mut outcome = Outcome::default();
    if let (Some(store), Some(name)) = (&store, &name) {
        for entry in users_of(name, &known_files(&files, store, name)) {
            let is_own = entry.user == user && files.contains(&entry.file);
            let mut other = Other::new(entry, connection.kubeconfig(), &env);
            // What the logout leaves of the own entry: its other contexts.
            let stays = |context: &str| match &forgotten {
                None => Some(context) != target.context.as_deref(),
                Some(forgotten) => forgotten.kept.iter().any(|kept| kept == context),
            };
            if !is_own || other.is_own_of(stays) {
                outcome.others.push(other);
            }
        }
        outcome
            .end(store, name, &login, &target.cluster, flags)
            .await?;
        for (name, login) in orphaned_logins(forgotten.as_ref()) {
            let users = users_of(&name, &known_files(&files, store, &name));
            if users.iter().all(|one| files.contains(&one.file)) {
                let mut orphan = Outcome::default();
                orphan
                    .end(store, &name, &login, &target.cluster, flags)
                    .await?;
                outcome.ended = outcome.ended.and(orphan.ended);
            }
        }
    } else if !flags.forget {
        bail!("nothing is saved of this login, which reads user name and password from files");
    }
    let mut lines = vec![outcome.line(&user)];
    if flags.forget {
        let session = match (&name, &outcome.ended) {
            (None, _) => "",
            (_, Ok(())) => "the session has ended, but ",
            (_, Err(_)) => "the tokens are removed, but ",
        };
        let forgotten = remove_entries(files, Arc::clone(&forget), session).await?;
        lines.extend(lines_of_contexts(
            &forgotten,
            &user,
            forget.context.as_deref(),
        ));
    }
    outcome.ended.context(
        "the tokens are removed, but the session could not be ended at its server, where it lasts \
         until it expires",
    )?;
    lines.extend(outcome.others.iter().filter_map(Other::line));
    if let (false, Some(context)) = (flags.forget, &target.context) {
        lines.push(match files_of(&login) {
            Some(files) => format!(
                "The next command logs in again by {}; to prevent that, run: kubegate logout --forget \
                 --context {}\n",
                printable(&files),
                printable(&in_quotes(context))
            ),
            None => login_hint(login.kind(), context, connection.kubeconfig()),
        });
    }
    output::print(&lines.concat())
}

/// Removes what the login wrote into the kubeconfig. `session` begins the error and says what was done
/// before.
async fn remove_entries(
    files: Vec<PathBuf>,
    forget: Arc<Forget>,
    session: &str,
) -> anyhow::Result<Forgotten> {
    let mut signals = Signals::handle_all().context("cannot handle signals")?;
    let forgotten = uninterrupted(&mut signals, move || forget_user(&files, &forget)).await;
    forgotten.with_context(|| {
        format!(
            "{session}what the login wrote is still in the kubeconfig; run the same command again to \
             remove it"
        )
    })
}

/// The kubeconfigs that may name the saved login `name`.
fn known_files(files: &[PathBuf], store: &Store, name: &str) -> Vec<PathBuf> {
    let mut known = files.to_vec();
    known.extend(store.kubeconfigs(name));
    known.extend(edit::files(None, &|name| std::env::var_os(name)));
    known
}

/// Whether a login can be ended at this API server: its tokens may be for another one alone.
fn may_end(login: &Login, store: Option<&Store>, cluster: &Cluster) -> bool {
    let binding = credential::saved_login::binding(login, cluster);
    let Some(((store, name), binding)) = store.zip(login.saved_as()).zip(binding.ok()) else {
        return true;
    };
    let read = store.bound_to(binding).read(&name);
    !matches!(read, Err(store::Error::OtherBinding { .. }))
}

/// Whether both plugins are of one login, as copies of an entry are.
fn is_same(one: &ExecConfig, other: &ExecConfig) -> bool {
    let saved =
        |exec| Login::of_exec(exec).and_then(|login| Some((login.kind(), login.saved_as()?)));
    one.args == other.args || saved(one).is_some() && saved(one) == saved(other)
}

/// Returns the files or the proof by which a login without a person begins again at any time.
fn files_of(login: &Login) -> Option<String> {
    let password = |path: &Path| format!("the password in {}", path.display());
    match login {
        Login::Openshift(flags) => {
            let (_, path) = flags.files.username_and_password()?;
            Some(password(path))
        }
        Login::Oidc(flags) => Some(match flags.grant.machine()? {
            MachineGrant::Password { password_file, .. } => password(password_file),
            MachineGrant::TokenExchange { subject_token_file } => {
                format!("the token in {}", subject_token_file.display())
            }
            MachineGrant::ClientCredentials => "the client's secret".to_owned(),
        }),
        Login::Ibm(_) => None,
    }
}

/// Returns the command to log in again.
fn login_hint(kind: &str, context: &str, kubeconfig: Option<&Path>) -> String {
    let file = kubeconfig.map(|file| in_quotes(&file.display().to_string()));
    let file = file.map_or(String::new(), |file| format!(" --kubeconfig {file}"));
    let context = in_quotes(context);
    let command = format!("kubegate login {kind} --context {context}{file}");
    format!("To log in again, run: {}\n", printable(&command))
}

/// The outcome of a logout.
struct Outcome {
    /// Whether the session was ended at its server.
    ended: anyhow::Result<()>,
    /// Whether there was no session.
    was_over: bool,
    /// The name and the API servers of a login that is for others than this one, which need it.
    goes_on: Option<(String, Vec<String>)>,
    /// The other user entries that name the login.
    others: Vec<Other>,
}

impl Default for Outcome {
    fn default() -> Self {
        Self {
            ended: Ok(()),
            was_over: false,
            goes_on: None,
            others: Vec::new(),
        }
    }
}

impl Outcome {
    /// Ends the session, and removes what is saved of it. The client's secret is kept for the next login,
    /// unless `--forget` is given and no other user entry names the login. If entries at other API
    /// servers need the login and `--all` is not given, it is only detached from this API server.
    async fn end(
        &mut self,
        store: &Store,
        name: &str,
        login: &Login,
        cluster: &Cluster,
        flags: &Flags,
    ) -> anyhow::Result<()> {
        let _turn = store.lock_for_renewal(name)?;
        let binding = credential::saved_login::binding(login, cluster)?;
        let here = store.bound_to(binding.clone());
        let mut kept = None;
        match here.read(name) {
            Ok(Some(saved)) => {
                let has = [&saved.token, &saved.refresh_token, &saved.api_key];
                self.was_over = has.iter().all(|secret| secret.is_none());
                if !flags.all && !self.was_over && self.is_needed(&saved, binding.server()) {
                    store.write(name, &without_server(saved, binding.server()))?;
                    return Ok(());
                }
                self.ended = end(login, &saved, cluster).await;
                kept = saved.client_secret.is_some().then(|| SavedLogin {
                    client_secret: saved.client_secret.clone(),
                    issuer: saved.issuer.clone(),
                    servers: saved.servers.clone(),
                    keyring: saved.keyring,
                    ..SavedLogin::default()
                });
            }
            Ok(None) => self.was_over = true,
            Err(error @ store::Error::OtherBinding { .. }) => {
                let saved = store.read(name)?.unwrap_or_default();
                let is_of_issuer = binding.is_issuer_of(&saved);
                // An earlier logout may have kept it for other servers.
                if !flags.forget && saved.issuer.is_some() && is_of_issuer {
                    self.was_over = true;
                    self.others.clear();
                    return Ok(());
                }
                if !flags.forget {
                    return Err(error.into());
                }
                if !self.others.is_empty() {
                    self.goes_on = Some((name.to_owned(), saved.servers));
                    self.others.clear();
                    return Ok(());
                }
                self.ended = match login {
                    Login::Oidc(_) | Login::Ibm(_) if is_of_issuer => {
                        end(login, &saved, cluster).await
                    }
                    // No other server may get its token.
                    _ => Err(error.into()),
                };
            }
            Err(error) => self.ended = Err(error.into()),
        }
        let is_unused = flags.forget && self.others.is_empty();
        match kept.filter(|_| !is_unused) {
            Some(kept) => store.write(name, &kept)?,
            None => {
                store.remove(name)?;
            }
        }
        if is_unused {
            store.forget_kubeconfigs(name);
        }
        Ok(())
    }
}

impl Outcome {
    /// The line that tells what became of the login of `user`.
    fn line(&self, user: &str) -> String {
        let user = printable(user);
        match &self.goes_on {
            Some((name, servers)) => format!(
                "The saved login {} of {user} is for {}, and goes on\n",
                printable(name),
                printable(&servers.join(", "))
            ),
            None if self.was_over => format!("{user} was logged out already\n"),
            None => format!("Logged out {user}\n"),
        }
    }

    /// Whether others need the login after the logout from the API server `here`.
    fn is_needed(&mut self, saved: &SavedLogin, here: Option<&str>) -> bool {
        let mut is_needed = false;
        // Each is asked, so that its line is right.
        for other in &mut self.others {
            is_needed |= other.needs(saved, here);
        }
        is_needed
    }
}

/// Ends a session at its server.
async fn end(login: &Login, saved: &SavedLogin, cluster: &Cluster) -> anyhow::Result<()> {
    match login {
        Login::Openshift(flags) => {
            if let Some(token) = &saved.token {
                if object_name(token).is_none() {
                    tracing::info!(
                        "the token belongs to no session that could be ended; it is valid until it \
                         expires"
                    );
                    return Ok(());
                }
                let authority = flags.files.oauth_certificate_authority.as_deref();
                // Also succeeds for a session that has ended.
                Access::new(cluster, authority).revoke(token).await?;
            }
        }
        Login::Oidc(flags) => {
            if let Some(refresh) = &saved.refresh_token {
                let client = Client::of_flags(flags)?;
                let metadata = client.metadata().await?;
                let secret = saved.client_secret.as_ref();
                if !client.revoke(&metadata, secret, refresh).await? {
                    tracing::info!(
                        "the issuer has no endpoint to revoke a token; the session lasts until it expires"
                    );
                }
            }
        }
        // The API key or pod token may be in use elsewhere.
        Login::Ibm(_) => {}
    }
    Ok(())
}
