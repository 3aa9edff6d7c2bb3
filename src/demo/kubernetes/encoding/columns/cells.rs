//! Reading the cells of a table from an object.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::demo::kubernetes::encoding::age::since;

/// A text; empty if it is absent.
pub(super) fn text(value: &Value) -> Value {
    json!(value.as_str().unwrap_or_default())
}

/// The cell of a value that is absent.
pub(super) fn none() -> Value {
    json!("<none>")
}

/// A text, or `<none>`.
pub(super) fn or_none(value: &Value) -> Value {
    match value.as_str() {
        Some(text) if !text.is_empty() => json!(text),
        _ => none(),
    }
}

/// The parts separated by commas, or `<none>`.
pub(super) fn list_or_none<S: AsRef<str>>(parts: &[S]) -> Value {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    or_none(&json!(parts.join(",")))
}

/// The age of a timestamp.
pub(super) fn age(value: &Value, now: Timestamp) -> Value {
    json!(since(value.as_str(), now))
}

/// A number; 0 if it is absent.
pub(super) fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// The number of entries of a map.
pub(super) fn size(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

/// The items of a list.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// One field of all items of a list, separated by commas.
pub(super) fn joined(list: &Value, field: &str) -> Value {
    let parts: Vec<&str> = items(list)
        .iter()
        .filter_map(|item| item[field].as_str())
        .collect();
    json!(parts.join(","))
}

/// A map as `key=value`, separated by commas.
pub(super) fn labels(map: &Value) -> Value {
    let parts: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    list_or_none(&parts)
}

/// Whether a condition of the status is true.
pub(super) fn condition(object: &Value, kind: &str) -> bool {
    items(&object["status"]["conditions"])
        .iter()
        .any(|condition| condition["type"] == kind && condition["status"] == "True")
}
