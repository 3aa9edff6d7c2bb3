//! ONE REQUEST: the stack it passes, one file a layer.

mod authorize;
mod body;
mod client_go;
mod cors;
mod destination;
mod error;
mod expiry_warning;
mod files;
mod forward;
pub mod guard;
mod head_filter;
mod header_names;
mod hop_by_hop;
pub mod impersonate;
mod peer;
mod refusal;
mod reload;
mod request_info;
mod request_log;
mod respond;
mod response_framing;
mod route;
mod sandbox;
mod traffic_class;
mod tunnel;
mod untrusted_content;
mod upgrade;
mod watch;

pub use body::Body;
pub use destination::Destination;
pub use error::Error;
pub use files::{StaticFileOptions, StaticFiles};
pub use forward::Drain;
pub use peer::Peer;
pub use reload::{ReloadHandle, ResolveFuture, Resolver};
pub use request_info::{AmbiguousPath, Reading, RequestInfo, Resource, Verb};
pub use respond::encode_refusal;
pub use route::Prefix;
pub use watch::WatchResponse;

use std::{convert::Infallible, sync::Arc};

use http::{
    Request, Response,
    header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL, SET_COOKIE},
};
use hyper::body::Incoming;
use tower::{Service, ServiceBuilder};
use tower_http::{
    classify::{NeverClassifyEos, ServerErrorsFailureClass},
    sensitive_headers::{SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer},
    trace::{self, TraceLayer},
};

use guard::Guard;

/// What the stack is made of.
#[derive(Clone)]
pub struct Parts {
    /// Judges requests.
    pub guard: Arc<Guard>,
    /// `--api-prefix`
    pub api: Prefix,
    /// `--www` under `--www-prefix`
    pub files: Option<StaticFiles>,
    /// Where requests go, and as whom.
    pub reload_handle: ReloadHandle,
}

/// The whole of the proxy: any request in, some answer out.
pub trait Proxy:
    Service<Request<Incoming>, Response = Response<TracedBody>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Proxy for S where
    S: Service<
            Request<Incoming>,
            Response = Response<TracedBody>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// An answer's body in the wrapping of the trace layer, which has nothing to tell of bodies.
pub type TracedBody =
    trace::ResponseBody<Body, NeverClassifyEos<ServerErrorsFailureClass>, (), (), ()>;

/// Builds the stack, in the order in which a request passes it. `worker` says which of the
/// destination's upstreams it sends to; the innermost layers are in [`destination_service`](destination).
pub fn stack(parts: Parts, worker: usize) -> impl Proxy {
    ServiceBuilder::new()
        // Marked first, so that no layer below can show a credential by accident.
        .layer(SetSensitiveRequestHeadersLayer::new([
            AUTHORIZATION,
            COOKIE,
            // May carry a bearer token as a subprotocol.
            SEC_WEBSOCKET_PROTOCOL,
        ]))
        .layer(SetSensitiveResponseHeadersLayer::new([SET_COOKIE]))
        // A span of our own: the default one records the query, which may hold an exec's command.
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_body_chunk(())
                .on_eos(())
                .on_failure(()),
        )
        // One line for each request, where the log is to have them.
        .layer(request_log::RequestLogLayer)
        // A refusal from here on becomes a Kubernetes Status.
        .layer(respond::RespondLayer::to_refusals())
        // Who asks comes before what is asked: a foreign page learns nothing, not even a 404.
        .layer(guard::origin_layer(parts.guard.clone()))
        // Pages of allowed origins get their preflight answered here, and may read what
        // comes back, refusals included: hence a second `respond` inside.
        .map_err(|never: Infallible| match never {})
        .layer(cors::CorsLayer::new(parts.guard.origins().to_vec()))
        .layer(respond::RespondLayer::to_refusals())
        // Strips the API prefix, so that everything below sees the API server's own paths.
        .layer(route::RouteLayer::new(parts.api, parts.files))
        // The request's meaning is read once; a path with two meanings is refused.
        .layer(request_info::layer())
        // What is asked: paths, methods, exec, read-only.
        .layer(guard::request_layer(parts.guard))
        // Answers that others wrote (apps behind */proxy, logs), and errors of ours in their place,
        // are sandboxed.
        .layer(sandbox::SandboxLayer)
        // Framing and connection headers end here; upgrades are recognised.
        .layer(hop_by_hop::layer())
        // Any other error becomes an answer here, where a request's path tells who reads it.
        .map_err(|never: Infallible| match never {})
        .layer(respond::RespondLayer::for_api())
        // A reload replaces everything below, and at once.
        .service(parts.reload_handle.service(worker))
}

/// What `hop_by_hop` does, by itself, so that a benchmark can tell its price.
#[doc(hidden)]
pub mod header_work {
    use http::{HeaderMap, Request};

    use super::{
        guard::Refusal,
        head_filter::HeadFilter as _,
        hop_by_hop::{self, HopByHop},
    };

    /// To a request.
    pub fn of_request<B>(request: &mut Request<B>) -> Result<(), Refusal> {
        HopByHop.filter(request)
    }

    /// To an answer.
    pub fn of_response(headers: &mut HeaderMap) {
        hop_by_hop::strip_response(headers);
    }
}

fn span(request: &Request<Incoming>) -> tracing::Span {
    tracing::debug_span!("request", method = %request.method(), path = request.uri().path())
}
