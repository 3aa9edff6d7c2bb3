//! The connections to one API server under one identity, and how requests are sent on them.
//!
//! HTTP/2 is used where the server offers it: as many connections as the streams in flight need,
//! since a server limits the streams on each (to 100 on real API servers). Requests that stay
//! open use other connections than short ones, and large responses come over HTTP/1.1. A request
//! takes an open connection without waiting; where none has capacity, it joins a queue of the
//! [`Dispatcher`].

mod circuit_breaker;
mod connect;
mod connections;
mod dispatch;
mod health;
mod http1_connections;
mod http1_limit;
mod http2_connections;
mod key;
mod lease;
mod protocols;
mod queue;
mod reconnect;
mod response_body;
mod silence;
mod wait;

pub(super) use connect::Connectors;
pub use http1_limit::pool_count;
pub use response_body::{ResponseBody, ResponseBodyError};

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use tokio::time::Instant;

use super::{
    body::RequestBody,
    error::{Error, server_name},
    http1::{self, UpgradeFailure},
    timeouts::Timeouts,
    traffic_class::TrafficClass,
};
use dispatch::Dispatcher;
use http1_connections::X_FORWARDED_FOR;
use lease::Lease;

/// How often a request is sent at most, where a connection has closed or the server has refused it
/// before it was processed. Go's transport has the same limit.
const MAX_ATTEMPTS: usize = 7;

/// How often a safe request is sent again that the server may have begun to process. The request
/// itself may have broken the connection.
const MAX_REPLAYS: usize = 3;

/// The connections to one API server under one identity. Dropped, it lets the requests under way
/// end and opens nothing more.
pub(super) struct Pool(Arc<Dispatcher>);

impl Pool {
    pub(super) fn new(connectors: Connectors, address: Uri, timeouts: Timeouts) -> Self {
        Self(Dispatcher::new(connectors, address, timeouts))
    }

    /// Sends a request whose URI is absolute and that has no `Host`. It is sent once. Only a
    /// request that the server certainly did not process is sent again on another connection, and a
    /// safe one where the connection was closed or dead.
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
        host: &HeaderValue,
        class: TrafficClass,
    ) -> Result<Response<ResponseBody>, Error> {
        let began = Instant::now();
        let uri = request.uri().clone();
        let client_body = request.body().failure();
        let (mut attempt, mut replays) = (1, 0);
        loop {
            let mut lease = self.lease(class, began, request.headers()).await?;
            let failure = match lease.send(request, &uri, host).await {
                Ok(response) => {
                    return Ok(response.map(|body| ResponseBody::leased(body, lease)));
                }
                Err(failure) => failure,
            };
            let replay = failure.replayable.filter(|_| replays < MAX_REPLAYS);
            replays += usize::from(failure.unsent.is_none());
            match failure.unsent.or(replay) {
                Some(again) if attempt < MAX_ATTEMPTS => request = again,
                _ if failure.unresponsive => return Err(self.unresponsive(began)),
                _ => {
                    return Err(Error::broken(
                        self.address(),
                        client_body.as_ref(),
                        failure.error,
                    ));
                }
            }
            if matches!(lease, Lease::Http1(_)) {
                // The other idle connections may be closed too.
                self.0.connections().http1().close_idle();
            }
            attempt += 1;
        }
    }

    /// A lease for a request with these headers.
    async fn lease(
        &self,
        class: TrafficClass,
        began: Instant,
        headers: &HeaderMap,
    ) -> Result<Lease, Error> {
        self.0.health().wake();
        let connections = self.0.connections();
        let key = connections.key(class);
        let Some((lease, nearly_full)) = connections.lease(key, class) else {
            let client = headers.get(&X_FORWARDED_FOR).cloned();
            // Boxed, so that a request that finds a connection needs no memory for it.
            return Box::pin(wait::wait(&self.0, class, began, client)).await;
        };
        if nearly_full {
            self.0.open_ahead(key);
        }
        Ok(lease)
    }

    /// Sends an upgrade request for `uri` over an HTTP/1.1 connection of its own, which is monitored
    /// for as long as it lasts.
    pub(super) async fn upgrade(
        &self,
        request: Request<RequestBody>,
        uri: &Uri,
        host: &HeaderValue,
    ) -> Result<Response<ResponseBody>, Error> {
        let began = Instant::now();
        let client_body = request.body().failure();
        let connect = self.0.timeouts().connect;
        let io = self.0.connector().open_http1(connect).await?;
        let http1 = self.0.connections().http1();
        let sent = http1::upgrade(io, request, uri, host, http1.max_headers(), |state| {
            http1.open().add(state);
            self.0.health().start();
        });
        match sent.await {
            Ok(response) => Ok(response.map(ResponseBody::unpooled)),
            Err(UpgradeFailure::Broken(source)) => {
                http1.learn_from(&*source);
                Err(Error::broken(self.address(), client_body.as_ref(), source))
            }
            Err(UpgradeFailure::Unresponsive) => Err(self.unresponsive(began)),
        }
    }

    fn unresponsive(&self, began: Instant) -> Error {
        Error::Unresponsive {
            server: server_name(self.address()),
            waited: began.elapsed(),
        }
    }

    fn address(&self) -> &Uri {
        self.0.connector().address()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.connections().close();
        self.0.health().check_soon();
    }
}

#[cfg(test)]
mod tests;
