//! WebSocket connections of pod streams and their channel protocols, `v4.channel.k8s.io` and v5.
//!
//! Each binary message begins with the number of its channel. Only v5 can close one channel, with
//! `[255, channel]`. Older protocols, such as those with base64, are not supported.

use bytes::{BufMut as _, Bytes, BytesMut};
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use crate::demo::kubernetes::encoding::status::Status;
use crate::demo::request_body::RequestBody;
use crate::demo::{kubernetes::websocket_handshake, server::Body};

const CLOSE_CHANNEL: u8 = 255;

/// The server's end of an accepted WebSocket.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A channel protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `v4.channel.k8s.io`.
    V4,
    /// `v5.channel.k8s.io`, which can close a channel.
    V5,
}

/// A decoded message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Bytes on a channel.
    Data(u8, Bytes),
    /// The sender closed this channel.
    Closed(u8),
}

impl Protocol {
    /// The protocols of remote commands, the preferred one first.
    pub(super) const REMOTE_COMMAND: &[Self] = &[Self::V5, Self::V4];
    /// The protocols of port-forward.
    pub(super) const PORT_FORWARD: &[Self] = &[Self::V4];

    fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4.channel.k8s.io",
            Self::V5 => "v5.channel.k8s.io",
        }
    }

    /// Decodes a message; `None` if it belongs to no channel. Real servers ignore such messages, too.
    pub(super) fn decode(self, message: Message) -> Option<Frame> {
        let mut data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => Bytes::from(text),
            _ => return None,
        };
        if data.is_empty() {
            return None;
        }
        let first = data.split_to(1)[0];
        if self == Self::V5 && first == CLOSE_CHANNEL {
            return data.first().map(|&channel| Frame::Closed(channel));
        }
        Some(Frame::Data(first, data))
    }
}

/// Encodes a message with `data` on a channel.
pub(super) fn encode(channel: u8, data: &[u8]) -> Message {
    let mut message = BytesMut::with_capacity(1 + data.len());
    message.put_u8(channel);
    message.put_slice(data);
    Message::binary(message.freeze())
}

/// An accepted upgrade.
pub(super) struct Accepted {
    protocol: Protocol,
    response: Response<Body>,
    upgrade: OnUpgrade,
    /// Cancelled when the control plane stops.
    stop: CancellationToken,
}

impl Accepted {
    /// Returns the 101 response. Once it is sent, `serve` runs with the socket in its own task until
    /// it returns or the control plane stops.
    pub(super) fn serve<F>(
        self,
        serve: impl FnOnce(Socket, Protocol) -> F + Send + 'static,
    ) -> Response<Body>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self {
            protocol,
            response,
            upgrade,
            stop,
        } = self;
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            match upgrade.await {
                Ok(upgraded) => {
                    let stream = TokioIo::new(upgraded);
                    let socket = Socket::from_raw_socket(stream, Role::Server, None).await;
                    serve(socket, protocol).await;
                }
                Err(error) => tracing::debug!(%error, "the upgrade of a pod stream failed"),
            }
        }));
        response
    }
}

/// Accepts a WebSocket upgrade with one of the `supported` protocols. A `CancellationToken` in the
/// extensions of the request ends the socket later.
///
/// # Errors
/// The request is not a WebSocket upgrade, or lists only other subprotocols.
pub(super) fn accept(
    mut request: Request<RequestBody>,
    supported: &[Protocol],
) -> Result<Accepted, Status> {
    check_upgrade(request.method(), request.headers())?;
    let protocol = negotiate(request.headers(), supported)?;
    let name = HeaderValue::from_static(protocol.name());
    let response = websocket_handshake::accept(request.headers(), Some(name))
        .map_err(|error| Status::bad_request(format!("unable to upgrade: {error}")))?;
    Ok(Accepted {
        protocol,
        response,
        stop: request.extensions_mut().remove().unwrap_or_default(),
        upgrade: hyper::upgrade::on(&mut request),
    })
}

/// Checks that the request asks for an upgrade to WebSocket.
fn check_upgrade(method: &Method, headers: &HeaderMap) -> Result<(), Status> {
    let contains = |name, token| websocket_handshake::contains_token(headers, name, token);
    let error = if !contains(&CONNECTION, "upgrade") || !headers.contains_key(UPGRADE) {
        "Upgrade request required"
    } else if contains(&UPGRADE, "SPDY/3.1") {
        "SPDY/3.1 is not offered by the demo: use a WebSocket with \
         the subprotocol v4.channel.k8s.io (v5 too, but for port-forward)"
    } else if !contains(&UPGRADE, "websocket") {
        "unable to upgrade: only websocket is offered by the demo"
    } else if method != Method::GET {
        "unable to upgrade: a WebSocket handshake is a GET"
    } else {
        return Ok(());
    };
    Err(Status::bad_request(error))
}

/// Selects the first of the supported protocols that the client lists.
fn negotiate(headers: &HeaderMap, supported: &[Protocol]) -> Result<Protocol, Status> {
    let offered: Vec<&str> =
        websocket_handshake::tokens(headers, &SEC_WEBSOCKET_PROTOCOL).collect();
    let selected = supported
        .iter()
        .find(|protocol| offered.contains(&protocol.name()));
    selected.copied().ok_or_else(|| {
        // golang.org/x/net/websocket, which real servers use, responds with 403 to a handshake that
        // its hook refuses.
        let supported: Vec<_> = supported.iter().map(|protocol| protocol.name()).collect();
        let sentence = format!(
            "requested protocol(s) are not supported: [{}]; supports [{}]",
            offered.join(" "),
            supported.join(" ")
        );
        Status::forbidden(None, &sentence)
    })
}

#[cfg(test)]
mod tests;
