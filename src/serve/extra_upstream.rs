//! [`ExtraUpstream`]: a server beside the API server, which gets a credential of the same user.

use std::sync::Arc;

use super::{target_source::TargetSource, workers};
use crate::{
    credential::Cache,
    error::BoxError,
    kubeconfig::{Login, Target},
    proxy::{ExtraRoute, RouteDestination},
    upstream::Upstream,
};

/// Which credential of the user a server gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteCredential {
    /// The one that the API server gets, if it is no client certificate.
    OfApiServer,
    /// An access token for IBM Cloud's services.
    IbmCloud,
}

/// See the module.
#[derive(Clone)]
pub struct ExtraUpstream {
    route: Arc<ExtraRoute>,
    credential: RouteCredential,
}

impl ExtraUpstream {
    /// Leads from the path `prefix` to `upstream`. `context` is the one whose user it is, by its name.
    ///
    /// # Errors
    /// The server's name is not one that a certificate can be verified for.
    pub fn new(
        prefix: &str,
        context: Option<&str>,
        upstream: Upstream,
        credential: RouteCredential,
    ) -> Result<Self, BoxError> {
        let upstreams = one_per_worker(upstream)?;
        let context = context.map(str::to_owned);
        let route = ExtraRoute::new(prefix.to_owned(), context, upstreams);
        Ok(Self {
            route: Arc::new(route),
            credential,
        })
    }

    /// The path that leads there.
    #[must_use]
    pub fn route(&self) -> &Arc<ExtraRoute> {
        &self.route
    }

    /// Returns where requests go whose user is that of `target`. `own` is the credential that the API
    /// server gets.
    ///
    /// # Errors
    /// The user has no credential that the server could get.
    pub(super) fn destination(
        &self,
        source: &dyn TargetSource,
        target: &Target,
        own: &Arc<Cache>,
    ) -> Result<RouteDestination, BoxError> {
        let of_cloud = self.check(source, target)?;
        Ok(RouteDestination {
            route: Arc::clone(&self.route),
            has_own_credential: of_cloud.is_some(),
            credentials: of_cloud.unwrap_or_else(|| Arc::clone(own)),
        })
    }

    /// Checks that the user of `target` has a credential for the server, and returns it if it is another
    /// one than the API server's.
    ///
    /// # Errors
    /// Those of making the destination of a request.
    pub fn check(
        &self,
        source: &dyn TargetSource,
        target: &Target,
    ) -> Result<Option<Arc<Cache>>, BoxError> {
        let prefix = self.route.prefix();
        if self.credential == RouteCredential::IbmCloud {
            let found = source.cloud_credentials(target)?;
            return match found {
                Some(found) => Ok(Some(found)),
                None => Err(format!(
                    "route {prefix}: the user has no login at IBM Cloud, whose access token this server \
                     takes; give --ibm-cluster, or a context that `kubegate login ibm` has written"
                )
                .into()),
            };
        }
        let user = &target.user;
        if user.certificate.is_some() && matches!(user.login, Login::None) {
            return Err(format!(
                "route {prefix}: the user's credential is a client certificate, which is shown to the API \
                 server alone; give a context with a token, or leave the route out"
            )
            .into());
        }
        Ok(None)
    }

    /// Whether the context of this name has the route.
    pub(super) fn is_of(&self, context: Option<&str>) -> bool {
        let own = self.route.context();
        own.is_none() || own == context
    }
}

/// Returns an upstream with connections of its own for each worker.
pub(super) fn one_per_worker(first: Upstream) -> Result<Arc<[Arc<Upstream>]>, BoxError> {
    let mut upstreams = Vec::with_capacity(workers::count());
    for _ in 1..workers::count() {
        upstreams.push(Arc::new(first.with_own_connections()?));
    }
    upstreams.push(Arc::new(first));
    Ok(upstreams.into())
}
