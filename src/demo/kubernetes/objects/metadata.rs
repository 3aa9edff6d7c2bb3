//! What every object has: its metadata.

use serde_json::{Map, Value, json};

use crate::demo::random::random;

/// The five characters that `generateName` adds; vowels are left out, as in Kubernetes.
pub(crate) fn name_suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    random::<5>()
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

/// Now, as in `creationTimestamp`: UTC, whole seconds.
pub(crate) fn timestamp() -> String {
    format!("{:.0}", jiff::Timestamp::now())
}

/// A field of the metadata as text; empty if it is absent.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// What `metadata.generation` becomes when the spec changes.
pub(crate) fn next_generation(object: &Value) -> Value {
    let generation = object["metadata"]["generation"].as_u64();
    json!(generation.unwrap_or_default() + 1)
}

/// The metadata to write to; made if it is absent or no object.
pub(crate) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_mut(as_map(object), "metadata")
}

/// A field that is an object, to write to; made if it is absent or no object.
pub(crate) fn child_mut<'a>(
    map: &'a mut Map<String, Value>,
    field: &str,
) -> &'a mut Map<String, Value> {
    as_map(map.entry(field).or_insert_with(|| json!({})))
}

/// The value as an object; it becomes an empty one if it is something else.
pub(crate) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
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
    fn timestamps_are_whole_seconds_of_utc() {
        let now = timestamp();
        assert_eq!(now.len(), "2026-11-22T13:02:42Z".len(), "{now}");
        assert!(now.ends_with('Z'));
    }
}
