//! An address that a control plane listens on. It has one, and vendors add private endpoints.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::api_server::ApiServer;
use crate::demo::{
    certificates::Authority,
    error::Error,
    request_body::RequestBody,
    server::{self, Body, Server, Service},
};

/// A listener of a control plane. It stops when the control plane does.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Listener {
    /// Accepts connections of a bound socket until `stop` is cancelled.
    pub(super) fn start(
        (socket, address): (TcpListener, SocketAddr),
        api_server: &Arc<ApiServer>,
        authority: &Authority,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let connections = Arc::<AtomicUsize>::default();
        let service = CountingService {
            api_server: api_server.clone(),
            connections: connections.clone(),
        };
        let acceptor = server::acceptor(authority, &[])?;
        tokio::spawn(Server::new(acceptor, Arc::new(service)).run(socket, stop));
        Ok(Self {
            address,
            connections,
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL by IP address.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// How many connections it accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

struct CountingService {
    api_server: Arc<ApiServer>,
    connections: Arc<AtomicUsize>,
}

impl Service for CountingService {
    fn accepts_connection(&self) -> bool {
        self.connections.fetch_add(1, Ordering::Relaxed);
        true
    }

    async fn respond(self: Arc<Self>, request: Request<RequestBody>) -> Option<Response<Body>> {
        self.api_server.clone().respond(request).await
    }
}
