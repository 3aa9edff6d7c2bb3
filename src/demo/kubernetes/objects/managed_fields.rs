//! `managedFields`: which manager set which fields, in the form of `FieldsV1`.
//!
//! A field is `f:NAME`, an item of a keyed list is `k:{KEY}`, and `.` is the item itself. A leaf
//! is an empty object.

use serde_json::{Map, Value, json};

use crate::demo::kubernetes::objects::{
    metadata::{as_map, metadata_mut, timestamp},
    strategic_merge::merge_key,
};

/// A client that changes an object, and the kind of its changes.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    pub(crate) name: String,
    /// `Apply` or `Update`.
    pub(crate) operation: &'static str,
    pub(crate) subresource: Option<String>,
    pub(crate) api_version: String,
}

/// Metadata that the server sets and no manager owns.
const UNOWNED: &[&str] = &[
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
];

/// All fields of an object that a manager can own.
pub(crate) fn fields_of(object: &Value) -> Value {
    fields(&ownable_part(object), "")
}

/// The fields in which `after` differs from `before`.
pub(crate) fn changed(before: &Value, after: &Value) -> Value {
    difference(&ownable_part(before), &ownable_part(after), "").unwrap_or_else(|| json!({}))
}

fn ownable_part(object: &Value) -> Value {
    let mut object = object.clone();
    if let Value::Object(map) = &mut object {
        map.retain(|field, _| field != "kind" && field != "apiVersion");
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            metadata.retain(|field, _| !UNOWNED.contains(&field.as_str()));
        }
        if map
            .get("metadata")
            .is_some_and(|metadata| *metadata == json!({}))
        {
            map.remove("metadata");
        }
    }
    object
}

fn fields(value: &Value, field: &str) -> Value {
    let entries = children(value, field).into_iter();
    let entries = entries.map(|(name, field, child)| {
        let fields = fields_of_child(&name, child, field);
        (name, fields)
    });
    Value::Object(entries.collect())
}

/// All fields of a child. For an item of a list this includes the item itself.
fn fields_of_child(name: &str, child: &Value, field: &str) -> Value {
    let mut fields = fields(child, field);
    if name.starts_with("k:") {
        fields["."] = json!({});
    }
    fields
}

fn difference(before: &Value, after: &Value, field: &str) -> Option<Value> {
    if before == after {
        return None;
    }
    let old = children(before, field);
    let new = children(after, field);
    if new.is_empty() {
        return Some(json!({}));
    }
    let mut fields = Map::new();
    for (name, field, child) in new {
        let existing = old.iter().find(|(other, ..)| *other == name);
        let entry = match existing {
            Some((_, _, existing)) => difference(existing, child, field),
            None => Some(fields_of_child(&name, child, field)),
        };
        if let Some(entry) = entry {
            fields.insert(name, entry);
        }
    }
    // If only fields were removed, there is nothing that the manager owns now.
    (!fields.is_empty()).then_some(Value::Object(fields))
}

