//! The login at an OIDC issuer: with a browser here or elsewhere, with a password, or without a person.

mod authorization;
mod device;
mod grant;
mod issuer;
mod keyboard;
mod qr_code;
mod redirect;
mod request;

use std::{ffi::OsString, path::PathBuf};

pub use request::{IssuerRequest, LoginRequest};

use self::{issuer::Issuer, request::secret_of_kubeconfig};
use super::{
    Error,
    login_name::{NameRequest, choose_login_name},
    new_context::{EntryNames, cluster_entry_name, new_context},
    save::save_login,
};
use crate::{
    credential::{
        self, exec_credential,
        oidc::{Client, Metadata},
        secret_file,
        store::{LoginBinding, SavedLogin, Store},
    },
    kubeconfig::{
        self, Target,
        edit::{NewContext, add_context, may_add_context},
    },
    secret::Secret,
    settings::OidcFlags,
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

/// A context before it is written.
struct PlannedContext {
    user: String,
    file: PathBuf,
    new: NewContext,
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
    grant::check(&flags.grant)?;
    let store = Store::of_user(env).map_err(credential::Error::store)?;
    let mut saved = previous_login(&store, request, &flags)?;
    if saved.client_secret.is_none() {
        saved.client_secret = target.as_ref().and_then(secret_of_kubeconfig);
    }
    let secret = client_secret(request, &flags, &mut saved)?;
    if target.is_some() {
        may_add_context(&kubeconfig::file_to_edit(
            request.kubeconfig.as_deref(),
            env,
        )?)?;
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
    saved.scope = granted.scope;
    saved.keyring = request.keyring || saved.keyring;

    let planned = match &target {
        Some(target) => {
            let token = tokens.id_token.as_ref();
            Some(plan_context(request, target, token, &store, &mut flags, env).await?)
        }
        None => None,
    };
    let write = async || match &planned {
        Some(planned) => Ok(add_context(&planned.file, &planned.new, true)?),
        None => Ok(()),
    };
    let binding = match &target {
        Some(target) => LoginBinding::of_cluster(&target.cluster),
        None => LoginBinding::default(),
    };
    let binding = binding.with_issuer(&flags.oidc_issuer_url);
    let file = planned.as_ref().map(|planned| planned.file.as_path());
    save_login(&store, binding, &flags.login, &saved, file, write).await?;
    if saved.refresh_token.is_none() && flags.grant.machine().is_none() {
        warn_of_end(&saved, &metadata);
    }
    Ok(LoggedIn {
        login: flags.login,
        context: planned.map(|planned| WrittenContext {
            server: planned.new.server,
            user: planned.user,
            name: planned.new.context,
            file: planned.file,
        }),
    })
}

/// Returns what an earlier login left under the same name. What another issuer gave, such as a client
/// secret, is left out.
fn previous_login(
    store: &Store,
    request: &LoginRequest,
    flags: &OidcFlags,
) -> Result<SavedLogin, Error> {
    let name = request.login.as_deref().unwrap_or(&flags.login);
    if name.is_empty() {
        return Ok(SavedLogin::default());
    }
    let saved = store.read(name).map_err(credential::Error::store)?;
    let issuer = LoginBinding::of_issuer(&flags.oidc_issuer_url);
    let saved = saved.filter(|saved| issuer.is_issuer_of(saved));
    Ok(saved.unwrap_or_default())
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
) -> Result<PlannedContext, Error> {
    let user = credential::from_token(token.ok_or(Error::NoIdToken)?)?;
    let identity = credential::whoami(&target.cluster, user).await;
    let username = identity.map_err(Error::ClusterRefused)?.username;
    let cluster = match &target.cluster.name {
        Some(name) => name.clone(),
        None => cluster_entry_name(&target.cluster),
    };
    let user = format!("{username}/{cluster}");
    let namespace = request.connection.namespace.clone();
    let context = target.context.clone().unwrap_or_else(|| {
        let namespace = namespace.as_deref().unwrap_or("default");
        format!("{namespace}/{cluster}/{username}")
    });
    match &request.login {
        Some(name) => flags.login.clone_from(name),
        // The context's login stays, unless the context was another user's.
        None if !flags.login.is_empty() && target.user.name.as_ref() == Some(&user) => {}
        None => {
            let name = NameRequest {
                kubeconfig: request.kubeconfig.as_deref(),
                kind: "oidc",
                user: Some(&user),
                preferred: &user,
            };
            flags.login = choose_login_name(store, &name, env);
        }
    }
    let names = EntryNames {
        context,
        cluster,
        user,
    };
    let new = new_context(
        names,
        namespace,
        &target.cluster,
        target.cluster.url(),
        request.connection.proxy_url.as_ref(),
        (flags.to_args(), request.exec_api_version),
    )?;
    Ok(PlannedContext {
        file: kubeconfig::file_to_edit(request.kubeconfig.as_deref(), env)?,
        user: username,
        new,
    })
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
