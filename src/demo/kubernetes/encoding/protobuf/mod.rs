//! Reading Kubernetes' protobuf: the bodies that typed Go clients, kubectl among them, send.
//!
//! They ask for protobuf answers too, but take JSON; for what they send there is no such
//! second choice. The messages are a table beside this file, not generated code.

use std::{collections::HashMap, sync::LazyLock};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What every body starts with; a message `Unknown` follows.
const MAGIC: &[u8] = b"k8s\0";

static MESSAGES: LazyLock<Messages> = LazyLock::new(|| read_table(include_str!("messages.txt")));

/// Fields by message and number.
type Messages = HashMap<&'static str, HashMap<u64, Field>>;

struct Field {
    name: &'static str,
    shape: Shape,
    /// `string`, `int`, `bool`, `bytes`, or a message.
    of: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    /// A Go pointer: zero is a value.
    Kept,
    Many,
    Map,
    Inline,
    Ignored,
}

fn read_table(text: &'static str) -> Messages {
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
        let (shape, of) = shape(kind);
        let field = Field { name, shape, of };
        messages.entry(message).or_default().insert(number, field);
    }
    messages
}

fn shape(kind: &'static str) -> (Shape, &'static str) {
    let inner = |open, close| kind.strip_prefix(open)?.strip_suffix(close);
    if kind == "-" {
        (Shape::Ignored, "")
    } else if let Some(of) = inner("[", "]") {
        (Shape::Many, of)
    } else if let Some(of) = inner("{", "}") {
        (Shape::Map, of)
    } else if let Some(of) = kind.strip_prefix('+') {
        (Shape::Inline, of)
    } else if let Some(of) = kind.strip_suffix('?') {
        (Shape::Kept, of)
    } else {
        (Shape::One, kind)
    }
}

/// Reads a body into the object that the same client would send as JSON. The error says what
/// is wrong with it.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value, String> {
    let unknown = bytes
        .strip_prefix(MAGIC)
        .ok_or("it does not start with k8s\\0")?;
    let (mut type_meta, mut raw) = (&[][..], &[][..]);
    for field in fields(unknown) {
        match field? {
            (1, Wire::Bytes(bytes)) => type_meta = bytes,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (mut version, mut kind) = (String::new(), String::new());
    for field in fields(type_meta) {
        match field? {
            (1, Wire::Bytes(bytes)) => version = text(bytes)?,
            (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
            _ => {}
        }
    }
    let mut object = message(&kind, raw)?;
    object.insert("apiVersion".to_owned(), json!(version));
    object.insert("kind".to_owned(), json!(kind));
    Ok(Value::Object(object))
}

fn message(name: &str, bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let known = MESSAGES.get(name);
    let known = known.ok_or_else(|| format!("messages of kind {name:?} are not known"))?;
    let mut object = Map::new();
    for field in fields(bytes) {
        let (number, wire) = field?;
        let Some(field) = known.get(&number) else {
            // Go sends what is empty, too; to drop anything else would change the object.
            if wire.is_empty() {
                continue;
            }
            return Err(format!("field {number} of {name} is not known; send JSON"));
        };
        add(&mut object, field, wire).map_err(|why| format!("{name}.{}: {why}", field.name))?;
    }
    Ok(object)
}

fn add(object: &mut Map<String, Value>, field: &Field, wire: Wire<'_>) -> Result<(), String> {
    match field.shape {
        Shape::Ignored => {}
        Shape::One | Shape::Kept => {
            let value = value(field.of, wire)?;
            let zero =
                matches!(&value, Value::Null | Value::Bool(false)) || value == 0 || value == "";
            if field.shape == Shape::Kept || !zero {
                object.insert(field.name.to_owned(), value);
            }
        }
        Shape::Many => {
            let value = value(field.of, wire)?;
            let list = object.entry(field.name).or_insert_with(|| json!([]));
            if let Value::Array(items) = list {
                items.push(value);
            }
        }
        Shape::Map => {
            let (mut key, mut entry) = (String::new(), None);
            for part in fields(wire.bytes()?) {
                match part? {
                    (1, Wire::Bytes(bytes)) => key = text(bytes)?,
                    (2, wire) => entry = Some(value(field.of, wire)?),
                    _ => {}
                }
            }
            let map = object.entry(field.name).or_insert_with(|| json!({}));
            if let Value::Object(map) = map {
                map.insert(key, entry.unwrap_or_else(|| json!("")));
            }
        }
        Shape::Inline => object.extend(message(field.of, wire.bytes()?)?),
    }
    Ok(())
}

fn value(kind: &str, wire: Wire<'_>) -> Result<Value, String> {
    Ok(match kind {
        "string" => json!(text(wire.bytes()?)?),
        "int" => json!(wire.number()?),
        "bool" => json!(wire.number()? != 0),
        "bytes" => json!(STANDARD.encode(wire.bytes()?)),
        "Time" | "MicroTime" => time(wire.bytes()?)?,
        "Quantity" => json!(part(wire.bytes()?, 1)?.map_or(Ok(String::new()), text_of)?),
        "IntOrString" => {
            let bytes = wire.bytes()?;
            match part(bytes, 1)? {
                Some(Wire::Number(1)) => json!(part(bytes, 3)?.map_or(Ok(String::new()), text_of)?),
                _ => json!(part(bytes, 2)?.map_or(Ok(0), Wire::number)?),
            }
        }
        name => Value::Object(message(name, wire.bytes()?)?),
    })
}

/// RFC 3339; null if it is the zero time, which Go sends as an empty message.
fn time(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let number = |place| part(bytes, place)?.map_or(Ok(0), Wire::number);
    let nanoseconds = i32::try_from(number(2)?).map_err(|e| e.to_string())?;
    let time = Timestamp::new(number(1)?, nanoseconds).map_err(|e| e.to_string())?;
    Ok(json!(time.to_string()))
}

fn part(bytes: &[u8], number: u64) -> Result<Option<Wire<'_>>, String> {
    for field in fields(bytes) {
        let (place, wire) = field?;
        if place == number {
            return Ok(Some(wire));
        }
    }
    Ok(None)
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "it is no UTF-8".to_owned())
}

