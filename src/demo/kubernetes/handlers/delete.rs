//! Deleting one object, or all objects that selectors match.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::write::Writer;
use crate::demo::{
    kubernetes::{
        encoding::{
            request_object, response,
            status::{self, Status},
            view::Selection,
        },
        objects::{
            metadata::{as_map, child_mut, meta, metadata_mut, timestamp},
            store::{Key, Object, Outcome},
        },
    },
    server::Body,
};

/// Deletes one object at once. The response for pods and namespaces is the object while it is
/// terminating, for all others a `Status`.
pub(crate) fn one(writer: &Writer<'_>, body: &[u8]) -> Result<Response<Body>, Status> {
    let resource = writer.target.resource;
    let options = match body {
        [] => Value::Null,
        body => request_object::object(writer.headers, body)?,
    };
    let not_found = || Status::not_found(resource, writer.name());
    let dry_run = writer.dry_run || options["dryRun"][0] == "All";
    let deleted = writer.store().change(&writer.key(), dry_run, |current| {
        let current = current.ok_or_else(not_found)?;
        check_preconditions(writer, &options["preconditions"], current)?;
        Ok(Outcome::Delete)
    })?;
    let deleted = deleted.ok_or_else(not_found)?;
    match resource.plural {
        "namespaces" => {
            if !dry_run {
                writer.store().delete_namespace_contents(writer.name());
            }
            let mut object = terminating(&deleted.value);
            child_mut(as_map(&mut object), "status")
                .insert("phase".to_owned(), json!("Terminating"));
            writer.respond(StatusCode::OK, &object)
        }
        "pods" => writer.respond(StatusCode::OK, &terminating(&deleted.value)),
        _ => {
            let uid = meta(&deleted.value, "uid");
            let body = status::success(resource, writer.name(), uid);
            Ok(response::json_bytes(StatusCode::OK, body))
        }
    }
}

/// Deletes a collection. The response is the list of deleted objects.
pub(crate) fn collection(writer: &Writer<'_>) -> Result<Response<Body>, Status> {
    let (target, store) = (writer.target, writer.store());
    let selection = Selection::new(target, &writer.context.query)?;
    let listing = store.list(target.resource, target.namespace.as_deref());
    let mut deleted = Vec::new();
    for (key, object) in &listing.objects {
        if selection.matches(&object.value) {
            let key: &Key = key;
            deleted.extend(store.change(key, writer.dry_run, |current| {
                Ok(match current {
                    Some(_) => Outcome::Delete,
                    None => Outcome::Unchanged,
                })
            })?);
            if target.resource.plural == "namespaces" && !writer.dry_run {
                store.delete_namespace_contents(&key.name);
            }
        }
    }
    let objects: Vec<&Value> = deleted.iter().map(|object| &object.value).collect();
    let metadata = json!({"resourceVersion": listing.revision.to_string()});
    writer.view.list(target.resource, &objects, metadata)
}

fn check_preconditions(
    writer: &Writer<'_>,
    preconditions: &Value,
    current: &Object,
) -> Result<(), Status> {
    for (field, label) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let actual = meta(&current.value, field);
        let expected = preconditions[field].as_str();
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            let reason = format!(
                "Precondition failed: {label} in precondition: {expected}, {label} in object \
                 meta: {actual}"
            );
            return Err(Status::conflict(
                writer.target.resource,
                writer.name(),
                &reason,
            ));
        }
    }
    Ok(())
}

/// The object with the time of deletion.
fn terminating(object: &Value) -> Value {
    let mut object = object.clone();
    metadata_mut(&mut object).insert("deletionTimestamp".to_owned(), json!(timestamp()));
    object
}
