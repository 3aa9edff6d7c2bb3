//! The innermost service: sends the request to the API server, and returns its response.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    Request, Response, StatusCode,
    header::{ORIGIN, USER_AGENT},
};
use hyper::upgrade::OnUpgrade;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;

use super::{
    Body, Error,
    authorize::Certificate,
    hop_by_hop::{self, Protocol},
    refusal::Refusal,
    request_info::RequestInfo,
    request_record::RequestRecord,
    response_framing,
    traffic_class::traffic_class,
    upgrade,
    watch::{WatchBody, WatchResponse},
};
use crate::{
    dial,
    upstream::{RequestBody, Upstream},
};

/// How watches and tunnels learn that the proxy drains, and how the drain waits for tunnels.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    /// Cancelled when the drain begins: watches end at their next event boundary.
    pub begun: CancellationToken,
    /// Every joined pair of upgraded streams.
    pub tunnels: TaskTracker,
}

/// Sends requests to one upstream. Cheap to clone, which every request does.
#[derive(Clone)]
pub(super) struct Forward(Arc<Shared>);

struct Shared {
    upstream: Arc<Upstream>,
    drain: Drain,
}

impl Forward {
    pub(super) fn new(upstream: Arc<Upstream>, drain: Drain) -> Self {
        Self(Arc::new(Shared { upstream, drain }))
    }
}

impl Service<Request<RequestBody>> for Forward {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move { forward(&shared.upstream, &shared.drain, request).await })
    }
}

async fn forward(
    upstream: &Upstream,
    drain: &Drain,
    mut request: Request<RequestBody>,
) -> Result<Response<Body>, Error> {
    let mut extensions = std::mem::take(request.extensions_mut());
    let certificate = extensions.remove::<Certificate>().map(|c| c.0);
    let protocol = extensions.remove::<Protocol>();
    let record = extensions.remove::<RequestRecord>();
    let headers = request.headers_mut();
    headers.entry(USER_AGENT).or_insert(dial::USER_AGENT);
    upstream.add_headers(headers);
    if let (Some(protocol), Some(client)) = (protocol, extensions.remove::<OnUpgrade>()) {
        if protocol == Protocol::WebSocket && !request.headers().contains_key(ORIGIN) {
            // The API server refuses WebSocket watches without one (golang.org/x/net/websocket).
            let origin = upstream.origin().clone();
            request.headers_mut().insert(ORIGIN, origin);
        }
        let upgrading = upgrade::forward(
            upstream,
            request,
            certificate.as_ref(),
            protocol,
            (client, record),
            &drain.tunnels,
        );
        // Boxed, so that the future of an ordinary request stays small.
        return Box::pin(upgrading).await;
    }
    let info = extensions.remove::<RequestInfo>();
    let info = info.ok_or_else(|| {
        Refusal::bug(
            "unread request",
            "a request was not read before it was sent",
        )
    })?;
    let (is_watch, class) = (info.is_watch(), traffic_class(&info));
    let mut response = upstream.send(request, certificate.as_ref(), class).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::UnexpectedSwitch);
    }
    response_framing::normalise(&mut response)?;
    let (mut head, body) = response.into_parts();
    hop_by_hop::strip_response(&mut head.headers);
    let body = if is_watch && head.status.is_success() {
        head.extensions.insert(WatchResponse);
        if let Some(record) = record {
            record.log_watch_begin();
        }
        Body::Watch(Box::new(WatchBody::new(
            body,
            &head.headers,
            drain.begun.clone(),
        )))
    } else {
        Body::Upstream(body)
    };
    Ok(Response::from_parts(head, body))
}
