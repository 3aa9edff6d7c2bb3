//! The `scale` subresource: `autoscaling/v1` `Scale` of deployments and replica sets.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::write::Writer;
use crate::demo::{
    kubernetes::{
        encoding::{
            request_object, response,
            status::{Cause, Status},
        },
        objects::{
            defaults, managed_fields,
            metadata::{as_map, child_mut, metadata_mut, next_generation},
            patch::Patch,
        },
    },
    server::Body,
};

/// The present scale.
pub(crate) fn get(writer: &Writer<'_>) -> Result<Response<Body>, Status> {
    let object = writer.store().get(&writer.key());
    let object = object.ok_or_else(|| missing(writer))?;
    show(writer, &object.value)
}

/// Sets the replicas that a `Scale` names.
pub(crate) fn replace(writer: &Writer<'_>, sent: &[u8]) -> Result<Response<Body>, Status> {
    let wanted = request_object::object(writer.headers, sent)?;
    set(writer, |_| Ok(wanted))
}

/// Patches the present scale.
pub(crate) fn patch(writer: &Writer<'_>, sent: &[u8]) -> Result<Response<Body>, Status> {
    let patch = Patch::parse(request_object::media_type(writer.headers), sent)?;
    set(writer, |mut scale| {
        patch.apply_to(&mut scale)?;
        Ok(scale)
    })
}

fn set(
    writer: &Writer<'_>,
    wanted: impl FnOnce(Value) -> Result<Value, Status>,
) -> Result<Response<Body>, Status> {
    let resource = writer.target.resource;
    let changed = writer.update(|current| {
        let wanted = wanted(scale(current))?;
        writer.check_version(current, &wanted)?;
        let replicas = match &wanted["spec"]["replicas"] {
            Value::Null => 0,
            value => value.as_u64().ok_or_else(|| {
                let why = "must be a whole number of 0 or more";
                let cause = Cause::invalid("spec.replicas", value, why);
                Status::invalid("Scale", "autoscaling", writer.name(), vec![cause])
            })?,
        };
        let mut next = current.clone();
        child_mut(as_map(&mut next), "spec").insert("replicas".to_owned(), json!(replicas));
        if next["spec"] != current["spec"] {
            let fields = json!({"f:spec": {"f:replicas": {}}});
            let entries = managed_fields::entries(current);
            let entries = managed_fields::record(entries, &writer.manager("Update"), fields);
            let metadata = metadata_mut(&mut next);
            metadata.insert("generation".to_owned(), next_generation(current));
            metadata.insert("managedFields".to_owned(), entries);
            defaults::settle(resource, &mut next);
        }
        Ok(next)
    })?;
    show(writer, &changed.value)
}

fn show(writer: &Writer<'_>, object: &Value) -> Result<Response<Body>, Status> {
    response::json(StatusCode::OK, &scale(object), &writer.context.format)
}

fn scale(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let labels = object["spec"]["selector"]["matchLabels"].as_object();
    let selector: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {
            "replicas": object["status"]["replicas"],
            "selector": selector.join(","),
        },
    })
}

fn missing(writer: &Writer<'_>) -> Status {
    Status::not_found(writer.target.resource, writer.name())
}
