//! Server-side apply: a manager says all it wants, and what it no longer wants goes.
//!
//! Conflicts between managers are not told: every apply is as with `force=true`.

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
        .find(|entry| managed_fields::is_by(entry, manager));
    if let Some(owned) = owned_before {
        let mut gone =
            managed_fields::without(&owned["fieldsV1"], &managed_fields::fields_of(wanted));
        let others = entries
            .iter()
            .filter(|entry| !managed_fields::is_by(entry, manager));
        for other in others {
            gone = managed_fields::without(&gone, &other["fieldsV1"]);
        }
        managed_fields::prune(&mut next, &gone);
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
    fn a_field_no_longer_applied_goes_unless_somebody_else_owns_it() {
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
