//! Chooses the source for a user of the kubeconfig.

use std::{sync::Arc, time::Duration};

use http::uri::Scheme;

use super::{
    Cache, CommandContext, Error, Source, saved_login,
    sources::{
        anonymous::Anonymous,
        client_cert::{ClientCert, WithCertificate},
        exec::Exec,
        ibm_iam::{self, IbmKubeconfigUser},
        oidc::Oidc,
        openshift,
        static_header::StaticHeader,
        token_file::TokenFile,
        token_request::TokenRequest,
        token_secret::TokenSecret,
    },
};
use crate::{
    kubeconfig::{Cluster, Login, Target},
    secret::Secret,
    settings::{self, ServiceAccountFlags},
};

/// Creates the cache for the user that the kubeconfig and flags choose. Fields and files are
/// checked at once, so that mistakes show at the start. A plugin runs when it is needed, for at
/// most `exec_timeout` (`--exec-timeout`; zero means without limit).
///
/// # Errors
/// A certificate and key that cannot be read or do not match, a token file without fallback that
/// cannot be used, or a token or password that cannot be sent.
pub fn from_user(target: &Target, exec_timeout: Option<Duration>) -> Result<Arc<Cache>, Error> {
    let user = &target.user;
    let name = user.name.as_deref();
    let context = || CommandContext::from(target.context_ref.clone());
    let login: Option<Arc<dyn Source>> = match &user.login {
        Login::None => None,
        Login::Token(token) => Some(token_source(target, token)?),
        Login::TokenFile { path, fallback } => {
            let source = TokenFile::new(path.clone(), fallback.as_ref())?;
            Some(Arc::new(source))
        }
        Login::Basic { username, password } => {
            Some(Arc::new(StaticHeader::basic(name, username, password)?))
        }
        Login::Oidc(config) if IbmKubeconfigUser::matches(config) => Some(Arc::new(
            IbmKubeconfigUser::new(config.clone(), &target.cluster)?,
        )),
        Login::Oidc(config) => Some(Arc::new(Oidc::new(config.clone(), context())?)),
        Login::Exec(config) => Some(match settings::Login::in_process(config) {
            Some(login) => saved_login::source(&login, target.login_cluster(), &context())?,
            None => Arc::new(Exec::new(config, &target.cluster, exec_timeout)),
        }),
    };
    let certificate = match &user.certificate {
        Some(pair) => Some(ClientCert::new(pair.clone())?),
        None => None,
    };
    let source: Arc<dyn Source> = match (certificate, login) {
        (Some(certificate), Some(login)) => Arc::new(WithCertificate::new(certificate, login)),
        (Some(certificate), None) => Arc::new(certificate),
        (None, Some(login)) => login,
        (None, None) => Arc::new(Anonymous),
    };
    Ok(Cache::new(source))
}

/// The source for a token in the kubeconfig. The API server says when the token of an `OpenShift`
/// session expires.
fn token_source(target: &Target, token: &Secret) -> Result<Arc<dyn Source>, Error> {
    let is_https = target.login_cluster().server.scheme() == Some(&Scheme::HTTPS);
    Ok(if is_https && is_session(token) {
        let access = openshift::Access::new(target.login_cluster(), None);
        Arc::new(openshift::SavedSession::of_kubeconfig(access, token)?)
    } else {
        let user = target.user.name.as_deref();
        Arc::new(StaticHeader::bearer(user, token)?)
    })
}

/// Creates the cache for access tokens for IBM Cloud's services, as the user of `target`; `None` for a user
/// without a login there.
///
/// # Errors
/// There is no root credential, or a URL is invalid.
pub fn of_ibm_cloud(target: &Target) -> Result<Option<Arc<Cache>>, Error> {
    let chain = ibm_iam::cloud_chain(&target.user.login, target.login_cluster())?;
    Ok(chain.map(|chain| Cache::new(ibm_iam::cloud_access(chain))))
}

fn is_session(token: &Secret) -> bool {
    token.expose().starts_with(openshift::TOKEN_PREFIX)
}

/// Creates the cache for the service account that `flags` choose. Its tokens are requested from the
/// API server with `base`, the user's own credential. Without a service account this is `base`.
///
/// # Errors
/// A server without https, or a certificate authority that cannot be read.
pub fn as_service_account(
    cluster: &Cluster,
    flags: &ServiceAccountFlags,
    base: Arc<Cache>,
) -> Result<Arc<Cache>, Error> {
    let source: Arc<dyn Source> = if let Some(account) = &flags.service_account {
        let audiences = &flags.service_account_audience;
        let lifetime = flags.service_account_lifetime;
        let source = TokenRequest::new(cluster, base, account, audiences, lifetime)?;
        Arc::new(source)
    } else if let Some(secret) = &flags.service_account_secret {
        Arc::new(TokenSecret::new(cluster, base, secret)?)
    } else {
        return Ok(base);
    };
    Ok(Cache::new(source))
}

/// Whether [`from_user`] would create the same source for both targets, so that the source for
/// `before` can be kept.
#[must_use]
pub fn is_same_source(before: &Target, now: &Target) -> bool {
    let user = &now.user;
    let asks_about_cluster = match &user.login {
        Login::Exec(config) => {
            config.provide_cluster_info || settings::Login::in_process(config).is_some()
        }
        Login::Token(token) => is_session(token),
        _ => false,
    };
    before.user.is_configured_as(user)
        && !(asks_about_cluster
            && (&before.cluster, before.login_cluster()) != (&now.cluster, now.login_cluster()))
}

#[cfg(test)]
mod tests;
