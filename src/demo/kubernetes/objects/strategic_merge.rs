//! Strategic merge patches, which merge maps, and lists whose items have a key.
//!
//! The rules are those of `k8s.io/apimachinery/pkg/util/strategicpatch`. Kubernetes takes the keys
//! from its Go types; here they are a table of the common field names.

use serde_json::{Map, Value};

use crate::demo::kubernetes::objects::metadata::as_map;

/// The field that identifies the items of a list; `None` if a patch replaces the whole list.
pub(crate) fn merge_key(field: &str, items: &[Value]) -> Option<&'static str> {
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "resourceClaims"
        | "secrets" => Some("name"),
        // The ports of a container. Those of a service follow.
        "ports" if items.iter().any(|item| !item["containerPort"].is_null()) => {
            Some("containerPort")
        }
        "ports" => Some("port"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "hostAliases" | "podIPs" | "hostIPs" => Some("ip"),
        "topologySpreadConstraints" => Some("topologyKey"),
        "conditions" | "addresses" => Some("type"),
        "taints" => Some("key"),
        "ownerReferences" => Some("uid"),
        _ => None,
    }
}

/// Merges a patch into an object. The error describes what is wrong with the patch.
pub(crate) fn merge(object: &mut Value, patch: &Value) -> Result<(), String> {
    match patch {
        Value::Object(patch) => merge_map(as_map(object), patch),
        _ => Err("a strategic merge patch is a JSON object".to_owned()),
    }
}

fn merge_map(target: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), String> {
    match patch.get("$patch").and_then(Value::as_str) {
        None if patch.contains_key("$patch") => return Err("$patch is not text".to_owned()),
        None | Some("merge") => {}
        Some("replace") => target.clear(),
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some(other) => return Err(format!("unknown patch type: {other}")),
    }
    for (field, value) in patch {
        if let Some(field) = field.strip_prefix("$deleteFromPrimitiveList/") {
            remove_items(target, field, value);
        } else if !field.starts_with('$') {
            merge_field(target, field, value)?;
        }
    }
    for (field, order) in patch {
        if let Some(field) = field.strip_prefix("$setElementOrder/") {
            reorder(target, field, order);
        }
    }
    if let Some(Value::Array(retained)) = patch.get("$retainKeys") {
        target.retain(|field, _| retained.iter().any(|name| name == field));
    }
    Ok(())
}

fn merge_field(target: &mut Map<String, Value>, field: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Null => {
            target.remove(field);
        }
        Value::Object(patch) if patch.get("$patch").is_some_and(|p| p == "delete") => {
            target.remove(field);
        }
        Value::Object(patch) => {
            let child = target.entry(field).or_insert(Value::Null);
            merge_map(as_map(child), patch)?;
        }
        Value::Array(patch) => {
            let current = target
                .entry(field)
                .or_insert_with(|| Value::Array(Vec::new()));
            if !current.is_array() {
                *current = Value::Array(Vec::new());
            }
            if let Value::Array(items) = current {
                merge_list(items, field, patch)?;
            }
        }
        scalar => {
            target.insert(field.to_owned(), scalar.clone());
        }
    }
    Ok(())
}

fn merge_list(items: &mut Vec<Value>, field: &str, patch: &[Value]) -> Result<(), String> {
    if field == "finalizers" {
        let new: Vec<_> = patch
            .iter()
            .filter(|item| !items.contains(item))
            .cloned()
            .collect();
        items.extend(new);
        return Ok(());
    }
    let key = merge_key(field, patch).or_else(|| merge_key(field, items));
    let Some(key) = key.filter(|_| patch.iter().all(Value::is_object)) else {
        items.clear();
        items.extend_from_slice(patch);
        return Ok(());
    };
    if patch.iter().any(|item| item["$patch"] == "replace") {
        items.clear();
    }
    for item in patch.iter().filter(|item| item["$patch"] != "replace") {
        if item[key].is_null() {
            return Err(format!(
                "an item of {field} does not contain its declared merge key: {key}"
            ));
        }
        if item["$patch"] == "delete" {
            items.retain(|existing| existing[key] != item[key]);
        } else if let Some(existing) = items.iter_mut().find(|e| e[key] == item[key]) {
            merge(existing, item)?;
        } else {
            let mut new = Value::Null;
            merge(&mut new, item)?;
            items.push(new);
        }
    }
    Ok(())
}

