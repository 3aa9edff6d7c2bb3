//! [`Switch`]: where requests go, and as whom, may change while the proxy runs.
//!
//! The last layers are built for one [`Destination`] and replaced as a whole, so that nobody
//! goes to one server as the user of another. A request keeps to its end what it met here.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use tower::Service;

use super::{Body, Drain, Error, Way, impersonate, way};
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

/// Finds a destination that is not known at the start, and turns the switch there.
pub trait Seek: Send + Sync + 'static {
    /// Ends when it is found. A request waits for that.
    fn seek(self: Arc<Self>) -> Seeking;
}

/// A future that a [`Seek`] returns; its error says why nothing was found.
pub type Seeking = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// Leads every request to the destination that stands when it comes. Clones are one switch.
#[derive(Clone)]
pub struct Switch(Arc<Points>);

struct Points {
    /// One for each upstream of the destination; all of them turn at once. None before there is a
    /// destination.
    ways: ArcSwap<Vec<Way>>,
    seek: Option<Arc<dyn Seek>>,
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
            seek: None,
            client_credentials,
            drain,
        })))
    }

    /// A switch to a destination that `seek` is to find, and to be turned there. `impersonation`
    /// is whom to act as there.
    ///
    /// # Errors
    /// As for [`Switch::new`].
    pub fn to_be_found(
        seek: Arc<dyn Seek>,
        impersonation: &Impersonation,
        client_credentials: ClientCredentials,
        drain: Drain,
    ) -> Result<Self, impersonate::Error> {
        impersonate::Impersonate::layer(impersonation)?;
        Ok(Self(Arc::new(Points {
            ways: ArcSwap::from_pointee(Vec::new()),
            seek: Some(seek),
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

/// An answer of a way that is still to be found.
type Sought = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

impl Service<Request<Incoming>> for Switched {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Either<<Way as Service<Request<Incoming>>>::Future, Sought>;

    /// The layers behind are always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if let Some(way) = self.switch.0.ways.load().get(self.lane) {
            return Either::Left(way.clone().call(request));
        }
        let Self { switch, lane } = self.clone();
        Either::Right(Box::pin(async move {
            if let Some(seek) = &switch.0.seek {
                Arc::clone(seek).seek().await?;
            }
            let way = switch.0.ways.load().get(lane).cloned();
            way.ok_or(Error::NowhereToGo)?.call(request).await
        }))
    }
}
