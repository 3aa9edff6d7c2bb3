//! Server-side apply: a manager sends all fields that it wants, and fields that it owned before
//! and no longer sends are removed.
//!
//! Conflicts between managers are not reported: every apply behaves as with `force=true`.

use serde_json::Value;

use crate::demo::kubernetes::{
    encoding::status::Status,
    objects::{
        managed_fields::{self, Manager},
        strategic_merge,
    },
};

/// The object after `manager` has applied `wanted` to it.
pub(crate) fn applied(current: &Value, wanted: &Value, manager: &Manager) -> Result<Value, Status> {
    let mut next = current.clone();
    let entries = managed_fields::entries(current);
    let owned_before = entries
        .iter()
        .find(|entry| managed_fields::belongs_to(entry, manager));
    if let Some(owned) = owned_before {
        let mut removed =
            managed_fields::without(&owned["fieldsV1"], &managed_fields::fields_of(wanted));
        let others = entries
            .iter()
            .filter(|entry| !managed_fields::belongs_to(entry, manager));
        for other in others {
            removed = managed_fields::without(&removed, &other["fieldsV1"]);
        }
        managed_fields::prune(&mut next, &removed);
    }
    strategic_merge::merge(&mut next, wanted).map_err(Status::bad_request)?;
    Ok(next)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_no_longer_applied_is_removed_unless_another_manager_owns_it() {
        let me = Manager {
            name: "me".to_owned(),
            operation: "Apply",
            subresource: None,
            api_version: "v1".to_owned(),
        };
        let other = Manager {
            name: "other".to_owned(),
            ..me.clone()
        };
        let mut object = json!({"metadata": {}, "data": {"a": "1", "b": "2", "c": "3"}});
        let mine = json!({"f:data": {"f:a": {}, "f:b": {}, "f:c": {}}});
        let entries = managed_fields::record(&[], &me, mine);
        let entries = managed_fields::record(
            entries.as_array().unwrap(),
            &other,
            json!({"f:data": {"f:b": {}}}),
        );
        object["metadata"]["managedFields"] = entries;

        let next = applied(&object, &json!({"data": {"a": "9"}}), &me).unwrap();
        assert_eq!(next["data"], json!({"a": "9", "b": "2"}));
    }
}
