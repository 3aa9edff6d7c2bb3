#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::Message;

use super::{Frame, Protocol, check_handshake, negotiate};

fn data(channel: u8, bytes: &'static [u8]) -> Frame {
    Frame::Data(channel, Bytes::from_static(bytes))
}

#[test]
fn binary_messages_begin_with_the_channel() {
    let message = Protocol::V4.encode(1, b"hi");
    assert_eq!(message, Message::binary(&b"\x01hi"[..]));
    assert_eq!(Protocol::V4.decode(message), Some(data(1, b"hi")));
    assert_eq!(Protocol::V4.decode(Message::binary(&b""[..])), None);
}

#[test]
fn base64_messages_are_text_with_a_digit() {
    let message = Protocol::V4Base64.encode(1, b"hi");
    assert_eq!(message, Message::text("1aGk="));
    assert_eq!(Protocol::V4Base64.decode(message), Some(data(1, b"hi")));
    assert_eq!(Protocol::V4Base64.decode(Message::text("1!")), None);
}

#[test]
fn only_v5_can_close_a_channel() {
    let close = || Message::binary(&[255, 0][..]);
    assert_eq!(Protocol::V5.decode(close()), Some(Frame::Closed(0)));
    assert_eq!(Protocol::V4.decode(close()), Some(data(255, b"\0")));
}

fn asking(lists: &[&'static str]) -> HeaderMap {
    let lines = lists.iter().map(|list| HeaderValue::from_static(list));
    lines.map(|line| (SEC_WEBSOCKET_PROTOCOL, line)).collect()
}

#[test]
fn v5_wins_else_the_clients_first_choice() {
    let choose = |lists: &[&'static str]| negotiate(&asking(lists), Protocol::REMOTE_COMMAND);
    let v4_then_v5 = ["v4.channel.k8s.io, v5.channel.k8s.io"];
    assert_eq!(choose(&v4_then_v5).unwrap(), Protocol::V5);
    let twice = ["base64.channel.k8s.io", "v4.channel.k8s.io"];
    assert_eq!(choose(&twice).unwrap(), Protocol::Base64Channel);
    assert_eq!(choose(&["x, v4.channel.k8s.io"]).unwrap(), Protocol::V4);
    assert_eq!(choose(&[]).unwrap(), Protocol::Unnamed);
    let refused = choose(&["v9.channel.k8s.io"]).unwrap_err().message;
    assert!(refused.contains("v9.channel.k8s.io"), "{refused}");
}

#[test]
fn a_bearer_subprotocol_is_neither_chosen_nor_named() {
    let bearer = "base64url.bearer.authorization.k8s.io.c2VjcmV0";
    let choose = |lists: &[&'static str]| negotiate(&asking(lists), Protocol::REMOTE_COMMAND);
    assert_eq!(
        choose(&[bearer, "v4.channel.k8s.io"]).unwrap(),
        Protocol::V4
    );
    assert_eq!(choose(&[bearer]).unwrap(), Protocol::Unnamed);
    let refused = choose(&[bearer, "x"]).unwrap_err().message;
    assert!(!refused.contains("c2VjcmV0"), "{refused}");
}

fn handshake(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let name = |name: &str| name.parse::<hyper::header::HeaderName>().unwrap();
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| (name(key), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn a_handshake_is_answered_as_rfc_6455_shows() {
    let headers = handshake(&[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]);
    let accept = check_handshake(&Method::GET, &headers).unwrap();
    assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(check_handshake(&Method::POST, &headers).is_err());
}

#[test]
fn what_is_no_websocket_handshake_is_refused_with_the_reason() {
    let refusal = |pairs: &[(&'static str, &'static str)]| {
        let refused = check_handshake(&Method::GET, &handshake(pairs));
        refused.unwrap_err().message
    };
    assert_eq!(refusal(&[]), "Upgrade request required");
    assert_eq!(
        refusal(&[("upgrade", "websocket")]),
        "Upgrade request required"
    );
    let upgrade = ("connection", "Upgrade");
    assert!(refusal(&[upgrade, ("upgrade", "SPDY/3.1")]).starts_with("SPDY/3.1 is not offered"));
    assert!(refusal(&[upgrade, ("upgrade", "h2c")]).contains("only websocket"));
    let websocket = ("upgrade", "websocket");
    assert!(refusal(&[upgrade, websocket]).contains("Version"));
    let version = ("sec-websocket-version", "13");
    assert!(refusal(&[upgrade, websocket, version]).contains("Key"));
}
