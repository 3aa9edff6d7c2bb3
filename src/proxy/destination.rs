//! [`Destination`]: one API server, who we are there, and the layers built for them.

use std::sync::Arc;

use tower::ServiceBuilder;

use super::{
    app_origin::{AppHeaders, AppHeadersLayer},
    authorize::{Authorize, AuthorizeLayer},
    forward::{Drain, Forward},
    head_filter::HeadFilterService,
    impersonate::{self, Impersonate},
};
use crate::{
    credential::Cache, kubeconfig::Impersonation, settings::ClientCredentials, upstream::Upstream,
};

/// One API server, and who we are there.
#[derive(Clone)]
pub struct Destination {
    /// The identity to impersonate.
    pub impersonation: Impersonation,
    /// Our own credential.
    pub credentials: Arc<Cache>,
    /// The API server: one upstream for each worker.
    pub upstreams: Arc<[Arc<Upstream>]>,
}

/// The innermost layers, built for one destination.
pub(super) type DestinationService = AppHeaders<HeadFilterService<Impersonate, Authorize<Forward>>>;

/// Builds the innermost layers, in the order in which a request passes them.
pub(super) fn destination_service(
    destination: &Destination,
    upstream: &Arc<Upstream>,
    client_credentials: ClientCredentials,
    drain: &Drain,
) -> Result<DestinationService, impersonate::Error> {
    let Destination {
        impersonation,
        credentials,
        ..
    } = destination;
    Ok(ServiceBuilder::new()
        // Apps compare the origin of a page with the API server's, whose `Host` they get.
        .layer(AppHeadersLayer::new(upstream.origin().clone()))
        // Impersonation is checked before our credential is added, so a client cannot choose an
        // identity with it.
        .layer(Impersonate::layer(impersonation)?)
        // Exactly one credential, refreshed and replayed once on a 401.
        .layer(AuthorizeLayer::new(
            credentials.clone(),
            client_credentials,
            upstream.is_plaintext(),
        ))
        .service(Forward::new(upstream.clone(), drain.clone())))
}
