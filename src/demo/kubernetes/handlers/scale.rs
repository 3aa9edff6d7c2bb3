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

/// Responds with the current scale.
pub(crate) fn get(writer: &Writer<'_>) -> Result<Response<Body>, Status> {
    let object = writer.store().get(&writer.key());
    let object = object.ok_or_else(|| not_found(writer))?;
    respond(writer, &object.value)
}

/// Sets the replicas of a `Scale`.
pub(crate) fn replace(writer: &Writer<'_>, body: &[u8]) -> Result<Response<Body>, Status> {
    let scale = request_object::object(writer.headers, body)?;
    update(writer, |_| Ok(scale))
}

/// Patches the current scale.
pub(crate) fn patch(writer: &Writer<'_>, body: &[u8]) -> Result<Response<Body>, Status> {
    let patch = Patch::parse(request_object::media_type(writer.headers), body)?;
    update(writer, |mut scale| {
        patch.apply_to(&mut scale)?;
        Ok(scale)
    })
}

fn update(
    writer: &Writer<'_>,
    change: impl FnOnce(Value) -> Result<Value, Status>,
) -> Result<Response<Body>, Status> {
    let resource = writer.target.resource;
    let changed = writer.update(|current| {
        let scale = change(scale(current))?;
        writer.check_version(current, &scale)?;
        let replicas = match &scale["spec"]["replicas"] {
            Value::Null => 0,
            value => value.as_u64().ok_or_else(|| {
                let detail = "must be a whole number of 0 or more";
                let cause = Cause::invalid("spec.replicas", value, detail);
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
            defaults::reconcile(resource, &mut next);
        }
        Ok(next)
    })?;
    respond(writer, &changed.value)
}

fn respond(writer: &Writer<'_>, object: &Value) -> Result<Response<Body>, Status> {
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

fn not_found(writer: &Writer<'_>) -> Status {
    Status::not_found(writer.target.resource, writer.name())
}
