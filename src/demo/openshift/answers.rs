//! The answers of the OAuth server: JSON, redirects, challenges, pages.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

const CACHE_CONTROL: &str = "no-cache, no-store, max-age=0, must-revalidate";

/// What Go's `url.QueryEscape` leaves alone; a space becomes `+`.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b' ');

/// An error of RFC 6749, with the words of `OpenShift`'s library for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    InvalidRequest,
    UnauthorizedClient,
    AccessDenied,
    UnsupportedResponseType,
    UnsupportedGrantType,
    InvalidGrant,
}

impl Problem {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidGrant => "invalid_grant",
        }
    }

    pub(super) fn description(self) -> &'static str {
        match self {
            Self::InvalidRequest => {
                "The request is missing a required parameter, includes an invalid parameter \
                 value, includes a parameter more than once, or is otherwise malformed."
            }
            Self::UnauthorizedClient => {
                "The client is not authorized to request a token using this method."
            }
            Self::AccessDenied => "The resource owner or authorization server denied the request.",
            Self::UnsupportedResponseType => {
                "The authorization server does not support obtaining a token using this method."
            }
            Self::UnsupportedGrantType => {
                "The authorization grant type is not supported by the authorization server."
            }
            Self::InvalidGrant => {
                "The provided authorization grant (e.g., authorization code, resource owner \
                 credentials) or refresh token is invalid, expired, revoked, does not match the \
                 redirection URI used in the authorization request, or was issued to another \
                 client."
            }
        }
    }

    /// 400, as JSON.
    pub(super) fn answer(self) -> Response<Bytes> {
        let body = json!({"error": self.code(), "error_description": self.description()});
        self::json(StatusCode::BAD_REQUEST, &body)
    }
}

/// JSON, with the newline that Go ends it with.
pub(super) fn json(status: StatusCode, body: &Value) -> Response<Bytes> {
    with_type(status, "application/json", format!("{body}\n"))
}

/// A page.
pub(super) fn html(status: StatusCode, body: String) -> Response<Bytes> {
    with_type(status, "text/html; charset=utf-8", body)
}

/// A line of text.
pub(super) fn text(status: StatusCode, line: &str) -> Response<Bytes> {
    with_type(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

fn with_type(status: StatusCode, kind: &'static str, body: String) -> Response<Bytes> {
    let mut response = empty(status);
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    *response.body_mut() = body.into();
    response
}

/// No body.
pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(CACHE_CONTROL),
    );
    response
}

/// 302.
pub(super) fn redirect(to: &str) -> Response<Bytes> {
    with(empty(StatusCode::FOUND), header::LOCATION, to)
}

/// The answer with one header more.
pub(super) fn with(
    mut response: Response<Bytes>,
    name: HeaderName,
    value: &str,
) -> Response<Bytes> {
    // Whatever came in a URI is ASCII that a header can hold; what is not stays out.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
    response
}

/// A 401 that says in a `Warning`, and in its body, what else to do.
pub(super) fn warning(line: &str) -> Response<Bytes> {
    let quoted = format!("199 Origin \"{line}\"");
    with(
        text(StatusCode::UNAUTHORIZED, line),
        header::WARNING,
        &quoted,
    )
}

/// Pairs as a form, as Go's `url.Values.Encode` writes it when given in the order of their names.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in pairs {
        let value = utf8_percent_encode(value, FORM).to_string();
        let separator = if form.is_empty() { "" } else { "&" };
        let _ = write!(form, "{separator}{name}={}", value.replace(' ', "+"));
    }
    form
}

/// A URI with pairs added to its query.
pub(super) fn with_query(uri: &str, pairs: &[(&str, &str)]) -> String {
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{}", form(pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_written_as_go_writes_them() {
        let error = "[0]: Invalid value: \"user:nope\": no scope handler found";
        assert_eq!(
            form(&[("error", "invalid_scope"), ("error_description", error)]),
            "error=invalid_scope&error_description=%5B0%5D%3A+Invalid+value%3A+%22user%3Anope%22\
             %3A+no+scope+handler+found"
        );
        let uri = with_query("https://x/?a=1", &[("code", "sha256~a-_."), ("state", "")]);
        assert_eq!(uri, "https://x/?a=1&code=sha256~a-_.&state=");
    }
}
