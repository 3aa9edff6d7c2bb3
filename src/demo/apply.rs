//! Server-side apply: a manager says all it wants, and what it no longer wants goes.
//!
//! Conflicts between managers are not told: every apply is as with `force=true`.

use serde_json::Value;

use super::{
    ownership::{self, Manager},
    status::Status,
    strategic,
};

/// The object after `manager` has applied `wanted` to it.
pub(super) fn applied(current: &Value, wanted: &Value, manager: &Manager) -> Result<Value, Status> {
    let mut next = current.clone();
    let entries = ownership::entries(current);
    let owned_before = entries
        .iter()
        .find(|entry| ownership::is_by(entry, manager));
    if let Some(owned) = owned_before {
        let mut gone = ownership::without(&owned["fieldsV1"], &ownership::fields_of(wanted));
        let others = entries
            .iter()
            .filter(|entry| !ownership::is_by(entry, manager));
        for other in others {
            gone = ownership::without(&gone, &other["fieldsV1"]);
        }
        ownership::prune(&mut next, &gone);
    }
    strategic::merge(&mut next, wanted).map_err(Status::bad_request)?;
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
        let entries = ownership::record(&[], &me, mine);
        let entries = ownership::record(
            entries.as_array().unwrap(),
            &other,
            json!({"f:data": {"f:b": {}}}),
        );
        object["metadata"]["managedFields"] = entries;

        let next = applied(&object, &json!({"data": {"a": "9"}}), &me).unwrap();
        assert_eq!(next["data"], json!({"a": "9", "b": "2"}));
    }
}
