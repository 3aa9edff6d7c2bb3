//! The login at an OIDC issuer: with a browser here or elsewhere, with a password, or without a person.

mod authorization;
mod device;
mod grant;
mod issuer;
mod keyboard;
mod qr_code;
mod redirect;
mod request;

use std::{ffi::OsString, path::PathBuf, sync::Arc};

pub use request::{IssuerRequest, LoginRequest};

use self::{
    issuer::Issuer,
    request::{is_of_other_client, secret_of_kubeconfig},
};
use super::{
    Error,
    login_name::{is_known_of_client, refuse_login_in_use},
    new_context::{
        chosen_names, exec_entry, oidc_identity, planned_login, warn_of_orphan, warn_of_replaced,
    },
    save::{handle_signals, save_login},
    uninterrupted::uninterrupted,
};
use crate::{
    credential::{
        self, exec_credential,
        oidc::{Client, Metadata},
        secret_file,
        store::{LoginBinding, SavedLogin, Store},
    },
    kubeconfig::{
        Target,
        edit::{
            ExecEntry, Naming, NewCluster, NewContext, add_context, files_to_edit, may_add_context,
        },
    },
    secret::Secret,
    settings::OidcFlags,
    signals::Signals,
};

/// A completed login.
pub struct LoggedIn {
    /// The name under which it is saved.
    pub login: String,
    /// The context that was written, unless the request names only a login to renew.
    pub context: Option<WrittenContext>,
}

/// A context for the user of the login, which is now the current one.
pub struct WrittenContext {
    /// URL of the API server.
    pub server: String,
    /// The user's name in the cluster.
    pub user: String,
    /// Name of the context.
    pub name: String,
    /// The kubeconfig.
    pub file: PathBuf,
}

