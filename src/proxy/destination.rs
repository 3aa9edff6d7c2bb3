//! [`Destination`]: one API server, who we are there, and the layers built for them.

use std::sync::Arc;

use tower::ServiceBuilder;

use super::{
    app_origin::{AppHeaders, AppHeadersLayer},
    authorize::{Authorize, AuthorizeLayer, Receiver},
    extra_route::{ExtraRoute, RouteDestination, RouteHead},
    forward::{Drain, Forward},
    head_filter::{HeadFilterLayer, HeadFilterService},
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
    /// Other servers that get a credential of the same user.
    pub routes: Arc<[RouteDestination]>,
}

/// The innermost layers for all servers of one destination.
#[derive(Clone)]
pub(super) struct DestinationServices {
    pub(super) api: DestinationService,
    routes: Vec<(Arc<ExtraRoute>, RouteService)>,
}

impl DestinationServices {
    /// Builds the layers that send to the upstream number `worker` of each server.
    pub(super) fn new(
        destination: &Destination,
        worker: usize,
        client_credentials: ClientCredentials,
        drain: &Drain,
    ) -> Result<Self, impersonate::Error> {
        let upstream = &destination.upstreams[worker];
        let routes = destination.routes.iter().filter_map(|route| {
            let upstream = route.route.upstreams().get(worker)?;
            let service = route_service(route, upstream, client_credentials, drain);
            Some((Arc::clone(&route.route), service))
        });
        Ok(Self {
            api: destination_service(destination, upstream, client_credentials, drain)?,
            routes: routes.collect(),
        })
    }

    /// The layers that send to the server of a route, if this destination has it.
    pub(super) fn route(&self, route: &Arc<ExtraRoute>) -> Option<RouteService> {
        let mut routes = self.routes.iter();
        let found = routes.find(|(other, _)| Arc::ptr_eq(route, other));
        found.map(|(_, service)| service.clone())
    }
}

/// The innermost layers for the server of a route.
pub(super) type RouteService = HeadFilterService<RouteHead, Authorize<Forward>>;

fn route_service(
    destination: &RouteDestination,
    upstream: &Arc<Upstream>,
    client_credentials: ClientCredentials,
    drain: &Drain,
) -> RouteService {
    let receiver = Receiver::Route {
        has_own_credential: destination.has_own_credential,
    };
    ServiceBuilder::new()
        .layer(HeadFilterLayer::new(RouteHead(Arc::clone(
            &destination.route,
        ))))
        .layer(AuthorizeLayer::new(
            destination.credentials.clone(),
            client_credentials,
            receiver,
        ))
        .service(Forward::new(upstream.clone(), drain.clone()))
}

/// The innermost layers, built for one destination.
pub(super) type DestinationService = AppHeaders<HeadFilterService<Impersonate, Authorize<Forward>>>;

/// Builds the innermost layers, in the order in which a request passes them.
fn destination_service(
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
            Receiver::ApiServer {
                is_plaintext: upstream.is_plaintext(),
            },
        ))
        .service(Forward::new(upstream.clone(), drain.clone())))
}
