//! The responses of the OAuth server: JSON, redirects, challenges, pages.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

const CACHE_CONTROL: &str = "no-cache, no-store, max-age=0, must-revalidate";

/// An error of RFC 6749, with the description that `OpenShift` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OAuthError {
    InvalidRequest,
    UnauthorizedClient,
    AccessDenied,
    UnsupportedResponseType,
    UnsupportedGrantType,
    InvalidGrant,
}

impl OAuthError {
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

    /// The error as a 400 with JSON.
    pub(super) fn response(self) -> Response<Bytes> {
        let body = json!({"error": self.code(), "error_description": self.description()});
        self::json(StatusCode::BAD_REQUEST, &body)
    }
}

/// A response with JSON and the newline that Go's encoder adds.
pub(super) fn json(status: StatusCode, body: &Value) -> Response<Bytes> {
    with_type(status, "application/json", format!("{body}\n"))
}

/// A response with an HTML page.
pub(super) fn html(status: StatusCode, body: String) -> Response<Bytes> {
    with_type(status, "text/html; charset=utf-8", body)
}

/// A response with a line of text.
pub(super) fn text(status: StatusCode, line: &str) -> Response<Bytes> {
    with_type(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = empty(status);
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    *response.body_mut() = body.into();
    response
}

/// A response without a body.
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

/// A redirect with 302.
pub(super) fn redirect(to: &str) -> Response<Bytes> {
    with_header(empty(StatusCode::FOUND), header::LOCATION, to)
}

/// Adds a header to a response.
pub(super) fn with_header(
    mut response: Response<Bytes>,
    name: HeaderName,
    value: &str,
) -> Response<Bytes> {
    // A value that was part of a URI is valid in a header. Any other invalid value is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
    response
}

/// A 401 that tells the user in a `Warning` header, and in the body, what else to do.
pub(super) fn warning(line: &str) -> Response<Bytes> {
    let quoted = format!("199 Origin \"{line}\"");
    with_header(
        text(StatusCode::UNAUTHORIZED, line),
        header::WARNING,
        &quoted,
    )
}