/// The children of a value with their names in `FieldsV1`; empty for a leaf.
fn children<'a>(value: &'a Value, field: &str) -> Vec<(String, &'a str, &'a Value)> {
    match value {
        Value::Object(map) => {
            let fields = map.iter();
            fields
                .map(|(name, child)| (format!("f:{name}"), name.as_str(), child))
                .collect()
        }
        Value::Array(items) => match merge_key(field, items) {
            Some(key) if items.iter().all(|item| !item[key].is_null()) => items
                .iter()
                .map(|item| (item_name(key, item), "", item))
                .collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn item_name(key: &str, item: &Value) -> String {
    format!("k:{}", json!({key: item[key]}))
}

/// The fields of `a` that are not in `b`.
pub(crate) fn without(a: &Value, b: &Value) -> Value {
    let mut left = Map::new();
    for (name, inner) in a.as_object().into_iter().flatten() {
        match b.get(name) {
            None => {
                left.insert(name.clone(), inner.clone());
            }
            // A leaf on either side stands for the whole field.
            Some(other) if is_leaf(inner) || is_leaf(other) => {}
            Some(other) => {
                let rest = without(inner, other);
                if !is_leaf(&rest) {
                    left.insert(name.clone(), rest);
                }
            }
        }
    }
    Value::Object(left)
}

/// Removes fields from an object.
pub(crate) fn prune(object: &mut Value, removed: &Value) {
    for (name, inner) in removed.as_object().into_iter().flatten() {
        if let Some(field) = name.strip_prefix("f:") {
            let Value::Object(map) = &mut *object else {
                continue;
            };
            if is_leaf(inner) {
                map.remove(field);
            } else if let Some(child) = map.get_mut(field) {
                prune(child, inner);
                if *child == json!({}) || *child == json!([]) {
                    map.remove(field);
                }
            }
        } else if let Some(key) = name.strip_prefix("k:")
            && let Value::Array(items) = &mut *object
            && let Ok(Value::Object(key)) = serde_json::from_str(key)
        {
            let has_key = |item: &Value| key.iter().all(|(name, value)| item[name] == *value);
            if inner.get(".").is_some() {
                items.retain(|item| !has_key(item));
            } else if let Some(item) = items.iter_mut().find(|item| has_key(item)) {
                prune(item, inner);
            }
        }
    }
}

fn is_leaf(fields: &Value) -> bool {
    fields.as_object().is_none_or(Map::is_empty)
}

/// The entries of an object, each with a manager and its fields.
pub(crate) fn entries(object: &Value) -> &[Value] {
    let entries = object["metadata"]["managedFields"].as_array();
    entries.map_or(&[], Vec::as_slice)
}

/// Whether an entry belongs to this manager, operation and subresource.
pub(crate) fn belongs_to(entry: &Value, manager: &Manager) -> bool {
    entry["manager"] == manager.name.as_str()
        && entry["operation"] == manager.operation
        && entry["subresource"].as_str() == manager.subresource.as_deref()
}

/// The entries with that of the manager updated. An update adds fields to the entry, an apply
/// replaces them.
pub(crate) fn record(entries: &[Value], manager: &Manager, fields: Value) -> Value {
    let mut entries = entries.to_vec();
    let mut fields = fields;
    let position = entries.iter().position(|entry| belongs_to(entry, manager));
    if let (Some(position), "Update") = (position, manager.operation) {
        let mut owned = entries[position]["fieldsV1"].clone();
        add_fields(&mut owned, fields);
        fields = owned;
    }
    let mut entry = json!({
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": timestamp(),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    });
    if let Some(subresource) = &manager.subresource {
        entry["subresource"] = json!(subresource);
    }
    match position {
        Some(position) => entries[position] = entry,
        None => entries.push(entry),
    }
    Value::Array(entries)
}

/// `next` with the entry of the manager updated, unless the client has edited the entries.
pub(crate) fn recorded(current: &Value, mut next: Value, manager: &Manager) -> Value {
    let before = &current["metadata"]["managedFields"];
    let sent = &next["metadata"]["managedFields"];
    if !sent.is_null() && sent != before {
        return next;
    }
    let fields = changed(current, &next);
    let entries = if fields == json!({}) {
        before.clone()
    } else {
        record(entries(current), manager, fields)
    };
    metadata_mut(&mut next).insert("managedFields".to_owned(), entries);
    next
}

/// Whether two versions of an object are equal except for the times in `managedFields`.
pub(crate) fn is_unchanged(current: &Value, next: &Value) -> bool {
    let without_times = |object: &Value| {
        let mut object = object.clone();
        if let Some(Value::Array(entries)) = metadata_mut(&mut object).get_mut("managedFields") {
            for entry in entries {
                as_map(entry).remove("time");
            }
        }
        object
    };
    without_times(current) == without_times(next)
}

fn add_fields(owned: &mut Value, more: Value) {
    match (owned, more) {
        (Value::Object(owned), Value::Object(more)) => {
            for (name, inner) in more {
                add_fields(owned.entry(name).or_insert_with(|| json!({})), inner);
            }
        }
        (owned, more) => *owned = more,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(image: &str) -> Value {
        json!({
            "kind": "Deployment",
            "metadata": {"name": "web", "uid": "1", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "a", "image": image}], "replicas": 2},
        })
    }

    #[test]
    fn fields_are_leaves_and_keyed_items_without_those_of_the_server() {
        assert_eq!(
            fields_of(&deployment("x")),
            json!({
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {
                    "f:replicas": {},
                    "f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:image": {}}},
                },
            })
        );
    }

    #[test]
    fn only_different_fields_are_changed() {
        assert_eq!(
            changed(&deployment("x"), &deployment("y")),
            json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}})
        );
        assert_eq!(changed(&deployment("x"), &deployment("x")), json!({}));
    }

    #[test]
    fn fields_that_are_no_longer_owned_are_pruned() {
        let mut object = json!({
            "data": {"a": "1", "b": "2"},
            "spec": {"env": [{"name": "X"}, {"name": "Y"}]},
        });
        let before = fields_of(&object);
        let after = fields_of(&json!({
            "data": {"b": "2"},
            "spec": {"env": [{"name": "Y"}]},
        }));
        prune(&mut object, &without(&before, &after));
        assert_eq!(
            object,
            json!({"data": {"b": "2"}, "spec": {"env": [{"name": "Y"}]}})
        );
    }

    #[test]
    fn an_update_adds_owned_fields_and_an_apply_replaces_them() {
        let manager = |operation| Manager {
            name: "me".to_owned(),
            operation,
            subresource: None,
            api_version: "v1".to_owned(),
        };
        let fields = |name: &str| json!({"f:data": {name: {}}});
        for (operation, owned) in [
            ("Update", json!({"f:data": {"f:a": {}, "f:b": {}}})),
            ("Apply", fields("f:b")),
        ] {
            let first = record(&[], &manager(operation), fields("f:a"));
            let entries = first.as_array().map(Vec::as_slice).unwrap_or_default();
            let second = record(entries, &manager(operation), fields("f:b"));
            assert_eq!(second[0]["fieldsV1"], owned, "{operation}");
            assert_eq!(second.as_array().map(Vec::len), Some(1));
        }
    }
}
