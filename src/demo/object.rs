//! What every object has: its metadata.

use std::fmt::Write as _;

use aws_lc_rs::rand;
use serde_json::{Map, Value, json};

/// A random version 4 UUID.
pub(super) fn new_uid() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let parts = [0..4, 4..6, 6..8, 8..10, 10..16].map(|range| hex(&bytes[range]));
    parts.join("-")
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The five characters that `generateName` adds; vowels are left out, as in Kubernetes.
pub(super) fn name_suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    random::<5>()
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // These name things and guard nothing; the store refuses a name given twice.
    let _ = rand::fill(&mut bytes);
    bytes
}

/// Now, as in `creationTimestamp`: UTC, whole seconds.
pub(super) fn timestamp() -> String {
    format!("{:.0}", jiff::Timestamp::now())
}

/// A field of the metadata as text; empty if it is absent.
pub(super) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// What `metadata.generation` becomes when the spec changes.
pub(super) fn next_generation(object: &Value) -> Value {
    let generation = object["metadata"]["generation"].as_u64();
    json!(generation.unwrap_or_default() + 1)
}

/// The metadata to write to; made if it is absent or no object.
pub(super) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_mut(as_map(object), "metadata")
}

/// A field that is an object, to write to; made if it is absent or no object.
pub(super) fn child_mut<'a>(
    map: &'a mut Map<String, Value>,
    field: &str,
) -> &'a mut Map<String, Value> {
    as_map(map.entry(field).or_insert_with(|| json!({})))
}

/// The value as an object; it becomes an empty one if it is something else.
pub(super) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object above"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_version_4_uuids_and_differ() {
        let uid = new_uid();
        assert_eq!((uid.len(), uid.as_bytes()[14]), (36, b'4'));
        assert_ne!(uid, new_uid());
    }

    #[test]
    fn timestamps_are_whole_seconds_of_utc() {
        let now = timestamp();
        assert_eq!(now.len(), "2026-11-22T13:02:42Z".len(), "{now}");
        assert!(now.ends_with('Z'));
    }
}
