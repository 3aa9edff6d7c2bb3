//! The bearer token that a browser sends as a WebSocket subprotocol, since it cannot set headers there.

use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};

/// The subprotocol by which browsers pass a token to the API server
/// (k8s.io/apiserver/pkg/authentication/request/websocket).
const TOKEN_SUBPROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// Whether a WebSocket request brings a token.
pub(super) fn is_in(headers: &HeaderMap) -> bool {
    subprotocols(headers).any(is_token)
}

/// Returns the token that a WebSocket request brings, still encoded.
pub(super) fn find(headers: &HeaderMap) -> Option<&[u8]> {
    subprotocols(headers).find_map(|token| token.strip_prefix(TOKEN_SUBPROTOCOL.as_bytes()))
}

/// Removes the token, and keeps the other subprotocols.
pub(super) fn remove(headers: &mut HeaderMap) {
    remove_where(headers, |_| true);
}

/// Removes every token that `is_removed` says so of, still encoded, and keeps the other subprotocols.
pub(super) fn remove_where(headers: &mut HeaderMap, is_removed: impl Fn(&str) -> bool) {
    let is_kept = |subprotocol: &&[u8]| {
        let text = String::from_utf8_lossy(subprotocol);
        let token = text.trim().strip_prefix(TOKEN_SUBPROTOCOL);
        !token.is_some_and(&is_removed)
    };
    if subprotocols(headers).all(|subprotocol| is_kept(&subprotocol)) {
        return;
    }
    let kept: Vec<&[u8]> = subprotocols(headers).filter(is_kept).collect();
    // Parts of a header value make a header value; if not, none is better than the token.
    let value = HeaderValue::from_bytes(&kept.join(&b", "[..])).ok();
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// The API server trims all Unicode spaces before it compares the prefix.
fn is_token(subprotocol: &[u8]) -> bool {
    String::from_utf8_lossy(subprotocol)
        .trim_start()
        .starts_with(TOKEN_SUBPROTOCOL)
}
