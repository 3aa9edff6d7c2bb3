//! A further address of a control plane.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, Response};
use tokio_util::sync::CancellationToken;

use super::router::Plane;
use crate::demo::request_body::RequestBody;
use crate::demo::{
    Error,
    certificates::Authority,
    server::{self, Body, Server, Service},
};

/// Where a control plane listens beside its first address. It closes with it.
#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Door {
    pub(crate) async fn open(
        plane: &Arc<Plane>,
        authority: &Authority,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let (listener, address) = server::listen().await?;
        let connections = Arc::<AtomicUsize>::default();
        let counted = Counted {
            plane: plane.clone(),
            connections: connections.clone(),
        };
        let acceptor = server::acceptor(authority, &[])?;
        tokio::spawn(Server::new(acceptor, Arc::new(counted)).run(listener, stop));
        Ok(Self {
            address,
            connections,
        })
    }

    /// Its URL, by IP address.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// How many connections came in here.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

struct Counted {
    plane: Arc<Plane>,
    connections: Arc<AtomicUsize>,
}

impl Service for Counted {
    fn admits(&self) -> bool {
        self.connections.fetch_add(1, Ordering::Relaxed);
        true
    }

    async fn answer(self: Arc<Self>, request: Request<RequestBody>) -> Option<Response<Body>> {
        self.plane.clone().answer(request).await
    }
}
