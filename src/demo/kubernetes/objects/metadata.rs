//! Reading and writing the metadata of objects.

use serde_json::{Map, Value, json};

use crate::demo::random::random_bytes;

/// The five characters that are appended to `generateName`, without vowels as in Kubernetes.
pub(crate) fn name_suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    random_bytes::<5>()
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

/// The current time in the form of `creationTimestamp`: UTC with whole seconds.
pub(crate) fn timestamp() -> String {
    format!("{:.0}", jiff::Timestamp::now())
}

/// A field of the metadata as text; empty if it is absent or not text.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// The value of `metadata.generation` after a change of the spec.
pub(crate) fn next_generation(object: &Value) -> Value {
    let generation = object["metadata"]["generation"].as_u64();
    json!(generation.unwrap_or_default() + 1)
}

/// The metadata, for writing. It is created if it is absent or not an object.
pub(crate) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    child_mut(as_map(object), "metadata")
}

/// A field that is an object, for writing. It is created if it is absent or not an object.
pub(crate) fn child_mut<'a>(
    map: &'a mut Map<String, Value>,
    field: &str,
) -> &'a mut Map<String, Value> {
    as_map(map.entry(field).or_insert_with(|| json!({})))
}

/// The value as an object, for writing. Any other value is replaced by an empty object.
pub(crate) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("the value was made an object above"),
    }
}

/// The `PartialObjectMetadata` of an object.
pub(crate) fn metadata_only(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_utc_with_whole_seconds() {
        let now = timestamp();
        assert_eq!(now.len(), "2026-11-22T13:02:42Z".len(), "{now}");
        assert!(now.ends_with('Z'));
    }
}