/// Logs in, asks the cluster who the user is, saves the tokens, and writes the context.
/// Changes nothing if any of that fails.
///
/// # Errors
/// A request without a cluster or an issuer; a refusal by the issuer or the cluster; a state folder or
/// kubeconfig that cannot be written.
pub async fn log_in(
    request: &LoginRequest,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<LoggedIn, Error> {
    let target = request.target(env)?;
    let mut flags = request.issuer_flags(target.as_ref())?;
    if let Some(name) = &request.login {
        refuse_login_in_use(name, &flags, request.kubeconfig.as_deref(), env)?;
    }
    grant::check(&flags.grant)?;
    let store = Store::of_user(env).map_err(credential::Error::store)?;
    let mut saved = previous_login(&store, request, &flags, env)?;
    if let Some(target) = &target
        && saved.client_secret.is_none()
        && !is_of_other_client(target, &flags)?
    {
        saved.client_secret = secret_of_kubeconfig(target);
    }
    let secret = client_secret(request, &flags, &mut saved)?;
    if target.is_some() {
        may_add_context(&files_to_edit(request.kubeconfig.as_deref(), env)?)?;
    }
    let client = Client::of_flags(&flags)?;
    let metadata = client.metadata().await?;
    let issuer = Issuer {
        client: &client,
        metadata: &metadata,
        secret: secret.as_ref(),
        flags: &flags,
    };
    let granted = grant::obtain(&issuer, request, &store, env).await?;
    let tokens = granted.tokens;
    saved.refresh_token = None;
    saved.take(&tokens);
    if let Some(token) = &granted.machine {
        token.note_in(&mut saved);
    }
    saved.scope = granted.scope;
    saved.keyring = request.keyring || saved.keyring;

    let planned = match &target {
        Some(target) => {
            let token = tokens.id_token.as_ref();
            Some(plan_context(request, target, token, &store, &mut flags, env).await?)
        }
        None => None,
    };
    let planned = planned.map(Arc::new);
    let write = async |signals: &mut Signals| match planned.clone() {
        Some(new) => {
            let files = files_to_edit(request.kubeconfig.as_deref(), env)?;
            let written = uninterrupted(signals, move || add_context(&files, &new, true)).await?;
            Ok(Some(written))
        }
        None => Ok(None),
    };
    let binding = match &target {
        Some(target) => LoginBinding::of_cluster(&target.cluster),
        None => LoginBinding::default(),
    };
    let binding = binding
        .with_issuer(&flags.oidc_issuer_url)
        .with_client(&flags.oidc_client_id);
    let mut signals = handle_signals()?;
    let login = &flags.login;
    let written = save_login(&store, binding, login, &saved, false, &mut signals, write).await?;
    if let Some(written) = &written {
        let kubeconfig = request.kubeconfig.as_deref();
        warn_of_orphan(written, kubeconfig);
        warn_of_replaced(written, login, &store, kubeconfig, env);
    }
    if saved.refresh_token.is_none() && flags.grant.machine().is_none() {
        warn_of_end(&saved, &metadata);
    }
    Ok(LoggedIn {
        login: flags.login,
        context: planned.zip(written).map(|(new, written)| WrittenContext {
            server: new.cluster.server.clone(),
            user: new.username.clone(),
            name: written.context,
            file: written.current_in,
        }),
    })
}

/// Returns what an earlier login left under the same name. What is of another issuer or client, such as
/// the client's secret, is left out.
fn previous_login(
    store: &Store,
    request: &LoginRequest,
    flags: &OidcFlags,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<SavedLogin, Error> {
    let name = request.login.as_deref().unwrap_or(&flags.login);
    if name.is_empty() {
        return Ok(SavedLogin::default());
    }
    let saved = store.read(name).map_err(credential::Error::store)?;
    let issuer = LoginBinding::of_issuer(&flags.oidc_issuer_url);
    let saved = saved.filter(|saved| issuer.is_issuer_of(saved));
    let mut saved = saved.unwrap_or_default();
    let is_of_client = match &saved.client_id {
        Some(id) => *id == flags.oidc_client_id,
        // An earlier version saved it.
        None => is_known_of_client(name, flags, request.kubeconfig.as_deref(), env)?,
    };
    if !is_of_client {
        saved.client_secret = None;
    }
    Ok(saved)
}

/// Returns the client's secret, and sets the one to save. A login that reads its files for every token
/// saves none that is in a file.
fn client_secret(
    request: &LoginRequest,
    flags: &OidcFlags,
    saved: &mut SavedLogin,
) -> Result<Option<Secret>, Error> {
    if let Some(secret) = &request.issuer.client_secret {
        saved.client_secret = Some(secret.clone());
    }
    let given = request.issuer.client_secret_file.as_ref();
    if let Some(path) = given.or(flags.oidc_client_secret_file.as_ref()) {
        let secret = Some(secret_file::read("client secret", path)?);
        let is_read_again = flags.oidc_client_secret_file.is_some();
        saved.client_secret = if is_read_again { None } else { secret.clone() };
        return Ok(secret);
    }
    Ok(saved.client_secret.clone())
}

/// Asks the cluster who the token's user is, and names the context and the login accordingly.
async fn plan_context(
    request: &LoginRequest,
    target: &Target,
    token: Option<&Secret>,
    store: &Store,
    flags: &mut OidcFlags,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<NewContext, Error> {
    let user = credential::from_token(token.ok_or(Error::NoIdToken)?)?;
    let identity = credential::whoami(&target.cluster, user).await;
    let username = identity.map_err(Error::ClusterRefused)?.username;
    let mut chosen = chosen_names(&request.connection);
    chosen.context.clone_from(&target.context);
    let namespace = request.connection.namespace.clone();
    let server = target.cluster.url();
    let mut new = NewContext {
        chosen,
        naming: Naming::Oc {
            namespace: namespace.clone().unwrap_or_else(|| "default".to_owned()),
        },
        username,
        namespace,
        default_namespace: None,
        cluster: NewCluster::of(
            &target.cluster,
            server,
            request.connection.proxy_url.as_ref(),
        )?,
        exec: ExecEntry::default(),
        identity: oidc_identity(flags, request.login.as_deref()),
    };
    flags.login = match &request.login {
        Some(name) => name.clone(),
        None => planned_login(request.kubeconfig.as_deref(), "oidc", &new, store, env)?,
    };
    new.exec = exec_entry(flags.to_args(), request.exec_api_version);
    Ok(new)
}

fn warn_of_end(saved: &SavedLogin, metadata: &Metadata) {
    let end = saved.expires_at.map(exec_credential::timestamp);
    let why = if metadata.supports_offline_access() {
        "have the issuer allow the scope offline_access for this client"
    } else {
        "the issuer does not support the scope offline_access, so see its documentation for how a \
         client gets refresh tokens (--oidc-auth-request-extra-params)"
    };
    tracing::warn!(
        "the issuer gave no refresh token, so this login ends at {}; {why}",
        end.as_deref().unwrap_or("an unknown time")
    );
}
