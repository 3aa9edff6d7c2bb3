//! `Table` of `meta.k8s.io/v1`: what the server prints for `kubectl get`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    columns::{self, Column},
    status::Status,
    view::metadata_only,
};
use crate::demo::kubernetes::objects::resources::Resource;

/// `?includeObject=`: what a row carries beside its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Included {
    Nothing,
    Metadata,
    Object,
}

impl Included {
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

/// Objects of a kind as a table.
pub(crate) fn table<'a>(
    resource: &Resource,
    objects: impl IntoIterator<Item = &'a Value>,
    metadata: &Value,
    included: Included,
) -> Value {
    let columns = columns::of(resource);
    let now = Timestamp::now();
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| row(columns, object, included, now))
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns.iter().map(definition).collect::<Vec<_>>(),
        "rows": rows,
    })
}

fn row(columns: &[Column], object: &Value, included: Included, now: Timestamp) -> Value {
    let cells: Vec<Value> = columns
        .iter()
        .map(|column| (column.cell)(object, now))
        .collect();
    let object = match included {
        Included::Nothing => Value::Null,
        Included::Metadata => metadata_only(object),
        Included::Object => object.clone(),
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
        let table = table(pods, [&pod], &json!({}), Included::Metadata);
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
    fn a_row_carries_what_include_object_asks_for() {
        let pods = resources::find("", "v1", "pods").unwrap();
        let pod = json!({"metadata": {"name": "hello"}, "spec": {}});
        let of = |included| table(pods, [&pod], &json!({}), included)["rows"][0]["object"].clone();
        assert_eq!(of(Included::Nothing), Value::Null);
        assert_eq!(of(Included::Object), pod);
        assert!(Included::parse(Some("Everything")).is_err());
    }
}
