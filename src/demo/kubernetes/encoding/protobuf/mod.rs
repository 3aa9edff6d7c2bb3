//! Decodes Kubernetes' protobuf, in which kubectl and other Go clients send objects.
//!
//! These clients accept JSON in responses, but requests cannot be negotiated.

mod messages;
mod wire;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use self::{
    messages::{Cardinality, Field, MESSAGES},
    wire::{Wire, fields, first_field},
};

/// The start of every body. A message `Unknown` follows.
const MAGIC: &[u8] = b"k8s\0";

/// Decodes a body into the object that the same client would send as JSON. The error says what is
/// wrong with the body.
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
    let message = MESSAGES.get(name);
    let message = message.ok_or_else(|| format!("messages of kind {name:?} are not known"))?;
    let mut object = Map::new();
    for field in fields(bytes) {
        let (number, wire) = field?;
        let Some(field) = message.get(&number) else {
            // Go sends empty fields, too. To drop any other would change the object.
            if wire.is_empty() {
                continue;
            }
            return Err(format!("field {number} of {name} is not known; send JSON"));
        };
        add(&mut object, field, wire).map_err(|error| format!("{name}.{}: {error}", field.name))?;
    }
    Ok(object)
}

fn add(object: &mut Map<String, Value>, field: &Field, wire: Wire<'_>) -> Result<(), String> {
    match field.cardinality {
        Cardinality::Ignored => {}
        Cardinality::Single | Cardinality::Pointer => {
            let value = value(field.kind, wire)?;
            let is_zero =
                matches!(&value, Value::Null | Value::Bool(false)) || value == 0 || value == "";
            if field.cardinality == Cardinality::Pointer || !is_zero {
                object.insert(field.name.to_owned(), value);
            }
        }
        Cardinality::List => {
            let value = value(field.kind, wire)?;
            let list = object.entry(field.name).or_insert_with(|| json!([]));
            if let Value::Array(items) = list {
                items.push(value);
            }
        }
        Cardinality::Map => {
            let (mut key, mut entry) = (String::new(), None);
            for entry_field in fields(wire.bytes()?) {
                match entry_field? {
                    (1, Wire::Bytes(bytes)) => key = text(bytes)?,
                    (2, wire) => entry = Some(value(field.kind, wire)?),
                    _ => {}
                }
            }
            let map = object.entry(field.name).or_insert_with(|| json!({}));
            if let Value::Object(map) = map {
                map.insert(key, entry.unwrap_or_else(|| json!("")));
            }
        }
        Cardinality::Inline => object.extend(message(field.kind, wire.bytes()?)?),
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
        "Quantity" => json!(first_field(wire.bytes()?, 1)?.map_or(Ok(String::new()), text_of)?),
        "IntOrString" => {
            let bytes = wire.bytes()?;
            match first_field(bytes, 1)? {
                Some(Wire::Number(1)) => {
                    json!(first_field(bytes, 3)?.map_or(Ok(String::new()), text_of)?)
                }
                _ => json!(first_field(bytes, 2)?.map_or(Ok(0), Wire::number)?),
            }
        }
        name => Value::Object(message(name, wire.bytes()?)?),
    })
}

/// A time as RFC 3339; null for the zero time, which Go sends as an empty message.
fn time(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let number = |number| first_field(bytes, number)?.map_or(Ok(0), Wire::number);
    let nanoseconds = i32::try_from(number(2)?).map_err(|e| e.to_string())?;
    let time = Timestamp::new(number(1)?, nanoseconds).map_err(|e| e.to_string())?;
    Ok(json!(time.to_string()))
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "it is not UTF-8".to_owned())
}

fn text_of(wire: Wire<'_>) -> Result<String, String> {
    text(wire.bytes()?)
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
    fn a_config_map_is_decoded_to_its_json() {
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
    fn unknown_and_truncated_messages_are_refused() {
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
    fn every_message_of_a_field_is_in_the_table() {
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
                let is_known = plain.contains(&field.kind) || MESSAGES.contains_key(field.kind);
                assert!(is_known, "{name}.{} is a {}", field.name, field.kind);
            }
        }
    }
}
