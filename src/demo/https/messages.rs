//! What handlers read of a request, and how they answer.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::demo::form::Query;

/// A body of JSON.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Bytes> {
    let mut response = Response::new(value.to_string().into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, kind);
    let cache = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, cache);
    response
}

/// Text for a human.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A redirect with 302; 400 where the target cannot stand in a header.
pub(crate) fn redirect(target: &str) -> Response<Bytes> {
    let Ok(target) = HeaderValue::from_str(target) else {
        return text(StatusCode::BAD_REQUEST, "the redirect is no URL");
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, target);
    response
}

/// The fields of a form; none where the body is not text.
pub(crate) fn form(request: &Request<Bytes>) -> Query {
    Query::parse(std::str::from_utf8(request.body()).ok())
}

/// The URL of the host that a request came to, `https://host:port`.
pub(crate) fn origin(request: &Request<Bytes>) -> String {
    let authority = request.uri().authority();
    format!("https://{}", authority.map_or("", |host| host.as_str()))
}

/// The bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    scheme(headers, "bearer")
}

/// User and password of `Authorization: Basic`.
pub(crate) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let pair = BASE64_STANDARD.decode(scheme(headers, "basic")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// As [`basic`], for OAuth clients, which form-encode both first (RFC 6749, section 2.3.1).
pub(crate) fn basic_client(headers: &HeaderMap) -> Option<(String, String)> {
    let (id, secret) = basic(headers)?;
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    Some((decoded(&id), decoded(&secret)))
}

fn scheme<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case(name).then(|| rest.trim())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_read_as_oauth_encodes_it_and_a_user_as_it_stands() {
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
