//! One request: the stack of layers that it passes, one file a layer.

pub mod app_origin;
mod authorize;
mod body;
mod client_go;
mod context_list;
mod context_path;
mod contexts;
pub mod cors;
mod destination;
mod error;
mod error_status;
mod expiry_warning;
mod extra_route;
mod files;
mod forward;
pub mod guard;
pub mod head_filter;
mod header_names;
pub mod hop_by_hop;
pub mod impersonate;
pub mod interstitial;
mod location;
mod navigation;
mod path_prefix;
mod path_reference;
mod peer;
mod refusal;
mod reload;
pub mod request_info;
pub mod request_log;
mod request_record;
pub mod reserved;
pub mod respond;
mod response_framing;
pub mod route;
pub mod sandbox;
mod status;
mod traffic_class;
mod tunnel;
mod untrusted_content;
mod upgrade;
mod watch;
mod websocket_token;

pub use body::Body;
pub use contexts::{
    CLUSTERS, ContextChoice, ContextEntry, ContextSummary, ContextTable, Contexts, Root,
};
pub use destination::Destination;
pub use error::Error;
pub use extra_route::{ExtraRoute, RouteDestination};
pub use files::{StaticFileOptions, StaticFiles};
pub use forward::Drain;
pub use path_prefix::Prefix;
pub use peer::Peer;
pub use refusal::Refusal;
pub use reload::{ReloadHandle, ResolveFuture, Resolver, WeakReloadHandle};
pub use request_info::RequestInfo;
pub use status::encode_refusal;
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

use guard::{Guard, LocalAccess};

/// What the stack is made of.
#[derive(Clone)]
pub struct Parts {
    /// Decides which requests pass.
    pub guard: Arc<Guard>,
    /// Which clients may use this proxy.
    pub access: Arc<LocalAccess>,
    /// `--api-prefix`
    pub api: Prefix,
    /// `--www` under `--www-prefix`
    pub files: Option<StaticFiles>,
    /// The contexts below `/clusters/`.
    pub contexts: Contexts,
    /// The paths that lead to other servers, none below another.
    pub routes: Vec<Arc<ExtraRoute>>,
    /// Where requests that choose no context go, and as whom.
    pub reload_handle: ReloadHandle,
}

/// The whole proxy, as a service that responds to every request.
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

/// A response's body as the trace layer wraps it.
pub type TracedBody =
    trace::ResponseBody<Body, NeverClassifyEos<ServerErrorsFailureClass>, (), (), ()>;

/// Builds the stack, in the order in which a request passes it. `worker` is the index of the
/// upstream of the destination that it sends to. The innermost layers are built in `destination`.
pub fn stack(parts: Parts, worker: usize) -> impl Proxy {
    let requires_tokens = parts.access.requires_tokens();
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
        // Writes one line for each request, if the log takes them.
        .layer(request_log::RequestLogLayer)
        // A refusal from here on becomes a Kubernetes Status.
        .layer(respond::RespondLayer::to_refusals())
        // Shows a person who follows a link of another site where it leads, instead of a refusal.
        .layer(interstitial::InterstitialLayer)
        // Who is calling comes before what is asked: a foreign page learns nothing, not even a 404.
        .layer(guard::origin_layer(parts.guard.clone()))
        // Answers the preflights of allowed origins, and adds CORS headers to every response to them.
        // Errors must be responses before this layer, so a second `RespondLayer` is inside it.
        .map_err(|never: Infallible| match never {})
        .layer(cors::CorsLayer::new(parts.guard.origins().to_vec()))
        .layer(respond::RespondLayer::to_refusals())
        // Answers what is below the reserved path. Outside of the check of tokens, since a browser gets its
        // cookie there.
        .layer(reserved::ReservedLayer::new(parts.access.clone()))
        // A browser sends no cookie with a link of another site (SameSite=Strict). Where the next layer would
        // refuse the link to an app for that, it shows the same page.
        .option_layer(requires_tokens.then_some(interstitial::InterstitialLayer))
        // Whether the client may use this proxy, where tokens or certificates are required.
        .layer(guard::token_layer(parts.access.clone()))
        // Rewrites a request to an app's origin, so that every rule below judges the path of the API that it
        // leads to.
        .layer(app_origin::rewrite_layer())
        // Chooses the context and strips the API prefix, so that everything below sees the API
        // server's own paths.
        .layer(
            route::RouteLayer::new(parts.contexts, parts.api, parts.files)
                .with_routes(parts.routes),
        )
        // Reads what is asked once, for every layer below, and refuses a path with two meanings.
        .layer(request_info::layer())
        // Checks what is asked: paths, methods, exec, read-only.
        .layer(guard::request_layer(parts.guard.clone()))
        // Sends browsers that open an app in the API's origin on to the app's own. Inside of the guard, so
        // that what is refused is not redirected.
        .layer(app_origin::RedirectToAppLayer::new(
            !parts.guard.trusts_proxied_pages(),
            parts.access,
        ))
        // Sandboxes responses that the API server did not write itself (apps behind */proxy, logs),
        // and our own errors in their place.
        .layer(sandbox::SandboxLayer)
        // Removes framing and connection headers, and recognises upgrades.
        .layer(hop_by_hop::layer())
        // Any other error becomes a response here, in the form that the client can show.
        .map_err(|never: Infallible| match never {})
        .layer(respond::RespondLayer::for_api())
        // A reload replaces everything below at once.
        .service(parts.reload_handle.service(worker))
}

fn span(request: &Request<Incoming>) -> tracing::Span {
    tracing::debug_span!("request", method = %request.method(), path = request.uri().path())
}
