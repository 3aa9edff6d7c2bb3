//! [`CloudAccess`]: the source of access tokens for IBM Cloud's services.

use std::{path::PathBuf, sync::Arc};

use http::{HeaderName, HeaderValue};

use super::{
    Chain, RootOptions,
    chain::Access,
    error::ibm_error,
    kubeconfig::IbmKubeconfigUser,
    login::{chain, chain_from, default_root},
};
use crate::{
    credential::{
        Credential, Error, Fetch, Source,
        protocol::{authorization, jwt},
    },
    kubeconfig::{Cluster, Login},
    settings,
};

/// The header by which the container service gets tokens for the kubeconfigs that it makes.
const REFRESH_TOKEN: HeaderName = HeaderName::from_static("x-auth-refresh-token");

/// See the module.
pub(super) struct CloudAccess(Chain);

/// Returns the chain of a user at `cluster` whose login is at IBM Cloud; `None` for another user.
///
/// # Errors
/// There is no root credential, or a URL is invalid.
pub(in crate::credential) fn cloud_chain(
    login: &Login,
    cluster: &Cluster,
) -> Result<Option<Chain>, Error> {
    match login {
        Login::Exec(config) => match settings::Login::in_process(config) {
            Some(settings::Login::Ibm(flags)) => chain(&flags, cluster, None).map(Some),
            _ => Ok(None),
        },
        Login::Oidc(config) if IbmKubeconfigUser::matches(config) => {
            let (root, endpoints) = default_root(RootOptions::default(), None, None)?;
            chain_from((root, &endpoints), None, None).map(Some)
        }
        _ => Ok(None),
    }
}

/// Returns the source of access tokens that `chain` obtains.
#[must_use]
pub fn cloud_access(chain: Chain) -> Arc<dyn Source> {
    Arc::new(CloudAccess(chain))
}

impl CloudAccess {
    async fn obtain(&self) -> Result<Credential, Error> {
        let Access { token, refresh, .. } = self.0.access().await?;
        let subject = || format!("the access token of {}", self.0.subject());
        let claims = jwt::claims(token.expose())
            .ok_or_else(|| ibm_error(format!("{} is not a JWT with an expiry", subject())))?;
        let header = refresh.and_then(|refresh| {
            let mut value = HeaderValue::try_from(refresh.expose()).ok()?;
            value.set_sensitive(true);
            Some((REFRESH_TOKEN, value))
        });
        Ok(Credential {
            authorization: Some(authorization::bearer_of(token.expose(), subject)?),
            header,
            expires_at: Some(claims.expires_at),
            ..Credential::default()
        })
    }
}

impl Source for CloudAccess {
    fn subject(&self) -> String {
        self.0.subject()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.obtain())
    }

    fn files(&self) -> Vec<PathBuf> {
        self.0.files()
    }
}
