//! `/oauth/authorize`: a client requests a token or a code for a user.
//!
//! An invalid client or redirect URI is an error response. Every later error is sent to the client
//! in the redirect.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, Response, StatusCode, header};

use super::{
    clients::{self, Client},
    codes::{Challenge, Code},
    oauth_request::OAuthRequest,
    oauth_server::OAuthServer,
    options::{self, Flows},
    pages,
    responses::{self, OAuthError},
    scopes::{self, FULL},
};
use crate::demo::form;

const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
const CSRF_NEEDED: &str =
    "A non-empty X-CSRF-Token header is required to receive basic-auth challenges";

/// What a valid request asks for.
enum ResponseType {
    Code(Option<Challenge>),
    Token,
}

pub(super) fn respond(
    server: &OAuthServer,
    request: &OAuthRequest<'_>,
    now: SystemTime,
) -> Response<Bytes> {
    let asks = server.options().challenge.clone();
    respond_asking(server, request, &asks, now)
}

/// Responds as the proxy of a request-header identity provider: it asks for the password itself, and
/// passes the user on to the OAuth server.
pub(super) fn respond_as_proxy(
    server: &OAuthServer,
    request: &OAuthRequest<'_>,
    now: SystemTime,
) -> Response<Bytes> {
    respond_asking(server, request, &options::Challenge::Basic, now)
}

fn respond_asking(
    server: &OAuthServer,
    request: &OAuthRequest<'_>,
    asks: &options::Challenge,
    now: SystemTime,
) -> Response<Bytes> {
    let Some(client) = clients::find(request.get("client_id")) else {
        return OAuthError::UnauthorizedClient.response();
    };
    let Some(redirect) = client.redirect(request.get("redirect_uri"), server.url()) else {
        return OAuthError::InvalidRequest.response();
    };
    let response_type = match response_type(server, request) {
        Ok(response_type) => response_type,
        Err((error, description)) => {
            return redirect_with_error(&redirect, error, description, request.get("state"));
        }
    };
    let takes_password = *asks == options::Challenge::Basic;
    let user = match user(server, request, takes_password) {
        Ok(Some(user)) => user,
        Err(_) if takes_password => return pages::authentication_failed(request),
        _ => return request_login(server, client, request, asks),
    };
    let scopes = match request.get("scope") {
        "" => FULL,
        scopes => scopes,
    };
    let scopes: Vec<String> = scopes.split_whitespace().map(str::to_owned).collect();
    if let Some(description) = scopes::error(&scopes) {
        // Real servers leave out the state here, too.
        let error = [
            ("error", "invalid_scope"),
            ("error_description", &description),
        ];
        return responses::redirect(&form::add_query(&redirect, &error));
    }
    match response_type {
        ResponseType::Code(challenge) => {
            let code = server.codes.issue(Code {
                client: client.id,
                redirect_uri: redirect.clone(),
                user,
                scopes,
                challenge,
                issued_at: now,
            });
            // The state is sent back even if it is empty.
            let pairs = [("code", code.as_str()), ("state", request.get("state"))];
            responses::redirect(&form::add_query(&redirect, &pairs))
        }
        ResponseType::Token => {
            let scope = scopes.join(" ");
            let issued = server.issue(&user, client.id, scopes, (&redirect, None), now);
            let Some((token, expires_in)) = issued else {
                let error = OAuthError::AccessDenied;
                return redirect_with_error(&redirect, error, None, request.get("state"));
            };
            let expires_in = expires_in.to_string();
            let mut pairs = vec![
                ("access_token", token.expose()),
                ("expires_in", &expires_in),
                ("scope", &scope),
            ];
            pairs.extend(state(request.get("state")));
            pairs.push(("token_type", "Bearer"));
            responses::redirect(&format!("{redirect}#{}", form::encode(&pairs)))
        }
    }
}

/// Reads what the request asks for. The error has a description if it differs from the usual one.
fn response_type(
    server: &OAuthServer,
    request: &OAuthRequest<'_>,
) -> Result<ResponseType, (OAuthError, Option<&'static str>)> {
    let flows = server.options().flows;
    match request.get("response_type") {
        "token" => Ok(ResponseType::Token),
        "code" if flows != Flows::Implicit => {
            let method = request.form.get("code_challenge_method");
            let challenge = Challenge::parse(request.get("code_challenge"), method);
            let challenge = challenge.map_err(|text| (OAuthError::InvalidRequest, Some(text)))?;
            // A server older than PKCE ignores these parameters.
            Ok(ResponseType::Code(
                challenge.filter(|_| flows == Flows::Pkce),
            ))
        }
        _ => Err((OAuthError::UnsupportedResponseType, None)),
    }
}

/// The user, if the request is authenticated by password or cookie. The error is that of a Basic
/// header that cannot be decoded.
fn user(
    server: &OAuthServer,
    request: &OAuthRequest<'_>,
    takes_password: bool,
) -> Result<Option<String>, OAuthError> {
    if takes_password && let Some(basic) = request.basic() {
        let (name, password) = basic?;
        if let Some(user) = server.log_in(&name, password.expose()) {
            return Ok(Some(user));
        }
    }
    let cookie = request.cookie(pages::SESSION_COOKIE);
    Ok(cookie.and_then(|cookie| server.browser_user(cookie)))
}

/// Tells the client how to authenticate the user.
fn request_login(
    server: &OAuthServer,
    client: &Client,
    request: &OAuthRequest<'_>,
    asks: &options::Challenge,
) -> Response<Bytes> {
    if !client.answers_challenges {
        let then = form::encode(&[("then", request.target)]);
        return responses::redirect(&format!("/login?{then}"));
    }
    let scheme = match asks {
        options::Challenge::None => {
            let page = format!("{}/oauth/token/request", server.url());
            let line = format!("You must obtain an API token by visiting {page}");
            let related = format!("<{page}>; rel=\"related\"");
            return responses::with_header(responses::warning(&line), header::LINK, &related);
        }
        options::Challenge::Redirect(url) => {
            let query = request
                .target
                .split_once('?')
                .map_or("", |(_, query)| query);
            return responses::redirect(&format!("{url}?{query}"));
        }
        options::Challenge::Basic => "Basic realm=\"openshift\"",
        options::Challenge::Negotiate => "Negotiate",
    };
    if request.header(CSRF).is_none_or(str::is_empty) {
        return responses::warning(CSRF_NEEDED);
    }
    let response = responses::empty(StatusCode::UNAUTHORIZED);
    responses::with_header(response, header::WWW_AUTHENTICATE, scheme)
}

/// Sends an error to the client, with its usual description if `description` is `None`.
fn redirect_with_error(
    redirect: &str,
    error: OAuthError,
    description: Option<&str>,
    state_sent: &str,
) -> Response<Bytes> {
    let description = description.unwrap_or_else(|| error.description());
    let mut pairs = vec![("error", error.code()), ("error_description", description)];
    pairs.extend(state(state_sent));
    responses::redirect(&form::add_query(redirect, &pairs))
}

fn state(sent: &str) -> Option<(&'static str, &str)> {
    (!sent.is_empty()).then_some(("state", sent))
}
