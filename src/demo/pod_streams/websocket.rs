//! The WebSocket handshake of pod streams and their channel protocols.
//!
//! Each message begins with its channel's number: a byte in the binary protocols, a digit
//! before base64 text in the others (apimachinery's `wsstream`). Only v5 can close one
//! channel: `[255, channel]`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use crate::demo::Body;
use crate::demo::status::Status;

/// A bearer token in the guise of a subprotocol: the authenticator's, not ours.
const BEARER_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";
const CLOSE_CHANNEL: u8 = 255;

/// The server's end of an accepted WebSocket.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A channel protocol that client and server agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// No subprotocol named: the same as `channel.k8s.io`.
    Unnamed,
    /// `channel.k8s.io`, without a status at the end.
    Channel,
    /// `base64.channel.k8s.io`, without a status at the end.
    Base64Channel,
    /// `v4.channel.k8s.io`.
    V4,
    /// `v4.base64.channel.k8s.io`.
    V4Base64,
    /// `v5.channel.k8s.io`, which can close a channel.
    V5,
}

/// A message, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Bytes on a channel.
    Data(u8, Bytes),
    /// The sender closed this channel.
    Closed(u8),
}

impl Protocol {
    /// Those of remote commands (kubelet's, and v5 of the API server itself).
    pub(super) const REMOTE_COMMAND: &[Self] = &[
        Self::V5,
        Self::V4,
        Self::V4Base64,
        Self::Channel,
        Self::Base64Channel,
        Self::Unnamed,
    ];
    /// Those of port-forward.
    pub(super) const PORT_FORWARD: &[Self] = &[Self::V4, Self::V4Base64, Self::Unnamed];

    fn name(self) -> &'static str {
        match self {
            Self::Unnamed => "",
            Self::Channel => "channel.k8s.io",
            Self::Base64Channel => "base64.channel.k8s.io",
            Self::V4 => "v4.channel.k8s.io",
            Self::V4Base64 => "v4.base64.channel.k8s.io",
            Self::V5 => "v5.channel.k8s.io",
        }
    }

    /// Whether the stream ends with a JSON `Status`; the oldest give an error's text.
    pub(super) fn has_json_status(self) -> bool {
        matches!(self, Self::V4 | Self::V4Base64 | Self::V5)
    }

    pub(super) fn encode(self, channel: u8, data: &[u8]) -> Message {
        if self.is_base64() {
            let digit = char::from(b'0' + channel);
            return Message::text(format!("{digit}{}", STANDARD.encode(data)));
        }
        let mut message = BytesMut::with_capacity(1 + data.len());
        message.put_u8(channel);
        message.put_slice(data);
        Message::binary(message.freeze())
    }

    /// Takes a message apart; `None` where it belongs to no channel. Real servers ignore
    /// those too.
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
        if self.is_base64() {
            let channel = first.checked_sub(b'0')?;
            let data = STANDARD.decode(&data).ok()?;
            return Some(Frame::Data(channel, data.into()));
        }
        if self == Self::V5 && first == CLOSE_CHANNEL {
            return data.first().map(|&channel| Frame::Closed(channel));
        }
        Some(Frame::Data(first, data))
    }

    fn is_base64(self) -> bool {
        matches!(self, Self::Base64Channel | Self::V4Base64)
    }
}

/// An upgrade that is agreed on.
pub(super) struct Accepted {
    protocol: Protocol,
    response: Response<Body>,
    upgrade: OnUpgrade,
    /// Set once the whole control plane stops.
    stop: CancellationToken,
}

impl Accepted {
    /// The 101 to answer with. Once it is written, `serve` has the socket, in a task of
    /// its own, until it is done or the control plane stops.
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
                Err(error) => tracing::debug!(%error, "a pod stream's upgrade failed"),
            }
        }));
        response
    }
}

/// Agrees to a WebSocket upgrade with one of the `supported` protocols. A
/// `CancellationToken` among the request's extensions ends the socket later.
///
/// # Errors
/// The request is no such upgrade (SPDY included), or lists only other subprotocols.
pub(super) fn accept(
    mut request: Request<Incoming>,
    supported: &[Protocol],
) -> Result<Accepted, Status> {
    let key = check_handshake(request.method(), request.headers())?;
    let protocol = negotiate(request.headers(), supported)?;
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, key);
    if protocol != Protocol::Unnamed {
        let name = HeaderValue::from_static(protocol.name());
        headers.insert(SEC_WEBSOCKET_PROTOCOL, name);
    }
    Ok(Accepted {
        protocol,
        response,
        stop: request.extensions_mut().remove().unwrap_or_default(),
        upgrade: hyper::upgrade::on(&mut request),
    })
}

/// The `Sec-WebSocket-Accept` that answers a well-formed handshake (RFC 6455, 4.2.1).
fn check_handshake(method: &Method, headers: &HeaderMap) -> Result<HeaderValue, Status> {
    let refuse = |text: &str| Err(Status::bad_request(text));
    if !lists(headers, &CONNECTION, "upgrade") || !headers.contains_key(UPGRADE) {
        return refuse("Upgrade request required");
    }
    if lists(headers, &UPGRADE, "SPDY/3.1") {
        return refuse(
            "SPDY/3.1 is not offered by the demo: use a WebSocket with \
             the subprotocol v4.channel.k8s.io (v5 too, but for port-forward)",
        );
    }
    if !lists(headers, &UPGRADE, "websocket") {
        return refuse("unable to upgrade: only websocket is offered by the demo");
    }
    if method != Method::GET {
        return refuse("unable to upgrade: a WebSocket handshake is a GET");
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .map(HeaderValue::as_bytes)
        != Some(b"13")
    {
        return refuse("unable to upgrade: Sec-WebSocket-Version must be 13");
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
        return refuse("unable to upgrade: Sec-WebSocket-Key is missing");
    };
    HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .map_err(|_| Status::bad_request("unable to upgrade: bad Sec-WebSocket-Key"))
}

/// v5 if it is listed at all, as the API server itself speaks it; else the client's first
/// choice that is supported.
fn negotiate(headers: &HeaderMap, supported: &[Protocol]) -> Result<Protocol, Status> {
    let asked: Vec<&str> = tokens(headers, &SEC_WEBSOCKET_PROTOCOL)
        .filter(|name| !name.starts_with(BEARER_PREFIX))
        .collect();
    let find = |name: &&str| {
        supported
            .iter()
            .copied()
            .find(|known| known.name() == *name)
    };
    if asked.contains(&Protocol::V5.name()) && supported.contains(&Protocol::V5) {
        return Ok(Protocol::V5);
    }
    let found = if asked.is_empty() {
        find(&"")
    } else {
        asked.iter().find_map(find)
    };
    found.ok_or_else(|| {
        // golang.org/x/net/websocket, which real servers use, answers 403 to a handshake that
        // its hook refuses.
        let supported: Vec<_> = supported.iter().map(|known| known.name()).collect();
        let what = format!(
            "requested protocol(s) are not supported: [{}]; supports [{}]",
            asked.join(" "),
            supported.join(" ")
        );
        Status::forbidden(None, &what)
    })
}

fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|listed| listed.eq_ignore_ascii_case(token))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
