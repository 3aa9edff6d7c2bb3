//! The pages for a browser: signing in, and showing a token.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};

use super::{
    answers,
    clients::{BROWSER, DISPLAY},
    codes::Exchange,
    oauth::{Asked, OAuthServer},
    random_text, token,
};

/// The cookie of a browser that is signed in.
pub(super) const SESSION: &str = "ssn";

const CSRF: &str = "csrf";

/// `/login`: a form, and what comes of it.
pub(super) fn login(server: &OAuthServer, asked: &Asked<'_>) -> Response<Bytes> {
    let then = asked.get("then");
    // Only back to ourselves: `//host` would be another.
    let then = if then.starts_with('/') && !then.starts_with("//") {
        then
    } else {
        "/"
    };
    if *asked.method != Method::POST {
        return login_form(then, "");
    }
    if asked
        .cookie(CSRF)
        .is_none_or(|cookie| cookie != asked.get(CSRF))
    {
        return login_form(then, "Could not check CSRF token. Please try again.");
    }
    let Some(user) = server.log_in(asked.get("username"), asked.get("password")) else {
        return login_form(then, "Invalid login or password. Please try again.");
    };
    let cookie = format!(
        "{SESSION}={}; Path=/; HttpOnly; Secure",
        server.sign_in(&user)
    );
    answers::with(answers::redirect(then), header::SET_COOKIE, &cookie)
}

fn login_form(then: &str, error: &str) -> Response<Bytes> {
    let csrf = random_text();
    let page = page(&format!(
        "<p>{error}</p>\n<form method=\"post\" action=\"/login\">\n\
         <input type=\"hidden\" name=\"then\" value=\"{}\">\n\
         <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
         <label>Username <input name=\"username\" autofocus></label>\n\
         <label>Password <input name=\"password\" type=\"password\"></label>\n\
         <button type=\"submit\">Log in</button>\n</form>",
        escaped(then)
    ));
    let cookie = format!("{CSRF}={csrf}; Path=/; HttpOnly; Secure");
    answers::with(
        answers::html(StatusCode::OK, page),
        header::SET_COOKIE,
        &cookie,
    )
}

/// `/oauth/token/request`: where people without a terminal login are sent.
pub(super) fn request_token(server: &OAuthServer) -> Response<Bytes> {
    let back = format!("{}{DISPLAY}", server.url());
    let pairs = [
        ("client_id", BROWSER),
        ("redirect_uri", &back),
        ("response_type", "code"),
    ];
    let authorize = format!("{}/oauth/authorize", server.url());
    answers::redirect(&answers::with_query(&authorize, &pairs))
}

/// `/oauth/token/display`: a button, and the token behind it.
pub(super) fn display_token(
    server: &OAuthServer,
    asked: &Asked<'_>,
    now: SystemTime,
) -> Response<Bytes> {
    let code = asked.get("code");
    if *asked.method != Method::POST {
        let csrf = random_text();
        let page = page(&format!(
            "<form method=\"post\" action=\"{DISPLAY}\">\n\
             <input type=\"hidden\" name=\"code\" value=\"{}\">\n\
             <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
             <button type=\"submit\">Display Token</button>\n</form>",
            escaped(code)
        ));
        let cookie = format!("{CSRF}={csrf}; Path=/; HttpOnly; Secure");
        return answers::with(
            answers::html(StatusCode::OK, page),
            header::SET_COOKIE,
            &cookie,
        );
    }
    if asked
        .cookie(CSRF)
        .is_none_or(|cookie| cookie != asked.get(CSRF))
    {
        let line = "Could not check CSRF token. Please try again.";
        return answers::text(StatusCode::BAD_REQUEST, line);
    }
    let by = Exchange {
        code,
        client: BROWSER,
        redirect_uri: &format!("{}{DISPLAY}", server.url()),
        verifier: "",
    };
    let again = "<p><a href=\"/oauth/token/request\">Request another token</a></p>";
    match token::redeem(server, &by, now) {
        Ok(granted) => {
            let token = granted.token.expose();
            let shown = format!("<h2>Your API token is</h2>\n<code>{token}</code>\n{again}");
            answers::html(StatusCode::OK, page(&shown))
        }
        Err(problem) => {
            let shown = format!("<p>Error getting token: {}</p>\n{again}", problem.code());
            answers::html(StatusCode::INTERNAL_SERVER_ERROR, page(&shown))
        }
    }
}

/// `/oauth/token/implicit`: where a client that answers challenges need not go.
pub(super) fn implicit() -> Response<Bytes> {
    let line = "You have reached this page by following a redirect Location header from an OAuth \
                authorize request: take the code or token out of that header instead.";
    answers::text(StatusCode::OK, line)
}

/// A header that is no Basic credential: a page for browsers, an error for the rest.
pub(super) fn authentication_failed(asked: &Asked<'_>) -> Response<Bytes> {
    let line = "An authentication error occurred.";
    let accept = asked.header(header::ACCEPT).unwrap_or_default();
    if accept.starts_with("text/html") {
        return answers::html(StatusCode::OK, page(&format!("<p>{line}</p>")));
    }
    answers::text(StatusCode::INTERNAL_SERVER_ERROR, line)
}

fn page(body: &str) -> String {
    format!("<!doctype html>\n<title>OpenShift</title>\n{body}\n")
}

fn escaped(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    escaped.replace('>', "&gt;").replace('"', "&quot;")
}
