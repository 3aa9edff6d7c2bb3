//! The pages for browsers: the login form, and the page that displays a token.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};

use super::{
    clients::{BROWSER, DISPLAY},
    codes::CodeExchange,
    oauth_request::OAuthRequest,
    oauth_server::OAuthServer,
    responses, token_endpoint,
};
use crate::demo::{form, random::new_token};

/// The cookie that keeps a browser logged in.
pub(super) const SESSION_COOKIE: &str = "ssn";

const CSRF_COOKIE: &str = "csrf";

/// `/login`: shows the login form, and logs the user in when it is sent.
pub(super) fn login(server: &OAuthServer, request: &OAuthRequest<'_>) -> Response<Bytes> {
    let then = request.get("then");
    // The redirect stays on this server: `//host` would lead to another.
    let then = if then.starts_with('/') && !then.starts_with("//") {
        then
    } else {
        "/"
    };
    if *request.method != Method::POST {
        return login_form(then, "");
    }
    if request
        .cookie(CSRF_COOKIE)
        .is_none_or(|cookie| cookie != request.get(CSRF_COOKIE))
    {
        return login_form(then, "Could not check CSRF token. Please try again.");
    }
    let Some(user) = server.log_in(request.get("username"), request.get("password")) else {
        return login_form(then, "Invalid login or password. Please try again.");
    };
    let cookie = format!(
        "{SESSION_COOKIE}={}; Path=/; HttpOnly; Secure",
        server.log_in_browser(&user)
    );
    responses::with_header(responses::redirect(then), header::SET_COOKIE, &cookie)
}

fn login_form(then: &str, error: &str) -> Response<Bytes> {
    let csrf = new_token();
    let page = page(&format!(
        "<p>{error}</p>\n<form method=\"post\" action=\"/login\">\n\
         <input type=\"hidden\" name=\"then\" value=\"{}\">\n\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
         <label>Username <input name=\"username\" autofocus></label>\n\
         <label>Password <input name=\"password\" type=\"password\"></label>\n\
         <button type=\"submit\">Log in</button>\n</form>",
        escaped(then)
    ));
    let cookie = format!("{CSRF_COOKIE}={csrf}; Path=/; HttpOnly; Secure");
    responses::with_header(
        responses::html(StatusCode::OK, page),
        header::SET_COOKIE,
        &cookie,
    )
}

/// `/oauth/token/request`: the page for users who cannot log in on the command line.
pub(super) fn request_token(server: &OAuthServer) -> Response<Bytes> {
    let back = format!("{}{DISPLAY}", server.url());
    let pairs = [
        ("client_id", BROWSER),
        ("redirect_uri", &back),
        ("response_type", "code"),
    ];
    let authorize = format!("{}/oauth/authorize", server.url());
    responses::redirect(&form::add_query(&authorize, &pairs))
}

/// `/oauth/token/display`: shows a button, and the token when it is pressed.
pub(super) fn display_token(
    server: &OAuthServer,
    request: &OAuthRequest<'_>,
    now: SystemTime,
) -> Response<Bytes> {
    let code = request.get("code");
    if *request.method != Method::POST {
        let csrf = new_token();
        let page = page(&format!(
            "<form method=\"post\" action=\"{DISPLAY}\">\n\
             <input type=\"hidden\" name=\"code\" value=\"{}\">\n\
             <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
             <button type=\"submit\">Display Token</button>\n</form>",
            escaped(code)
        ));
        let cookie = format!("{CSRF_COOKIE}={csrf}; Path=/; HttpOnly; Secure");
        return responses::with_header(
            responses::html(StatusCode::OK, page),
            header::SET_COOKIE,
            &cookie,
        );
    }
    if request
        .cookie(CSRF_COOKIE)
        .is_none_or(|cookie| cookie != request.get(CSRF_COOKIE))
    {
        let line = "Could not check CSRF token. Please try again.";
        return responses::text(StatusCode::BAD_REQUEST, line);
    }
    let exchange = CodeExchange {
        code,
        client: BROWSER,
        redirect_uri: &format!("{}{DISPLAY}", server.url()),
        verifier: "",
    };
    let again = "<p><a href=\"/oauth/token/request\">Request another token</a></p>";
    match token_endpoint::redeem(server, &exchange, now) {
        Ok(issued) => {
            let token = issued.token.expose();
            let shown = format!("<h2>Your API token is</h2>\n<code>{token}</code>\n{again}");
            responses::html(StatusCode::OK, page(&shown))
        }
        Err(error) => {
            let shown = format!("<p>Error getting token: {}</p>\n{again}", error.code());
            responses::html(StatusCode::INTERNAL_SERVER_ERROR, page(&shown))
        }
    }
}

/// `/oauth/token/implicit`: the redirect URI of clients that read the redirect themselves.
pub(super) fn implicit() -> Response<Bytes> {
    let line = "You have reached this page by following a redirect Location header from an OAuth \
                authorize request: take the code or token out of that header instead.";
    responses::text(StatusCode::OK, line)
}

/// The error of a Basic header that cannot be decoded: a page for browsers, else a line of text.
pub(super) fn authentication_failed(request: &OAuthRequest<'_>) -> Response<Bytes> {
    let line = "An authentication error occurred.";
    let accept = request.header(header::ACCEPT).unwrap_or_default();
    if accept.starts_with("text/html") {
        return responses::html(StatusCode::OK, page(&format!("<p>{line}</p>")));
    }
    responses::text(StatusCode::INTERNAL_SERVER_ERROR, line)
}

fn page(body: &str) -> String {
    format!("<!doctype html>\n<title>OpenShift</title>\n{body}\n")
}

fn escaped(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    escaped.replace('>', "&gt;").replace('"', "&quot;")
}
