//! A watch over WebSocket: one text frame an event.

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
use crate::demo::request_body::RequestBody;
use crate::demo::{
    form::Query,
    kubernetes::{
        encoding::{response, status::Status, view::View},
        route::Target,
        router::Plane,
        websocket_handshake,
    },
    server::Body,
};

/// Answers the handshake and sends the events behind it.
///
/// As the API server does, it refuses a client without `Origin` (403), one that offers two
/// subprotocols (400) or no key, each with an empty body.
pub(crate) fn answer(
    plane: &Arc<Plane>,
    mut request: Request<RequestBody>,
    target: &Target,
    query: &Query,
    view: View,
) -> Result<Response<Body>, Status> {
    let response = match accept(request.headers()) {
        Ok(response) => response,
        Err(code) => {
            let mut refused = Response::new(response::body(Bytes::new()));
            *refused.status_mut() = code;
            return Ok(refused);
        }
    };
    let watch = Watch::start((&plane.store, &plane.stop), target, query, view)?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(serve(upgrade, watch));
    Ok(response)
}

/// The 101, or why there is none.
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
    websocket_handshake::switch(headers, protocol).map_err(|_| StatusCode::BAD_REQUEST)
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

    fn answer_to(
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
    fn no_origin_is_forbidden_and_two_subprotocols_are_a_bad_request() {
        assert_eq!(answer_to(&[]).unwrap_err(), StatusCode::FORBIDDEN);
        let origin = ("origin", "http://localhost");
        let two = [origin, ("sec-websocket-protocol", "a, b")];
        assert_eq!(answer_to(&two).unwrap_err(), StatusCode::BAD_REQUEST);
        assert_eq!(answer_to(&[origin]).unwrap(), None);
        let one = answer_to(&[origin, ("sec-websocket-protocol", "a")]).unwrap();
        assert_eq!(one.unwrap(), "a");
    }
}
