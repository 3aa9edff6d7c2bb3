//! ONE REQUEST: the stack it passes, one file a layer.

mod announce;
mod answer_framing;
mod authorize;
mod body;
mod client_go;
mod cors;
mod files;
mod forward;
pub mod guard;
mod hop_by_hop;
pub mod impersonate;
mod kind;
mod peer;
mod request_log;
mod respond;
mod route;
mod sandbox;
mod screen;
mod switch;
mod tunnel;
mod upgrade;
mod watch;

pub use body::Body;
pub use files::{Extras, StaticFiles};
pub use forward::Drain;
pub use peer::Peer;
pub use respond::{chain, last_words};
pub use route::Prefix;
pub use switch::{Destination, Seek, Seeking, Switch};
pub use watch::Watching;

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

use crate::{
    credential,
    settings::ClientCredentials,
    upstream::{self, Upstream},
};
use authorize::{Authorize, AuthorizeLayer};
use forward::Forward;
use guard::{Guard, Refusal};
use impersonate::Impersonate;
use screen::Screened;

/// Why a request got no answer from the API server, or not the server's own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The guard, or a layer that judges headers, refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no credential to send it with.
    #[error("no credential for the API server")]
    Credential(#[from] credential::Error),
    /// Where the API server is was asked for, and not learnt.
    #[error("cannot find the cluster")]
    NotFound(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A fault of ours.
    #[error("there is no destination for this request; this is a bug in kubegate")]
    NowhereToGo,
    /// The API server could not be asked.
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    /// The API server switched protocols for a request that is no upgrade.
    #[error("the API server answered with 101 Switching Protocols, which was not asked for")]
    UnaskedSwitch,
    /// What the API server's answer says of its body's length cannot be passed on.
    #[error("the API server's answer has a {header} that {problem}")]
    BadFraming {
        /// Which header says so.
        header: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The API server answered an upgrade with neither 101 nor an error.
    #[error("the API server answered the upgrade to {asked} with {answered}")]
    BadUpgrade {
        /// The protocol that the client asked for.
        asked: &'static str,
        /// Status, and for a 101 the protocol it named.
        answered: String,
    },
}

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
    pub switch: Switch,
}

/// The whole of the proxy: any request in, some answer out.
pub trait Proxy:
    Service<Request<Incoming>, Response = Response<Traced>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Proxy for S where
    S: Service<Request<Incoming>, Response = Response<Traced>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// An answer's body in the wrapping of the trace layer, which has nothing to tell of bodies.
pub type Traced = trace::ResponseBody<Body, NeverClassifyEos<ServerErrorsFailureClass>, (), (), ()>;

/// Builds the stack. It reads in the order in which a request passes it, and goes on in `way`. `lane` is
/// which of the destination's upstreams it sends to.
pub fn stack(parts: Parts, lane: usize) -> impl Proxy {
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
        .service(parts.switch.switched(lane))
}

/// The last layers, which stand for one destination.
type Way = Screened<Impersonate, Authorize<Forward>>;

/// Builds the last layers, in the order in which a request passes them.
fn way(
    destination: &Destination,
    upstream: &Arc<Upstream>,
    client_credentials: ClientCredentials,
    drain: &Drain,
) -> Result<Way, impersonate::Error> {
    let Destination {
        impersonation,
        credentials,
        ..
    } = destination;
    Ok(ServiceBuilder::new()
        // Whom the user acts as is settled before our credential could vouch for it.
        .layer(Impersonate::layer(impersonation)?)
        // Exactly one credential, refreshed and replayed once on a 401.
        .layer(AuthorizeLayer::new(
            credentials.clone(),
            client_credentials,
            upstream.is_plaintext(),
        ))
        .service(Forward::new(upstream.clone(), drain.clone())))
}

/// What `hop_by_hop` does, by itself, so that a benchmark can tell its price.
#[doc(hidden)]
pub mod header_work {
    use http::{HeaderMap, Request};

    use super::{
        guard::Refusal,
        hop_by_hop::{self, HopByHop},
        screen::Screen as _,
    };

    /// To a request.
    pub fn of_request<B>(request: &mut Request<B>) -> Result<(), Refusal> {
        HopByHop.screen(request)
    }

    /// To an answer.
    pub fn of_response(headers: &mut HeaderMap) {
        hop_by_hop::strip_response(headers);
    }
}

fn span(request: &Request<Incoming>) -> tracing::Span {
    tracing::debug_span!("request", method = %request.method(), path = request.uri().path())
}
