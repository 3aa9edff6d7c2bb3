//! `Table` of `meta.k8s.io/v1`, which `kubectl get` prints.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    columns::{self, Column},
    status::Status,
};
use crate::demo::kubernetes::objects::{metadata::metadata_only, resources::Resource};

/// `?includeObject=`: what a row has beside its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    Nothing,
    Metadata,
    Object,
}

impl IncludeObject {
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Status> {
        match text {
            None | Some("Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::Nothing),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(Status::bad_request(format!(
                "unrecognized includeObject value: {other:?}"
            ))),
        }
    }
}

/// Builds a table of objects of one resource.
pub(crate) fn table<'a>(
    resource: &Resource,
    objects: impl IntoIterator<Item = &'a Value>,
    metadata: &Value,
    include_object: IncludeObject,
) -> Value {
    let columns = columns::of(resource);
    let now = Timestamp::now();
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| row(columns, object, include_object, now))
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns.iter().map(definition).collect::<Vec<_>>(),
        "rows": rows,
    })
}

fn row(columns: &[Column], object: &Value, include_object: IncludeObject, now: Timestamp) -> Value {
    let cells: Vec<Value> = columns
        .iter()
        .map(|column| (column.cell)(object, now))
        .collect();
    let object = match include_object {
        IncludeObject::Nothing => Value::Null,
        IncludeObject::Metadata => metadata_only(object),
        IncludeObject::Object => object.clone(),
    };
    json!({"cells": cells, "object": object})
}

fn definition(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.kind,
        "format": if column.name == "Name" { "name" } else { "" },
        "description": column.description,
        "priority": i32::from(column.wide),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::demo::kubernetes::objects::resources;

    #[test]
    fn a_pod_becomes_a_row_with_its_metadata() {
        let pods = resources::find("", "v1", "pods").unwrap();
        let pod = json!({
            "metadata": {"name": "hello", "namespace": "default"},
            "spec": {"containers": [{"name": "shell"}, {"name": "other"}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "shell", "ready": true, "restartCount": 2},
                {"name": "other", "ready": false, "restartCount": 1},
            ]},
        });
        let table = table(pods, [&pod], &json!({}), IncludeObject::Metadata);
        assert_eq!(table["columnDefinitions"][0]["format"], "name");
        let cells = table["rows"][0]["cells"].as_array().unwrap();
        assert_eq!(
            cells[..5],
            [
                json!("hello"),
                json!("1/2"),
                json!("Running"),
                json!("3"),
                json!("<unknown>")
            ]
        );
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
        assert_eq!(
            cells.len(),
            table["columnDefinitions"].as_array().unwrap().len()
        );
    }

    #[test]
    fn a_row_has_what_include_object_asks_for() {
        let pods = resources::find("", "v1", "pods").unwrap();
        let pod = json!({"metadata": {"name": "hello"}, "spec": {}});
        let of = |include_object| {
            table(pods, [&pod], &json!({}), include_object)["rows"][0]["object"].clone()
        };
        assert_eq!(of(IncludeObject::Nothing), Value::Null);
        assert_eq!(of(IncludeObject::Object), pod);
        assert!(IncludeObject::parse(Some("Everything")).is_err());
    }
}
