#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::Message;

use super::{Frame, Protocol, check_upgrade, encode, negotiate};

fn data(channel: u8, bytes: &'static [u8]) -> Frame {
    Frame::Data(channel, Bytes::from_static(bytes))
}

#[test]
fn binary_messages_begin_with_the_channel() {
    let message = encode(1, b"hi");
    assert_eq!(message, Message::binary(&b"\x01hi"[..]));
    assert_eq!(Protocol::V4.decode(message), Some(data(1, b"hi")));
    assert_eq!(Protocol::V4.decode(Message::binary(&b""[..])), None);
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
fn v5_is_preferred_wherever_it_is_listed() {
    let choose = |lists: &[&'static str]| negotiate(&asking(lists), Protocol::REMOTE_COMMAND);
    let v4_then_v5 = ["v4.channel.k8s.io, v5.channel.k8s.io"];
    assert_eq!(choose(&v4_then_v5).unwrap(), Protocol::V5);
    let twice = ["base64.channel.k8s.io", "v4.channel.k8s.io"];
    assert_eq!(choose(&twice).unwrap(), Protocol::V4);
    assert!(choose(&[]).is_err());
    let refused = choose(&["v9.channel.k8s.io"]).unwrap_err().message;
    assert!(refused.contains("v9.channel.k8s.io"), "{refused}");
}

fn upgrade(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let name = |name: &str| name.parse::<hyper::header::HeaderName>().unwrap();
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| (name(key), HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn requests_without_a_websocket_upgrade_are_refused_with_the_reason() {
    let refusal = |pairs: &[(&'static str, &'static str)]| {
        let refused = check_upgrade(&Method::GET, &upgrade(pairs));
        refused.unwrap_err().message
    };
    assert_eq!(refusal(&[]), "Upgrade request required");
    assert_eq!(
        refusal(&[("upgrade", "websocket")]),
        "Upgrade request required"
    );
    let asks = ("connection", "Upgrade");
    assert!(refusal(&[asks, ("upgrade", "SPDY/3.1")]).starts_with("SPDY/3.1 is not offered"));
    assert!(refusal(&[asks, ("upgrade", "h2c")]).contains("only websocket"));
    let websocket = upgrade(&[asks, ("upgrade", "websocket")]);
    assert!(check_upgrade(&Method::GET, &websocket).is_ok());
    assert!(check_upgrade(&Method::POST, &websocket).is_err());
}
