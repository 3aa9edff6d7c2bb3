//! Watches over WebSocket, with one text message per event.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, Utf8Bytes, protocol::Role},
};

use super::watch::Watch;
use crate::demo::{
    form::Form,
    kubernetes::{
        api_server::ApiServer,
        encoding::{status::Status, view::View},
        route::Target,
        websocket_handshake,
    },
    request_body::RequestBody,
    server::{Body, full_body},
};

/// Responds to the handshake, and sends the events after it.
///
/// Like API servers it refuses, with an empty body, a request without `Origin` (403), one with two
/// subprotocols and one without a key (400).
pub(crate) fn respond(
    server: &Arc<ApiServer>,
    mut request: Request<RequestBody>,
    target: &Target,
    query: &Form,
    view: View,
) -> Result<Response<Body>, Status> {
    let response = match accept(request.headers()) {
        Ok(response) => response,
        Err(code) => {
            let mut refused = Response::new(full_body(Bytes::new()));
            *refused.status_mut() = code;
            return Ok(refused);
        }
    };
    let watch = Watch::start((&server.store, &server.stop), target, query, view)?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(serve(upgrade, watch));
    Ok(response)
}

/// The 101 response, or the status of the refusal.
fn accept(headers: &HeaderMap) -> Result<Response<Body>, StatusCode> {
    let origin = headers.get(header::ORIGIN);
    if origin.is_none_or(|origin| origin.is_empty() || origin == "null") {
        return Err(StatusCode::FORBIDDEN);
    }
    let mut protocols = websocket_handshake::tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL);
    let protocol = protocols.next().map(HeaderValue::from_str).transpose();
    let protocol = protocol.map_err(|_| StatusCode::BAD_REQUEST)?;
    if protocols.next().is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    websocket_handshake::accept(headers, protocol).map_err(|_| StatusCode::BAD_REQUEST)
}

/// Sends events until the watch ends or the client closes. Other messages of the client are
/// ignored.
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
                // The client closed or is gone. The stream itself responds to a close frame.
                Some(Err(_)) | None => return,
            },
        }
    }
    // The watch has ended. An error means that the client is gone already.
    let _ = socket.close(None).await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn accept_with(
        extra: &[(&'static str, &'static str)],
    ) -> Result<Option<HeaderValue>, StatusCode> {
        let mut headers = HeaderMap::new();
        let base = [
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in base.iter().chain(extra) {
            headers.insert(*name, value.parse().unwrap());
        }
        let mut response = accept(&headers)?;
        Ok(response.headers_mut().remove("sec-websocket-protocol"))
    }

    #[test]
    fn a_request_without_origin_or_with_two_subprotocols_is_refused() {
        assert_eq!(accept_with(&[]).unwrap_err(), StatusCode::FORBIDDEN);
        let origin = ("origin", "http://localhost");
        let two = [origin, ("sec-websocket-protocol", "a, b")];
        assert_eq!(accept_with(&two).unwrap_err(), StatusCode::BAD_REQUEST);
        assert_eq!(accept_with(&[origin]).unwrap(), None);
        let one = accept_with(&[origin, ("sec-websocket-protocol", "a")]).unwrap();
        assert_eq!(one.unwrap(), "a");
    }
}
