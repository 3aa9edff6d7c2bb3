//! `/oauth/token` and `/oauth/info`.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use serde_json::json;

use super::{
    clients::{self, Client},
    codes::CodeExchange,
    oauth_request::OAuthRequest,
    oauth_server::OAuthServer,
    responses::{self, OAuthError},
};
use crate::secret::Secret;

/// Responds to a request for a token. Every error is a 400.
pub(super) fn respond(
    server: &OAuthServer,
    request: &OAuthRequest<'_>,
    now: SystemTime,
) -> Response<Bytes> {
    let issued = if *request.method == Method::POST {
        by_grant_type(server, request, now)
    } else {
        Err(OAuthError::InvalidRequest)
    };
    match issued {
        Ok(issued) => responses::json(
            StatusCode::OK,
            &json!({
                "access_token": issued.token.expose(),
                "expires_in": issued.expires_in,
                "scope": issued.scope,
                "token_type": "Bearer",
            }),
        ),
        Err(error) => error.response(),
    }
}

/// A token in exchange for a code.
pub(super) struct IssuedToken {
    pub(super) token: Secret,
    expires_in: u64,
    scope: String,
}

fn by_grant_type(
    server: &OAuthServer,
    request: &OAuthRequest<'_>,
    now: SystemTime,
) -> Result<IssuedToken, OAuthError> {
    match request.get("grant_type") {
        "authorization_code" => {
            let (name, secret) = client_credentials(request)?;
            let (code, verifier) = (request.get("code"), request.get("code_verifier"));
            if code.is_empty() {
                return Err(OAuthError::InvalidGrant);
            }
            let client = client(&name, &secret)?;
            let redirect = client.redirect(request.get("redirect_uri"), server.url());
            let redirect = redirect.ok_or(OAuthError::InvalidRequest)?;
            let exchange = CodeExchange {
                code,
                client: client.id,
                redirect_uri: &redirect,
                verifier,
            };
            redeem(server, &exchange, now)
        }
        // The server never issues refresh tokens.
        "refresh_token" => client_credentials(request).and(Err(OAuthError::InvalidGrant)),
        "password" | "client_credentials" => {
            let (name, secret) = client_credentials(request)?;
            client(&name, &secret)?;
            Err(OAuthError::AccessDenied)
        }
        _ => Err(OAuthError::UnsupportedGrantType),
    }
}

/// Exchanges a code for a token. The client is authenticated already.
pub(super) fn redeem(
    server: &OAuthServer,
    exchange: &CodeExchange<'_>,
    now: SystemTime,
) -> Result<IssuedToken, OAuthError> {
    let code = server.codes.redeem(exchange, now)?;
    let scope = code.scopes.join(" ");
    let origin = (code.redirect_uri.as_str(), Some(exchange.code));
    let issued = server.issue(&code.user, code.client, code.scopes, origin, now);
    let (token, expires_in) = issued.ok_or(OAuthError::AccessDenied)?;
    Ok(IssuedToken {
        token,
        expires_in,
        scope,
    })
}

/// The client's ID and secret, in a Basic header or in the form, where the secret may be empty.
fn client_credentials(request: &OAuthRequest<'_>) -> Result<(String, Secret), OAuthError> {
    let secret = request.form.all("client_secret").next();
    if let (Some(secret), Some(name)) = (secret, request.form.get("client_id")) {
        return Ok((name.to_owned(), secret.into()));
    }
    request.basic().ok_or(OAuthError::InvalidRequest)?
}

fn client(name: &str, secret: &Secret) -> Result<&'static Client, OAuthError> {
    let client = clients::find(name).filter(|client| client.public);
    let authenticated = client.filter(|_| secret.expose().is_empty());
    authenticated.ok_or(OAuthError::UnauthorizedClient)
}

/// Responds with the client, the scopes and the remaining lifetime of a bearer token.
pub(super) fn info(server: &OAuthServer, request: &OAuthRequest<'_>) -> Response<Bytes> {
    let header = request.header(header::AUTHORIZATION);
    let bearer = header.and_then(|value| value.strip_prefix("Bearer "));
    let token = bearer.unwrap_or_else(|| request.get("code"));
    let Some(info) = server.sessions.info(token, SystemTime::now()) else {
        return OAuthError::InvalidRequest.response();
    };
    // Real servers treat a token that never expires as expired: its lifetime is 0 seconds.
    let Some(expires_in) = info.expires_in else {
        return OAuthError::InvalidGrant.response();
    };
    responses::json(
        StatusCode::OK,
        &json!({
            "access_token": token,
            "client_id": info.client,
            "expires_in": expires_in,
            "scope": info.scopes.join(" "),
            "token_type": "Bearer",
        }),
    )
}
