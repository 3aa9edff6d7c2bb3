//! [`ReloadHandle`]: replaces where requests go, and as whom, while the proxy runs.
//!
//! The innermost layers are built for one [`Destination`] and replaced as a whole, so that no
//! request reaches one server with the credential of another. A request keeps the layers that
//! it began with until its end.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use tower::Service;

use super::{
    Body, Error,
    destination::{Destination, DestinationService, DestinationServices},
    extra_route::ExtraRoute,
    forward::Drain,
    impersonate::{self, Impersonate},
    refusal::Refusal,
};
use crate::{kubeconfig::Impersonation, settings::ClientCredentials};

/// Resolves a destination that is not known at the start, and reloads the handle with it.
pub trait Resolver: Send + Sync + 'static {
    /// Returns once the destination is known. The request that asked waits for that.
    fn resolve(self: Arc<Self>) -> ResolveFuture;

    /// Why the last attempt failed, if it did.
    fn failure(&self) -> Option<String> {
        None
    }
}

/// The future of [`Resolver::resolve`]; its error says why there is no destination yet.
pub type ResolveFuture = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Sends every request to the destination of the last reload. Clones share their state.
#[derive(Clone)]
pub struct ReloadHandle(Arc<ReloadState>);

/// A [`ReloadHandle`] that its own resolver can keep.
#[derive(Clone)]
pub struct WeakReloadHandle(Weak<ReloadState>);

impl WeakReloadHandle {
    /// Returns the handle, while it exists elsewhere.
    #[must_use]
    pub fn upgrade(&self) -> Option<ReloadHandle> {
        self.0.upgrade().map(ReloadHandle)
    }
}

/// Among the extensions of a request that goes elsewhere than the others, what leads there.
#[derive(Clone, Default)]
pub(super) struct Chosen {
    /// The handle of the context, if there are several.
    pub(super) handle: Option<ReloadHandle>,
    /// The route, if it does not lead to the API server.
    pub(super) route: Option<Arc<ExtraRoute>>,
}

struct ReloadState {
    /// One for each upstream of the destination; a reload replaces all of them at once. Empty
    /// until there is a destination.
    services: ArcSwap<Vec<DestinationServices>>,
    resolver: Option<Arc<dyn Resolver>>,
    client_credentials: ClientCredentials,
    drain: Drain,
}

impl ReloadHandle {
    /// Returns a handle that leads to `destination`. Its watches and tunnels end with `drain`.
    ///
    /// # Errors
    /// The identity to impersonate cannot be sent in headers.
    pub fn new(
        destination: &Destination,
        client_credentials: ClientCredentials,
        drain: Drain,
    ) -> Result<Self, impersonate::Error> {
        let services = services(destination, client_credentials, &drain)?;
        Ok(Self(Arc::new(ReloadState {
            services: ArcSwap::from_pointee(services),
            resolver: None,
            client_credentials,
            drain,
        })))
    }

    /// Returns a handle that leads nowhere, for a proxy each of whose requests chooses a context.
    #[must_use]
    pub fn nowhere(client_credentials: ClientCredentials, drain: Drain) -> Self {
        Self(Arc::new(ReloadState {
            services: ArcSwap::from_pointee(Vec::new()),
            resolver: None,
            client_credentials,
            drain,
        }))
    }

    /// Returns a handle without a destination: `resolver` is asked for one when a request comes,
    /// and reloads the handle. `impersonation` is the identity to impersonate there.
    ///
    /// # Errors
    /// As for [`ReloadHandle::new`].
    pub fn with_resolver(
        resolver: Arc<dyn Resolver>,
        impersonation: &Impersonation,
        client_credentials: ClientCredentials,
        drain: Drain,
    ) -> Result<Self, impersonate::Error> {
        Impersonate::layer(impersonation)?;
        Ok(Self(Arc::new(ReloadState {
            services: ArcSwap::from_pointee(Vec::new()),
            resolver: Some(resolver),
            client_credentials,
            drain,
        })))
    }

    /// Sends requests to `destination` from now on. Requests in flight are not touched.
    ///
    /// # Errors
    /// As for [`ReloadHandle::new`]; nothing changes then.
    pub fn reload(&self, destination: &Destination) -> Result<(), impersonate::Error> {
        let ReloadState {
            client_credentials,
            drain,
            ..
        } = &*self.0;
        let services = services(destination, *client_credentials, drain)?;
        self.0.services.store(Arc::new(services));
        Ok(())
    }

    /// Whether there is a destination.
    #[must_use]
    pub fn has_destination(&self) -> bool {
        !self.0.services.load().is_empty()
    }

    /// Why the destination could not be resolved, if the last attempt failed.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.0.resolver.as_ref()?.failure()
    }

    /// Returns a handle that does not keep the state.
    #[must_use]
    pub fn downgrade(&self) -> WeakReloadHandle {
        WeakReloadHandle(Arc::downgrade(&self.0))
    }

    /// Returns the service that sends to the destination's upstream number `worker`.
    pub(super) fn service(self, worker: usize) -> ReloadService {
        ReloadService {
            handle: self,
            worker,
        }
    }
}

fn services(
    destination: &Destination,
    client_credentials: ClientCredentials,
    drain: &Drain,
) -> Result<Vec<DestinationServices>, impersonate::Error> {
    let workers = 0..destination.upstreams.len();
    workers
        .map(|worker| DestinationServices::new(destination, worker, client_credentials, drain))
        .collect()
}

/// The service whose inside a [`ReloadHandle`] replaces.
#[derive(Clone)]
pub(super) struct ReloadService {
    handle: ReloadHandle,
    worker: usize,
}

/// The response to a request that waited for its destination, or goes to the server of a route.
type Resolved = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

impl Service<Request<Incoming>> for ReloadService {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<<DestinationService as Service<Request<Incoming>>>::Future, Resolved>;

    /// The layers inside are always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let chosen = request.extensions_mut().remove::<Chosen>();
        let (handle, route) = match chosen {
            None => (None, None),
            Some(chosen) => (chosen.handle, chosen.route),
        };
        let handle = handle.as_ref().unwrap_or(&self.handle);
        if route.is_none()
            && let Some(services) = handle.0.services.load().get(self.worker)
        {
            return Either::Left(services.api.clone().call(request));
        }
        let (handle, worker) = (handle.clone(), self.worker);
        Either::Right(Box::pin(async move {
            if let (false, Some(resolver)) = (handle.has_destination(), &handle.0.resolver) {
                Arc::clone(resolver).resolve().await?;
            }
            let services = handle.0.services.load().get(worker).cloned();
            let mut services = services.ok_or(Error::NoDestination)?;
            match route {
                None => services.api.call(request).await,
                Some(route) => match services.route(&route) {
                    Some(mut service) => service.call(request).await,
                    None => Err(not_of_context(&route).into()),
                },
            }
        }))
    }
}

fn not_of_context(route: &ExtraRoute) -> Refusal {
    let context = route.context().unwrap_or_default();
    Refusal::not_found(
        "route of another context",
        format!(
            "{} is a route of the context {context:?}, which is not served now",
            route.prefix()
        ),
    )
}
