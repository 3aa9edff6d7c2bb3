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
    /// The API server: an upstream for each thread that serves requests.
    pub upstreams: Arc<[Arc<Upstream>]>,
}

/// Leads every request to the destination that stands when it comes. Clones are one switch.
#[derive(Clone)]
pub struct Switch(Arc<Points>);

struct Points {
    /// One for each upstream of the destination; all of them turn at once.
    ways: ArcSwap<Vec<Way>>,
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
        let ways = ways(destination, client_credentials, &drain)?;
        Ok(Self(Arc::new(Points {
            ways: ArcSwap::from_pointee(ways),
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
        let now = ways(destination, *client_credentials, drain)?;
        self.0.ways.store(Arc::new(now));
        Ok(())
    }

    /// The service that leads to the destination's upstream with this number.
    pub(super) fn switched(self, lane: usize) -> Switched {
        Switched { switch: self, lane }
    }
}

fn ways(
    destination: &Destination,
    client_credentials: ClientCredentials,
    drain: &Drain,
) -> Result<Vec<Way>, impersonate::Error> {
    let upstreams = destination.upstreams.iter();
    upstreams
        .map(|upstream| way(destination, upstream, client_credentials, drain))
        .collect()
}

/// The service that a [`Switch`] turns.
#[derive(Clone)]
pub(super) struct Switched {
    switch: Switch,
    lane: usize,
}

impl Service<Request<Incoming>> for Switched {
    type Response = <Way as Service<Request<Incoming>>>::Response;
    type Error = <Way as Service<Request<Incoming>>>::Error;
    type Future = <Way as Service<Request<Incoming>>>::Future;

    /// The layers behind are always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let mut way = Way::clone(&self.switch.0.ways.load()[self.lane]);
        way.call(request)
    }
}