fn remove_items(target: &mut Map<String, Value>, field: &str, removed: &Value) {
    if let (Some(Value::Array(items)), Value::Array(removed)) = (target.get_mut(field), removed) {
        items.retain(|item| !removed.contains(item));
    }
}

/// Sorts a list in the order given. Items that the order does not contain come last.
fn reorder(target: &mut Map<String, Value>, field: &str, order: &Value) {
    let (Some(Value::Array(items)), Value::Array(order)) = (target.get_mut(field), order) else {
        return;
    };
    let key = merge_key(field, items).or_else(|| merge_key(field, order));
    items.sort_by_key(|item| {
        let position = order.iter().position(|wanted| match key {
            Some(key) if wanted.is_object() => wanted[key] == item[key],
            _ => wanted == item,
        });
        position.unwrap_or(usize::MAX)
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut object: Value, patch: &Value) -> Value {
        merge(&mut object, patch).unwrap();
        object
    }

    #[test]
    fn containers_are_merged_by_name_and_their_env_too() {
        let object = json!({"containers": [
            {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]},
            {"name": "b", "image": "b:1"},
        ]});
        let patch = json!({"containers": [
            {"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "3"}]},
            {"name": "c", "image": "c:1"},
        ]});
        assert_eq!(
            merged(object, &patch),
            json!({"containers": [
                {"name": "a", "image": "a:1", "env": [
                    {"name": "X", "value": "3"}, {"name": "Y", "value": "2"},
                ]},
                {"name": "b", "image": "b:1"},
                {"name": "c", "image": "c:1"},
            ]})
        );
    }

    #[test]
    fn lists_without_a_key_are_replaced() {
        let object = json!({"args": ["a", "b"], "tolerations": [{"key": "x"}]});
        let patch = json!({"args": ["c"], "tolerations": []});
        assert_eq!(
            merged(object, &patch),
            json!({"args": ["c"], "tolerations": []})
        );
    }

    #[test]
    fn null_and_directives_delete() {
        let object = json!({
            "labels": {"a": "1", "b": "2"},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {}},
            "ports": [{"containerPort": 80}, {"containerPort": 90}],
            "finalizers": ["x", "y"],
            "affinity": {"node": 1},
        });
        let patch = json!({
            "labels": {"a": null},
            "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
            "ports": [{"$patch": "delete", "containerPort": 80}],
            "$deleteFromPrimitiveList/finalizers": ["x"],
            "affinity": {"$patch": "delete"},
        });
        assert_eq!(
            merged(object, &patch),
            json!({
                "labels": {"b": "2"},
                "strategy": {"type": "Recreate"},
                "ports": [{"containerPort": 90}],
                "finalizers": ["y"],
            })
        );
    }

    #[test]
    fn element_order_and_replacement_are_applied() {
        let object = json!({"env": [{"name": "a"}, {"name": "b"}], "map": {"x": 1}});
        let patch = json!({
            "$setElementOrder/env": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
            "env": [{"name": "c"}],
            "map": {"$patch": "replace", "y": 2},
        });
        assert_eq!(
            merged(object, &patch),
            json!({"env": [{"name": "c"}, {"name": "b"}, {"name": "a"}], "map": {"y": 2}})
        );
        let all = json!({"env": [{"$patch": "replace"}, {"name": "z"}]});
        assert_eq!(
            merged(json!({"env": [{"name": "a"}]}), &all),
            json!({"env": [{"name": "z"}]})
        );
    }

    #[test]
    fn an_item_without_its_key_and_an_unknown_directive_are_refused() {
        let mut object = json!({"containers": [{"name": "a"}]});
        assert!(merge(&mut object, &json!({"containers": [{"image": "x"}]})).is_err());
        assert!(merge(&mut object, &json!({"spec": {"$patch": "burn"}})).is_err());
    }
}
