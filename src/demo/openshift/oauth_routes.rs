//! The paths of the OAuth server.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use super::{
    authorization_endpoint, oauth_request::OAuthRequest, oauth_server::OAuthServer, pages,
    responses, token_endpoint,
};

/// The path of the proxy of a request-header identity provider.
pub(super) const PROXY_PATH: &str = "/challenging-proxy/oauth/authorize";

/// Responds to a request; `now` is the time by this server's clock.
pub(super) fn respond(
    server: &OAuthServer,
    request: &Request<Bytes>,
    now: SystemTime,
) -> Response<Bytes> {
    let parsed = OAuthRequest::parse(request);
    match request.uri().path() {
        "/oauth/authorize" => {
            let query = request.uri().query().unwrap_or_default();
            server.record_authorization(query);
            authorization_endpoint::respond(server, &parsed, now)
        }
        "/oauth/token" => token_endpoint::respond(server, &parsed, now),
        "/oauth/info" => token_endpoint::info(server, &parsed),
        "/oauth/token/request" => pages::request_token(server),
        "/oauth/token/display" => pages::display_token(server, &parsed, now),
        "/oauth/token/implicit" => pages::implicit(),
        "/login" => pages::login(server, &parsed),
        "/healthz" => responses::text(StatusCode::OK, "ok"),
        _ => responses::text(StatusCode::NOT_FOUND, "404 page not found"),
    }
}

/// Responds to a request to the proxy of a request-header identity provider.
pub(super) fn respond_as_proxy(
    server: &OAuthServer,
    request: &Request<Bytes>,
    now: SystemTime,
) -> Response<Bytes> {
    match request.uri().path() {
        PROXY_PATH => {
            authorization_endpoint::respond_as_proxy(server, &OAuthRequest::parse(request), now)
        }
        _ => responses::text(StatusCode::NOT_FOUND, "404 page not found"),
    }
}
