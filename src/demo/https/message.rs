//! Reading requests and building responses, for the handlers of an
//! [`HttpsServer`](super::HttpsServer).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use serde_json::Value;

use crate::demo::form::{self, Form};

/// A response with JSON.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Bytes> {
    let mut response = Response::new(value.to_string().into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, content_type);
    let cache = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, cache);
    response
}

/// A response with plain text.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// A redirect with 302; 400 if the target is not a valid header value.
pub(crate) fn redirect(target: &str) -> Response<Bytes> {
    let Ok(target) = HeaderValue::from_str(target) else {
        return text(StatusCode::BAD_REQUEST, "the redirect is not a URL");
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, target);
    response
}

/// The form in the body; empty if the body is not UTF-8.
pub(crate) fn form(request: &Request<Bytes>) -> Form {
    Form::parse(std::str::from_utf8(request.body()).ok())
}

/// The URL of the server that the request was sent to, `https://host:port`.
pub(crate) fn origin(request: &Request<Bytes>) -> String {
    let authority = request.uri().authority();
    format!("https://{}", authority.map_or("", |host| host.as_str()))
}

/// The bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    credentials(headers, "bearer")
}

/// User and password of `Authorization: Basic`.
pub(crate) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let pair = BASE64_STANDARD
        .decode(credentials(headers, "basic")?)
        .ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Like [`basic`], for OAuth clients, which form-encode both parts (RFC 6749, section 2.3.1).
pub(crate) fn basic_client(headers: &HeaderMap) -> Option<(String, String)> {
    let (id, secret) = basic(headers)?;
    Some((form::decode(&id), form::decode(&secret)))
}

fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (name, rest) = value.split_once(' ')?;
    name.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn client_credentials_are_form_decoded_and_user_credentials_are_not() {
        let mut headers = HeaderMap::new();
        assert!(basic(&headers).is_none() && bearer(&headers).is_none());
        let encoded = BASE64_STANDARD.encode("kube:s%26t+u");
        let value = format!("basic {encoded}").parse().unwrap();
        headers.insert(header::AUTHORIZATION, value);
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(basic_client(&headers), pair("kube", "s&t u"));
        assert_eq!(basic(&headers), pair("kube", "s%26t+u"));
    }
}
