//! [`Switch`]: where requests go, and as whom, may change while the proxy runs.
//!
//! The last layers are built for one [`Destination`] and replaced as a whole, so that nobody
//! goes to one server as the user of another. A request keeps to its end what it met here.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use http::Request;
use hyper::body::Incoming;
use tower::Service;

use super::{Drain, Way, impersonate, way};
use crate::{
    credential::Cache, kubeconfig::Impersonation, settings::ClientCredentials, upstream::Upstream,
};

/// One API server, and who we are there.
#[derive(Clone)]
pub struct Destination {
    /// Whom to act as.
    pub impersonation: Impersonation,
    /// Our own credential.
    pub credentials: Arc<Cache>,
    /// The API server.
    pub upstream: Arc<Upstream>,
}

/// Leads every request to the destination that stands when it comes. Clones are one switch.
#[derive(Clone)]
pub struct Switch(Arc<Points>);

struct Points {
    way: ArcSwap<Way>,
    client_credentials: ClientCredentials,
    drain: Drain,
}

impl Switch {
    /// A switch that leads to `destination`. Its watches and tunnels heed `drain`.
    ///
    /// # Errors
    /// An identity to act as that cannot be sent in headers.
    pub fn new(
        destination: &Destination,
        client_credentials: ClientCredentials,
        drain: Drain,
    ) -> Result<Self, impersonate::Error> {
        let way = way(destination, client_credentials, &drain)?;
        Ok(Self(Arc::new(Points {
            way: ArcSwap::from_pointee(way),
            client_credentials,
            drain,
        })))
    }

    /// Leads requests to `destination` from now on; those under way go on as they began.
    ///
    /// # Errors
    /// As for [`Switch::new`]; then nothing changes.
    pub fn turn(&self, destination: &Destination) -> Result<(), impersonate::Error> {
        let Points {
            client_credentials,
            drain,
            ..
        } = &*self.0;
        let way = way(destination, *client_credentials, drain)?;
        self.0.way.store(Arc::new(way));
        Ok(())
    }
}

/// The service that a [`Switch`] turns.
#[derive(Clone)]
pub(super) struct Switched(pub(super) Switch);

impl Service<Request<Incoming>> for Switched {
    type Response = <Way as Service<Request<Incoming>>>::Response;
    type Error = <Way as Service<Request<Incoming>>>::Error;
    type Future = <Way as Service<Request<Incoming>>>::Future;

    /// The layers behind are always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let mut way = Way::clone(&self.0.0.way.load());
        way.call(request)
    }
}
