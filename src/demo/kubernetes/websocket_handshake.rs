//! The WebSocket handshake (RFC 6455, section 4.2) of watches and pod streams.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::demo::server::{Body, full_body};

/// The comma-separated tokens of all lines of a header.
pub(crate) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// Whether a header contains `token`, in any case.
pub(crate) fn contains_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|listed| listed.eq_ignore_ascii_case(token))
}

/// Whether a request asks for an upgrade to WebSocket.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    contains_token(headers, &header::CONNECTION, "upgrade")
        && contains_token(headers, &header::UPGRADE, "websocket")
}

/// The 101 response to a handshake of version 13, with the selected subprotocol. The error says
/// what is wrong with the handshake.
pub(crate) fn accept(
    headers: &HeaderMap,
    protocol: Option<HeaderValue>,
) -> Result<Response<Body>, &'static str> {
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != "13") {
        return Err("Sec-WebSocket-Version must be 13");
    }
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .ok_or("Sec-WebSocket-Key is missing")?;
    let accept_key = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .map_err(|_| "bad Sec-WebSocket-Key")?;
    let mut response = Response::new(full_body(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let response_headers = response.headers_mut();
    response_headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response_headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response_headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept_key);
    if let Some(protocol) = protocol {
        response_headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_key_is_that_of_the_rfc() {
        let mut headers = HeaderMap::new();
        headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
        assert!(accept(&headers, None).unwrap_err().contains("Key"));
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        headers.insert("sec-websocket-key", key);
        let response = accept(&headers, None).unwrap();
        assert_eq!(
            response.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        headers.insert("sec-websocket-version", HeaderValue::from_static("12"));
        assert!(accept(&headers, None).unwrap_err().contains("Version"));
    }

    #[test]
    fn an_upgrade_is_recognized_among_other_tokens_and_in_any_case() {
        let mut headers = HeaderMap::new();
        headers.append(
            "connection",
            HeaderValue::from_static("keep-alive, Upgrade"),
        );
        assert!(!is_upgrade(&headers));
        headers.append("upgrade", HeaderValue::from_static("WebSocket"));
        assert!(is_upgrade(&headers));
    }
}
