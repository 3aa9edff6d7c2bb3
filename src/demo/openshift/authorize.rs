//! `/oauth/authorize`: a client asks on behalf of a user.
//!
//! What is wrong with the client or its redirect is answered here; what comes after goes back to
//! the client by the redirect.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, Response, StatusCode, header};

use super::{
    Flows,
    answers::{self, Problem},
    clients::{self, Client},
    codes::{Challenge, Code},
    oauth::{Asked, OAuthServer},
    scopes::{self, FULL},
    web,
};

const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
const CSRF_NEEDED: &str =
    "A non-empty X-CSRF-Token header is required to receive basic-auth challenges";

/// What a valid request asks for.
enum Wanted {
    Code(Option<Challenge>),
    Token,
}

pub(super) fn answer(server: &OAuthServer, asked: &Asked<'_>, now: SystemTime) -> Response<Bytes> {
    let Some(client) = clients::find(asked.get("client_id")) else {
        return Problem::UnauthorizedClient.answer();
    };
    let Some(redirect) = client.redirect(asked.get("redirect_uri"), server.url()) else {
        return Problem::InvalidRequest.answer();
    };
    let wanted = match wanted(server, asked) {
        Ok(wanted) => wanted,
        Err((problem, why)) => return refuse(&redirect, problem, why, asked.get("state")),
    };
    let user = match (user(server, asked), server.options().challenge) {
        (Ok(Some(user)), _) => user,
        (Err(_), true) => return web::authentication_failed(asked),
        (_, challenge) => return how_to_log_in(server, client, asked, challenge),
    };
    let scopes = match asked.get("scope") {
        "" => FULL,
        scopes => scopes,
    };
    let scopes: Vec<String> = scopes.split_whitespace().map(str::to_owned).collect();
    if let Some(problem) = scopes::problem(&scopes) {
        // The state is dropped here, as real servers do.
        let error = [("error", "invalid_scope"), ("error_description", &problem)];
        return answers::redirect(&answers::with_query(&redirect, &error));
    }
    match wanted {
        Wanted::Code(challenge) => {
            let code = server.codes.issue(Code {
                client: client.id,
                redirect_uri: redirect.clone(),
                user,
                scopes,
                challenge,
                issued: now,
            });
            // The state is always there, if only empty.
            let pairs = [("code", code.as_str()), ("state", asked.get("state"))];
            answers::redirect(&answers::with_query(&redirect, &pairs))
        }
        Wanted::Token => {
            let scope = scopes.join(" ");
            let granted = server.issue(&user, client.id, scopes, (&redirect, None), now);
            let Some((token, expires_in)) = granted else {
                return refuse(&redirect, Problem::AccessDenied, None, asked.get("state"));
            };
            let expires_in = expires_in.to_string();
            let mut pairs = vec![
                ("access_token", token.expose()),
                ("expires_in", &expires_in),
                ("scope", &scope),
            ];
            pairs.extend(state(asked.get("state")));
            pairs.push(("token_type", "Bearer"));
            answers::redirect(&format!("{redirect}#{}", answers::form(&pairs)))
        }
    }
}

/// Reads what is asked for, or says what is wrong and, where the usual words do not do, why.
fn wanted(
    server: &OAuthServer,
    asked: &Asked<'_>,
) -> Result<Wanted, (Problem, Option<&'static str>)> {
    let flows = server.options().flows;
    match asked.get("response_type") {
        "token" => Ok(Wanted::Token),
        "code" if flows != Flows::Implicit => {
            let method = asked.form.get("code_challenge_method");
            let challenge = Challenge::parse(asked.get("code_challenge"), method);
            let challenge = challenge.map_err(|why| (Problem::InvalidRequest, Some(why)))?;
            // A server from before PKCE does not know these parameters.
            Ok(Wanted::Code(challenge.filter(|_| flows == Flows::Pkce)))
        }
        _ => Err((Problem::UnsupportedResponseType, None)),
    }
}

/// Who the user is, if they say so; the error is that of a header that cannot be read.
fn user(server: &OAuthServer, asked: &Asked<'_>) -> Result<Option<String>, Problem> {
    if server.options().challenge
        && let Some(basic) = asked.basic()
    {
        let (name, password) = basic?;
        if let Some(user) = server.log_in(&name, password.expose()) {
            return Ok(Some(user));
        }
    }
    let cookie = asked.cookie(web::SESSION);
    Ok(cookie.and_then(|cookie| server.signed_in(cookie)))
}

/// How to say who one is.
fn how_to_log_in(
    server: &OAuthServer,
    client: &Client,
    asked: &Asked<'_>,
    challenge: bool,
) -> Response<Bytes> {
    if !client.challenges {
        let then = answers::form(&[("then", asked.target)]);
        return answers::redirect(&format!("/login?{then}"));
    }
    if !challenge {
        let page = format!("{}/oauth/token/request", server.url());
        let line = format!("You must obtain an API token by visiting {page}");
        let related = format!("<{page}>; rel=\"related\"");
        return answers::with(answers::warning(&line), header::LINK, &related);
    }
    if asked.header(CSRF).is_none_or(str::is_empty) {
        return answers::warning(CSRF_NEEDED);
    }
    let response = answers::empty(StatusCode::UNAUTHORIZED);
    let basic = "Basic realm=\"openshift\"";
    answers::with(response, header::WWW_AUTHENTICATE, basic)
}

fn refuse(redirect: &str, problem: Problem, why: Option<&str>, sent: &str) -> Response<Bytes> {
    let description = why.unwrap_or_else(|| problem.description());
    let mut pairs = vec![
        ("error", problem.code()),
        ("error_description", description),
    ];
    pairs.extend(state(sent));
    answers::redirect(&answers::with_query(redirect, &pairs))
}

fn state(sent: &str) -> Option<(&'static str, &str)> {
    (!sent.is_empty()).then_some(("state", sent))
}
