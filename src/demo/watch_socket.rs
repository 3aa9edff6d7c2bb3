//! A watch over WebSocket: one text frame an event.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, Utf8Bytes, handshake::derive_accept_key, protocol::Role},
};

use super::{
    Body, query::Query, respond, route::Target, router::Plane, status::Status, view::View,
    watch::Watch,
};

/// Whether a request asks to become a WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    let names = |name, token: &str| {
        headers.get_all(name).iter().any(|value| {
            let mut tokens = value.to_str().unwrap_or_default().split(',');
            tokens.any(|t| t.trim().eq_ignore_ascii_case(token))
        })
    };
    names(header::CONNECTION, "upgrade") && names(header::UPGRADE, "websocket")
}

/// Answers the handshake and sends the events behind it.
///
/// As the API server does, it refuses a client without `Origin` (403), one that offers two
/// subprotocols (400) or no key, each with an empty body.
pub(super) fn answer(
    plane: &Arc<Plane>,
    mut request: Request<Incoming>,
    target: &Target,
    query: &Query,
    view: View,
) -> Result<Response<Body>, Status> {
    let accepted = match handshake(request.headers()) {
        Ok(headers) => headers,
        Err(code) => {
            let mut refused = Response::new(respond::body(Bytes::new()));
            *refused.status_mut() = code;
            return Ok(refused);
        }
    };
    let watch = Watch::start(plane.clone(), target, query, view)?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(serve(upgrade, watch));
    let mut response = Response::new(respond::body(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = accepted;
    Ok(response)
}

/// The headers of the 101, or why there is none.
fn handshake(headers: &HeaderMap) -> Result<HeaderMap, StatusCode> {
    let text = |name| {
        let value: Option<&HeaderValue> = headers.get(name);
        value.and_then(|value| value.to_str().ok())
    };
    let origin = text(header::ORIGIN).unwrap_or_default();
    if origin.is_empty() || origin == "null" {
        return Err(StatusCode::FORBIDDEN);
    }
    if text(header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(StatusCode::BAD_REQUEST);
    }
    let key = text(header::SEC_WEBSOCKET_KEY).ok_or(StatusCode::BAD_REQUEST)?;
    let mut accepted = HeaderMap::new();
    let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut protocols = protocols
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .map(str::trim)
        .filter(|protocol| !protocol.is_empty());
    if let Some(protocol) = protocols.next() {
        let value = HeaderValue::from_str(protocol).map_err(|_| StatusCode::BAD_REQUEST)?;
        accepted.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    if protocols.next().is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    accepted.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    accepted.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .map_err(|_| StatusCode::BAD_REQUEST)?;
    accepted.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(accepted)
}

/// Sends events until either side is done. What the client says is read (it may close) and
/// otherwise ignored.
async fn serve(upgrade: OnUpgrade, mut watch: Watch) {
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    let io = TokioIo::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
    loop {
        tokio::select! {
            line = watch.next() => {
                let Some(text) = line.and_then(|line| Utf8Bytes::try_from(line).ok()) else {
                    break;
                };
                if socket.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
            message = socket.next() => match message {
                Some(Ok(_)) => {}
                // Gone, or closed: the answer to a close frame is sent by the stream itself.
                Some(Err(_)) | None => return,
            },
        }
    }
    // The events are over; a client that is gone by now needs no goodbye.
    let _ = socket.close(None).await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer_to(extra: &[(&'static str, &'static str)]) -> Result<HeaderMap, StatusCode> {
        let mut headers = HeaderMap::new();
        let base = [
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in base.iter().chain(extra) {
            headers.insert(*name, value.parse().unwrap());
        }
        handshake(&headers)
    }

    #[test]
    fn the_key_is_answered_as_in_the_rfc() {
        let headers = answer_to(&[("origin", "http://localhost")]).unwrap();
        assert_eq!(
            headers["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn no_origin_is_forbidden_and_two_subprotocols_are_a_bad_request() {
        assert_eq!(answer_to(&[]).unwrap_err(), StatusCode::FORBIDDEN);
        let origin = ("origin", "http://localhost");
        let two = [origin, ("sec-websocket-protocol", "a, b")];
        assert_eq!(answer_to(&two).unwrap_err(), StatusCode::BAD_REQUEST);
        let one = answer_to(&[origin, ("sec-websocket-protocol", "a")]).unwrap();
        assert_eq!(one["sec-websocket-protocol"], "a");
    }
}
