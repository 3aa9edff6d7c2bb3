//! The messages that can be decoded: a table in place of generated code.

use std::{collections::HashMap, sync::LazyLock};

/// The table in `messages.txt`.
pub(super) static MESSAGES: LazyLock<Messages> =
    LazyLock::new(|| parse_table(include_str!("messages.txt")));

/// The fields of messages, by message name and field number.
pub(super) type Messages = HashMap<&'static str, HashMap<u64, Field>>;

pub(super) struct Field {
    /// Its name in JSON.
    pub(super) name: &'static str,
    pub(super) cardinality: Cardinality,
    /// `string`, `int`, `bool`, `bytes`, or the name of a message.
    pub(super) kind: &'static str,
}

/// How often a field occurs, and its form in JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cardinality {
    /// A value, which is left out if it is zero.
    Single,
    /// A Go pointer: zero is a value.
    Pointer,
    List,
    Map,
    /// Its fields are those of the parent.
    Inline,
    /// Is not decoded.
    Ignored,
}

fn parse_table(text: &'static str) -> Messages {
    let mut messages = Messages::new();
    let mut message = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(first), name, kind) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let (Some(name), Some(kind), Ok(number)) = (name, kind, first.parse()) else {
            message = first;
            messages.entry(message).or_default();
            continue;
        };
        let (cardinality, kind) = parse_type(kind);
        let field = Field {
            name,
            cardinality,
            kind,
        };
        messages.entry(message).or_default().insert(number, field);
    }
    messages
}

fn parse_type(kind: &'static str) -> (Cardinality, &'static str) {
    let between = |open, close| kind.strip_prefix(open)?.strip_suffix(close);
    if kind == "-" {
        (Cardinality::Ignored, "")
    } else if let Some(inner) = between("[", "]") {
        (Cardinality::List, inner)
    } else if let Some(inner) = between("{", "}") {
        (Cardinality::Map, inner)
    } else if let Some(inner) = kind.strip_prefix('+') {
        (Cardinality::Inline, inner)
    } else if let Some(inner) = kind.strip_suffix('?') {
        (Cardinality::Pointer, inner)
    } else {
        (Cardinality::Single, kind)
    }
}
