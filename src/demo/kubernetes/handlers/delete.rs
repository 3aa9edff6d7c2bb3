//! Deleting one object, or all that selectors leave.

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

/// `DELETE` of one. Deletion is at once; pods and namespaces are answered as they would be
/// while they end, the rest with a `Status`.
pub(crate) fn one(writer: &Writer<'_>, sent: &[u8]) -> Result<Response<Body>, Status> {
    let resource = writer.target.resource;
    let options = match sent {
        [] => Value::Null,
        sent => request_object::object(writer.headers, sent)?,
    };
    let missing = || Status::not_found(resource, writer.name());
    let dry_run = writer.dry_run || options["dryRun"][0] == "All";
    let deleted = writer.store().change(&writer.key(), dry_run, |current| {
        let current = current.ok_or_else(missing)?;
        check_preconditions(writer, &options["preconditions"], current)?;
        Ok(Outcome::Delete)
    })?;
    let deleted = deleted.ok_or_else(missing)?;
    match resource.plural {
        "namespaces" => {
            if !dry_run {
                writer.store().empty_namespace(writer.name());
            }
            let mut object = ending(&deleted.value);
            child_mut(as_map(&mut object), "status")
                .insert("phase".to_owned(), json!("Terminating"));
            writer.show(StatusCode::OK, &object)
        }
        "pods" => writer.show(StatusCode::OK, &ending(&deleted.value)),
        _ => {
            let uid = meta(&deleted.value, "uid");
            let body = status::success(resource, writer.name(), uid);
            Ok(response::json_bytes(StatusCode::OK, body))
        }
    }
}

/// `DELETE` of a collection: the list of what went.
pub(crate) fn many(writer: &Writer<'_>) -> Result<Response<Body>, Status> {
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
                store.empty_namespace(&key.name);
            }
        }
    }
    let objects: Vec<&Value> = deleted.iter().map(|object| &object.value).collect();
    let metadata = json!({"resourceVersion": listing.revision.to_string()});
    writer.view.list(target.resource, &objects, metadata)
}

fn check_preconditions(
    writer: &Writer<'_>,
    wanted: &Value,
    current: &Object,
) -> Result<(), Status> {
    for (field, label) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let is = meta(&current.value, field);
        if let Some(wanted) = wanted[field].as_str().filter(|wanted| *wanted != is) {
            let why = format!(
                "Precondition failed: {label} in precondition: {wanted}, {label} in object \
                 meta: {is}"
            );
            return Err(Status::conflict(
                writer.target.resource,
                writer.name(),
                &why,
            ));
        }
    }
    Ok(())
}

/// The object with the marks of a deletion under way.
fn ending(object: &Value) -> Value {
    let mut object = object.clone();
    metadata_mut(&mut object).insert("deletionTimestamp".to_owned(), json!(timestamp()));
    object
}
