//! The paths of each resource and their operations.

use serde_json::{Map, Value, json};

use super::schemas;
use crate::demo::kubernetes::objects::resources::{
    RESOURCES, REVIEWS, Resource, Subresource, group_version,
};

/// Every path of a group.
pub(super) fn of(group: &str) -> Value {
    let mut paths = Map::new();
    for resource in RESOURCES.iter().filter(|resource| resource.group == group) {
        add_resource(&mut paths, resource);
    }
    for review in REVIEWS.iter().filter(|review| review.group == group) {
        let gvk = json!({"group": group, "version": "v1", "kind": review.kind});
        let path = format!("{}/{}", root(group), review.plural);
        let post = operation(
            "post",
            &gvk,
            &schemas::any(),
            &["dryRun", "fieldValidation"],
        );
        paths.insert(path, json!({"post": post}));
    }
    Value::Object(paths)
}

fn root(group: &str) -> String {
    match group {
        "" => "/api/v1".to_owned(),
        group => format!("/apis/{}", group_version(group, "v1")),
    }
}

fn add_resource(paths: &mut Map<String, Value>, resource: &Resource) {
    let root = root(resource.group);
    let plural = resource.plural;
    let gvk = json!({
        "group": resource.group, "version": resource.version, "kind": resource.kind,
    });
    let one = schemas::reference(&schemas::name_of(resource));
    let list = schemas::reference(&format!("{}List", schemas::name_of(resource)));
    let listing = operation("list", &gvk, &list, LISTING);
    let collection = json!({
        "get": listing,
        "post": operation("post", &gvk, &one, WRITING),
        "delete": operation("deletecollection", &gvk, &schemas::any(), LISTING),
    });
    let collection_path = if resource.namespaced {
        paths.insert(format!("{root}/{plural}"), json!({"get": listing}));
        format!("{root}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("{root}/{plural}")
    };
    let one_path = format!("{collection_path}/{{name}}");
    let mut object = updating(&gvk, &one);
    object["delete"] = operation("delete", &gvk, &schemas::any(), &["dryRun"]);
    paths.insert(collection_path, collection);
    for sub in resource.subresources {
        let path = format!("{one_path}/{}", sub.name);
        paths.insert(path, subresource(sub, &one));
    }
    paths.insert(one_path, object);
}

fn subresource(sub: &Subresource, one: &Value) -> Value {
    let (group, version, kind) = sub.kind;
    let gvk = json!({"group": group, "version": version, "kind": kind});
    match sub.name {
        "status" => updating(&gvk, one),
        "scale" => updating(&gvk, &schemas::any()),
        "token" => json!({"post": operation("post", &gvk, &schemas::any(), WRITING)}),
        "log" => json!({"get": operation("get", &gvk, &json!({"type": "string"}), &[])}),
        _ => json!({
            "get": operation("connect", &gvk, &json!({"type": "string"}), &[]),
            "post": operation("connect", &gvk, &json!({"type": "string"}), &[]),
        }),
    }
}

fn updating(gvk: &Value, schema: &Value) -> Value {
    json!({
        "get": operation("get", gvk, schema, &[]),
        "put": operation("put", gvk, schema, WRITING),
        "patch": operation("patch", gvk, schema, WRITING),
    })
}

const LISTING: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];

/// kubectl does not validate objects itself if it finds `fieldValidation` here.
const WRITING: &[&str] = &["dryRun", "fieldManager", "fieldValidation", "force"];

fn operation(action: &str, gvk: &Value, schema: &Value, parameters: &[&str]) -> Value {
    let parameters: Vec<Value> = parameters.iter().map(|name| parameter(name)).collect();
    let mut operation = json!({
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk,
        "parameters": parameters,
        "responses": {"200": {
            "description": "OK",
            "content": {"application/json": {"schema": schema}},
        }},
    });
    match action {
        "post" | "put" => {
            operation["requestBody"] = json!({
                "required": true,
                "content": {"*/*": {"schema": schema}},
            });
        }
        // The strategic merge patch is supported but not listed. Clients that find it here compute
        // patches from the schemas, which are too short for that, instead of their own types.
        "patch" => {
            let any = json!({"schema": schemas::any()});
            operation["requestBody"] = json!({
                "required": true,
                "content": {
                    "application/apply-patch+yaml": any,
                    "application/json-patch+json": any,
                    "application/merge-patch+json": any,
                },
            });
        }
        _ => {}
    }
    operation
}

fn parameter(name: &str) -> Value {
    let kind = match name {
        "limit" | "timeoutSeconds" => "integer",
        "allowWatchBookmarks" | "force" | "sendInitialEvents" | "watch" => "boolean",
        _ => "string",
    };
    json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
}
