//! Authenticates a request, authorizes it and passes it to its handler.

use std::sync::{Arc, PoisonError};

use http::{HeaderMap, Method, Request, Response};
use serde_json::Value;

use super::{
    api_server::{ApiServer, RequestContext},
    authentication::user_info::UserInfo,
    authorization::Action,
    encoding::{
        request_object,
        response::{self, Format},
        status::Status,
        view::View,
    },
    handlers::{
        app_proxy, delete, discovery, openapi, pod_streams, probes, read, review, scale,
        token_request, watch, watch_websocket, write::Writer,
    },
    objects::store::Key,
    route::{Route, Target},
    vendor::{self, VendorRequest},
    websocket_handshake,
};
use crate::demo::{
    form::Form,
    request_body::RequestBody,
    server::{Body, Service},
};

impl Service for ApiServer {
    async fn respond(self: Arc<Self>, mut request: Request<RequestBody>) -> Option<Response<Body>> {
        let user = self.authentication.authenticate(request.headers_mut());
        let is_authenticated = user.is_ok();
        let result = match user {
            Ok(user) => route(&self, user, request).await,
            Err(status) => Err(status),
        };
        let mut response = result.unwrap_or_else(|status| response::failure(&status));
        response::add_common_headers(response.headers_mut(), is_authenticated);
        Some(response)
    }
}

async fn route(
    server: &Arc<ApiServer>,
    user: UserInfo,
    mut request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let vendor_request = VendorRequest {
        store: &server.store,
        stop: &server.stop,
        user: &user,
        request: &request,
    };
    let extension = server.authentication.extension();
    if let Some(response) = extension.and_then(|extension| extension.respond(&vendor_request)) {
        return response;
    }
    if let Some(proxied) = app_proxy::ProxyPath::parse(request.uri().path()) {
        vendor::authorize(extension, &user, &Action::of(&request, None))?;
        return app_proxy::respond(server, request, &proxied).await;
    }
    let reviews = *(server.self_reviews.lock()).unwrap_or_else(PoisonError::into_inner);
    let route = match reviews.route(&request, &user.username) {
        Some(route) => Ok(route?),
        None => Route::parse(request.uri().path()),
    };
    // The version and the health checks are public, as in real API servers.
    if !matches!(route, Ok(Route::Version | Route::Health(_))) {
        let action = Action::of(&request, route.as_ref().ok());
        vendor::authorize(extension, &user, &action)?;
    }
    let query = Form::parse(request.uri().query());
    let route = route?;
    if let Route::Object(target) = &route
        && let Some(pod) = pod_to_stream(server, target)
    {
        let pod = pod?;
        let subresource = target.subresource.as_deref().unwrap_or_default();
        // A stream outlives its request. This token ends it when the control plane stops.
        request.extensions_mut().insert(server.stop.clone());
        return pod_streams::respond(request, pod, subresource);
    }
    if let Route::OpenApiV2 = route {
        require_method(&[Method::GET, Method::HEAD], &request)?;
        return Ok(openapi::v2(request.headers()));
    }
    let format = Format::negotiate(request.headers(), &query)?;
    let context = RequestContext {
        server,
        user,
        query,
        format,
    };
    match route {
        Route::Object(target) => handle_object(&context, target, request).await,
        Route::Review(review) => {
            require_method(&[Method::POST], &request)?;
            let (parts, body) = request.into_parts();
            let bytes = request_object::read(body).await?;
            let object = request_object::object(&parts.headers, &bytes)?;
            review::respond(&context, review, object)
        }
        route => {
            require_method(&[Method::GET, Method::HEAD], &request)?;
            handle_metadata(&context, &route, request.headers())
        }
    }
}

/// Responds to requests for what is not an object: versions, health, discovery, `OpenAPI`.
fn handle_metadata(
    context: &RequestContext<'_>,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Response<Body>, Status> {
    let (server, format) = (context.server, &context.format);
    match route {
        Route::Version => probes::version(format),
        Route::Health(check) => Ok(probes::health(check, &context.query)),
        Route::OpenApiIndex => Ok(openapi::index()),
        Route::OpenApi(group_version) => {
            openapi::document(group_version, context.query.get("hash"), headers)
        }
        route => discovery::respond(server, route, format),
    }
}

/// The pod whose streams are requested; `None` if the target is something else.
fn pod_to_stream(server: &ApiServer, target: &Target) -> Option<Result<Value, Status>> {
    let is_stream = target.resource.plural == "pods"
        && matches!(
            target.subresource.as_deref(),
            Some("exec" | "attach" | "portforward" | "log")
        );
    is_stream.then(|| {
        let name = target.name.as_deref().unwrap_or_default();
        let key = Key::new(target.resource, target.namespace(), name);
        let pod = server.store.get(&key);
        let pod = pod.ok_or_else(|| Status::not_found(target.resource, name))?;
        Ok(pod.value.clone())
    })
}

async fn handle_object(
    context: &RequestContext<'_>,
    target: Target,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let server = context.server;
    let view = View::new(context.format.clone(), &context.query)?;
    let method = request.method().clone();
    if target.name.is_none() && method == Method::GET && context.query.flag("watch") {
        return if websocket_handshake::is_upgrade(request.headers()) {
            watch_websocket::respond(server, request, &target, &context.query, view)
        } else {
            let source = (&server.store, &server.stop);
            watch::respond(source, &target, &context.query, view)
        };
    }
    let (parts, body) = request.into_parts();
    let body = request_object::read(body).await?;
    let writer = Writer::new(context, &target, &parts.headers, view);
    let subresource = target.subresource.as_deref();
    match (method, target.name.is_some(), subresource) {
        (Method::GET, true, None | Some("status")) => {
            read::get(&server.store, &target, &writer.view)
        }
        (Method::GET, false, None) => {
            read::list(&server.store, &target, &context.query, &writer.view)
        }
        (Method::POST, false, None) if can_be_written(&target) => writer.create(&body),
        (Method::PUT, true, None | Some("status")) => writer.replace(&body),
        (Method::PATCH, true, None | Some("status")) => writer.patch(&body),
        (Method::DELETE, true, None) => delete::one(&writer, &body),
        (Method::DELETE, false, None) if can_be_written(&target) => delete::collection(&writer),
        (Method::GET, true, Some("scale")) => scale::get(&writer),
        (Method::PUT, true, Some("scale")) => scale::replace(&writer, &body),
        (Method::PATCH, true, Some("scale")) => scale::patch(&writer, &body),
        (Method::POST, true, Some("token")) => token_request::respond(&writer, &body),
        _ => Err(Status::method_not_allowed()),
    }
}

/// Whether a target is complete enough for a write: a namespaced resource needs a namespace.
fn can_be_written(target: &Target) -> bool {
    !target.resource.namespaced || target.namespace.is_some()
}

fn require_method(allowed: &[Method], request: &Request<RequestBody>) -> Result<(), Status> {
    if allowed.contains(request.method()) {
        Ok(())
    } else {
        Err(Status::method_not_allowed())
    }
}
