//! `/oauth/token` and `/oauth/info`.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use serde_json::json;

use super::{
    answers::{self, Problem},
    clients::{self, Client},
    codes::Exchange,
    oauth::{Asked, OAuthServer},
};
use crate::secret::Secret;

/// A code in exchange for a token. Every refusal is a 400.
pub(super) fn exchange(
    server: &OAuthServer,
    asked: &Asked<'_>,
    now: SystemTime,
) -> Response<Bytes> {
    let granted = if *asked.method == Method::POST {
        by_grant_type(server, asked, now)
    } else {
        Err(Problem::InvalidRequest)
    };
    match granted {
        Ok(granted) => answers::json(
            StatusCode::OK,
            &json!({
                "access_token": granted.token.expose(),
                "expires_in": granted.expires_in,
                "scope": granted.scope,
                "token_type": "Bearer",
            }),
        ),
        Err(problem) => problem.answer(),
    }
}

/// What comes of an exchange.
pub(super) struct Granted {
    pub(super) token: Secret,
    expires_in: u64,
    scope: String,
}

fn by_grant_type(
    server: &OAuthServer,
    asked: &Asked<'_>,
    now: SystemTime,
) -> Result<Granted, Problem> {
    match asked.get("grant_type") {
        "authorization_code" => {
            let (name, secret) = client_credentials(asked)?;
            let (code, verifier) = (asked.get("code"), asked.get("code_verifier"));
            if code.is_empty() {
                return Err(Problem::InvalidGrant);
            }
            let client = client(&name, &secret)?;
            let redirect = client.redirect(asked.get("redirect_uri"), server.url());
            let redirect = redirect.ok_or(Problem::InvalidRequest)?;
            let by = Exchange {
                code,
                client: client.id,
                redirect_uri: &redirect,
                verifier,
            };
            redeem(server, &by, now)
        }
        // There never is a refresh token.
        "refresh_token" => client_credentials(asked).and(Err(Problem::InvalidGrant)),
        "password" | "client_credentials" => {
            let (name, secret) = client_credentials(asked)?;
            client(&name, &secret)?;
            Err(Problem::AccessDenied)
        }
        _ => Err(Problem::UnsupportedGrantType),
    }
}

/// Exchanges a code whose client is proven.
pub(super) fn redeem(
    server: &OAuthServer,
    by: &Exchange<'_>,
    now: SystemTime,
) -> Result<Granted, Problem> {
    let code = server.codes.redeem(by, now)?;
    let scope = code.scopes.join(" ");
    let from = (code.redirect_uri.as_str(), Some(by.code));
    let issued = server.issue(&code.user, code.client, code.scopes, from, now);
    let (token, expires_in) = issued.ok_or(Problem::AccessDenied)?;
    Ok(Granted {
        token,
        expires_in,
        scope,
    })
}

/// Basic, or a form with a secret that is there and may be empty.
fn client_credentials(asked: &Asked<'_>) -> Result<(String, Secret), Problem> {
    let secret = asked.form.all("client_secret").next();
    if let (Some(secret), Some(name)) = (secret, asked.form.get("client_id")) {
        return Ok((name.to_owned(), secret.into()));
    }
    asked.basic().ok_or(Problem::InvalidRequest)?
}

fn client(name: &str, secret: &Secret) -> Result<&'static Client, Problem> {
    let client = clients::find(name).filter(|client| client.public);
    let proven = client.filter(|_| secret.expose().is_empty());
    proven.ok_or(Problem::UnauthorizedClient)
}

/// What a bearer token is good for, and for how long.
pub(super) fn info(server: &OAuthServer, asked: &Asked<'_>) -> Response<Bytes> {
    let header = asked.header(header::AUTHORIZATION);
    let bearer = header.and_then(|value| value.strip_prefix("Bearer "));
    let token = bearer.unwrap_or_else(|| asked.get("code"));
    let Some(told) = server.sessions.info(token, SystemTime::now()) else {
        return Problem::InvalidRequest.answer();
    };
    // One that never ends counts as ended: its life of 0 seconds is over.
    let Some(left) = told.left else {
        return Problem::InvalidGrant.answer();
    };
    answers::json(
        StatusCode::OK,
        &json!({
            "access_token": token,
            "client_id": told.client,
            "expires_in": left,
            "scope": told.scopes.join(" "),
            "token_type": "Bearer",
        }),
    )
}