fn text_of(wire: Wire<'_>) -> Result<String, String> {
    text(wire.bytes()?)
}

/// A value as it is on the wire.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    fn is_empty(self) -> bool {
        matches!(self, Wire::Number(0) | Wire::Bytes([]))
    }

    fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Wire::Bytes(bytes) => Ok(bytes),
            Wire::Number(_) => Err("a number where bytes should be".to_owned()),
        }
    }

    fn number(self) -> Result<i64, String> {
        match self {
            Wire::Number(number) => Ok(number),
            Wire::Bytes(_) => Err("bytes where a number should be".to_owned()),
        }
    }
}

/// The fields of a message, by number. An error ends them.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = Result<(u64, Wire<'_>), String>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next_field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field.ok_or_else(|| "the message is cut short or malformed".to_owned()))
    })
}

fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let tag = varint(rest)?;
    let wire = match tag & 7 {
        0 => Wire::Number(varint(rest)?.cast_signed()),
        1 => Wire::Bytes(rest.split_off(..8)?),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Wire::Bytes(rest.split_off(..length)?)
        }
        5 => Wire::Bytes(rest.split_off(..4)?),
        _ => return None,
    };
    Some((tag >> 3, wire))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap();
        [&[number << 3 | 2, length], bytes].concat()
    }

    fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &meta), field(2, raw)].concat()
    }

    #[test]
    fn a_config_map_reads_as_the_json_of_it() {
        let metadata = [
            field(1, b"demo"),
            field(2, b""),
            field(8, b""),
            field(11, &[field(1, b"app"), field(2, b"web")].concat()),
        ];
        let raw = [
            field(1, &metadata.concat()),
            field(2, &[field(1, b"a"), field(2, b"1")].concat()),
            field(3, &[field(1, b"b"), field(2, &[0xff])].concat()),
            vec![4 << 3, 0],
        ];
        assert_eq!(
            decode(&envelope("v1", "ConfigMap", &raw.concat())).unwrap(),
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "demo", "labels": {"app": "web"}},
                "data": {"a": "1"},
                "binaryData": {"b": "/w=="},
                "immutable": false,
            })
        );
    }

    #[test]
    fn what_is_not_known_or_cut_short_is_refused() {
        assert!(decode(b"{}").is_err());
        assert!(decode(&envelope("v1", "Widget", b"")).is_err());
        let later = envelope("v1", "ConfigMap", &field(9, b"new"));
        assert!(decode(&later).unwrap_err().contains("field 9"));
        let empty = envelope("v1", "ConfigMap", &field(9, b""));
        assert!(decode(&empty).is_ok());
        let whole = envelope("v1", "ConfigMap", &field(1, &field(1, b"demo")));
        assert!(decode(&whole).is_ok());
        assert!(decode(&whole[..whole.len() - 1]).is_err());
    }

    #[test]
    fn every_message_that_a_field_names_is_in_the_table() {
        let plain = [
            "string",
            "int",
            "bool",
            "bytes",
            "Time",
            "MicroTime",
            "Quantity",
            "IntOrString",
            "",
        ];
        for (name, fields) in MESSAGES.iter() {
            for field in fields.values() {
                let known = plain.contains(&field.of) || MESSAGES.contains_key(field.of);
                assert!(known, "{name}.{} is a {}", field.name, field.of);
            }
        }
    }
}
