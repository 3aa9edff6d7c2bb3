//! One request: find out who asks and what for, and pass it on.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderMap, Method, Request, Response};
use tokio_util::sync::CancellationToken;

use super::{
    authentication::Authentication,
    route::{Route, Target},
};
use crate::demo::request_body::RequestBody;
use crate::demo::{
    form::Query,
    kubernetes::{
        authentication::user_info::Identity,
        authorization::Action,
        encoding::{
            request_object,
            response::{self, Format},
            status::Status,
            view::View,
        },
        handlers::{
            delete, discovery, openapi, pod_streams, probes, read, review, scale, watch,
            watch_websocket, write,
        },
        objects::store::{Key, Store},
        vendor::Asked,
        websocket_handshake,
    },
    server::{Body, Service},
};

/// Everything that requests share.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) store: Arc<Store>,
    pub(crate) authentication: Authentication,
    pub(crate) address: SocketAddr,
    /// Cancelled when the control plane stops.
    pub(crate) stop: CancellationToken,
}

impl Plane {
    /// Whether somebody may do that. Nobody may do anything; everybody who says who they are
    /// everything, as far as the vendor does not object.
    pub(crate) fn authorize(&self, identity: &Identity, action: &Action<'_>) -> Result<(), Status> {
        let refused = if identity.is_anonymous() {
            Some(String::new())
        } else {
            let flavor = self.authentication.flavor();
            flavor.and_then(|flavor| flavor.refuses(identity, action))
        };
        let user = &identity.username;
        refused.map_or(Ok(()), |because| Err(action.refusal(user, &because)))
    }
}

/// What a handler needs to know of a request.
pub(crate) struct Context<'a> {
    pub(crate) plane: &'a Arc<Plane>,
    pub(crate) identity: Identity,
    pub(crate) query: Query,
    pub(crate) format: Format,
}

impl Service for Plane {
    async fn answer(self: Arc<Self>, request: Request<RequestBody>) -> Option<Response<Body>> {
        Some(answer(self, request).await)
    }
}

async fn answer(plane: Arc<Plane>, mut request: Request<RequestBody>) -> Response<Body> {
    let identity = plane.authentication.identify(request.headers_mut());
    let authenticated = identity.is_ok();
    let answered = match identity {
        Ok(identity) => route(&plane, identity, request).await,
        Err(status) => Err(status),
    };
    let mut response = answered.unwrap_or_else(|status| response::failure(&status));
    response::common_headers(response.headers_mut(), authenticated);
    response
}

async fn route(
    plane: &Arc<Plane>,
    identity: Identity,
    mut request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let asked = Asked {
        plane,
        identity: &identity,
        request: &request,
    };
    let flavor = plane.authentication.flavor();
    if let Some(answered) = flavor.and_then(|flavor| flavor.answer(&asked)) {
        return answered;
    }
    let route = Route::parse(request.uri().path());
    // What real servers make public: the version and the health checks.
    if !matches!(route, Ok(Route::Version | Route::Health(_))) {
        plane.authorize(&identity, &Action::of(&request, route.as_ref().ok()))?;
    }
    let query = Query::parse(request.uri().query());
    let route = route?;
    if let Route::Object(target) = &route
        && let Some(pod) = pod_behind_stream(plane, target)
    {
        let pod = pod?;
        let subresource = target.subresource.as_deref().unwrap_or_default();
        // A tunnel outlives its request; this tells it when the control plane stops.
        request.extensions_mut().insert(plane.stop.clone());
        return pod_streams::answer(request, pod, subresource);
    }
    if let Route::OpenApiV2 = route {
        only(&[Method::GET, Method::HEAD], &request)?;
        return Ok(openapi::v2(request.headers()));
    }
    let format = Format::negotiate(request.headers(), &query)?;
    let context = Context {
        plane,
        identity,
        query,
        format,
    };
    match route {
        Route::Object(target) => object(&context, target, request).await,
        Route::Review(review) => {
            only(&[Method::POST], &request)?;
            let (parts, incoming) = request.into_parts();
            let sent =
                request_object::object(&parts.headers, &request_object::read(incoming).await?)?;
            review::answer(&context, review, sent)
        }
        route => {
            only(&[Method::GET, Method::HEAD], &request)?;
            public(&context, &route, request.headers())
        }
    }
}

/// Reading what is not stored.
fn public(
    context: &Context<'_>,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Response<Body>, Status> {
    let (plane, format) = (context.plane, &context.format);
    match route {
        Route::Version => probes::version(format),
        Route::Health(check) => Ok(probes::health(check, &context.query)),
        Route::OpenApiIndex => Ok(openapi::index()),
        Route::OpenApi(group_version) => {
            openapi::document(group_version, context.query.get("hash"), headers)
        }
        route => discovery::answer(plane, route, format),
    }
}

/// The pod whose streams are asked for; `None` if the target is something else.
fn pod_behind_stream(plane: &Plane, target: &Target) -> Option<Result<serde_json::Value, Status>> {
    let is_stream = target.resource.plural == "pods"
        && matches!(
            target.subresource.as_deref(),
            Some("exec" | "attach" | "portforward" | "log")
        );
    is_stream.then(|| {
        let name = target.name.as_deref().unwrap_or_default();
        let pod = plane
            .store
            .get(&Key::new(target.resource, target.namespace(), name));
        let pod = pod.ok_or_else(|| Status::not_found(target.resource, name))?;
        Ok(pod.value.clone())
    })
}

async fn object(
    context: &Context<'_>,
    target: Target,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let plane = context.plane;
    let view = View::new(context.format.clone(), &context.query)?;
    let method = request.method().clone();
    if target.name.is_none() && method == Method::GET && context.query.flag("watch") {
        return if websocket_handshake::is_upgrade(request.headers()) {
            watch_websocket::answer(plane, request, &target, &context.query, view)
        } else {
            watch::answer((&plane.store, &plane.stop), &target, &context.query, view)
        };
    }
    let (parts, incoming) = request.into_parts();
    let sent = request_object::read(incoming).await?;
    let writer = write::Writer::new(context, &target, &parts.headers, view);
    let subresource = target.subresource.as_deref();
    match (method, target.name.is_some(), subresource) {
        (Method::GET, true, None | Some("status")) => {
            read::get(&plane.store, &target, &writer.view)
        }
        (Method::GET, false, None) => {
            read::list(&plane.store, &target, &context.query, &writer.view)
        }
        (Method::POST, false, None) if placed(&target) => writer.create(&sent),
        (Method::PUT, true, None | Some("status")) => writer.replace(&sent),
        (Method::PATCH, true, None | Some("status")) => writer.patch(&sent),
        (Method::DELETE, true, None) => delete::one(&writer, &sent),
        (Method::DELETE, false, None) if placed(&target) => delete::many(&writer),
        (Method::GET, true, Some("scale")) => scale::get(&writer),
        (Method::PUT, true, Some("scale")) => scale::replace(&writer, &sent),
        (Method::PATCH, true, Some("scale")) => scale::patch(&writer, &sent),
        (Method::POST, true, Some("token")) => review::token(&writer, &sent),
        _ => Err(Status::method_not_allowed()),
    }
}

/// Whether a target says where its objects are: a namespaced kind needs a namespace to be
/// written to.
fn placed(target: &Target) -> bool {
    !target.resource.namespaced || target.namespace.is_some()
}

fn only(methods: &[Method], request: &Request<RequestBody>) -> Result<(), Status> {
    if methods.contains(request.method()) {
        Ok(())
    } else {
        Err(Status::method_not_allowed())
    }
}
