//! The selection of objects for a response, and their representation in it.

use std::borrow::Cow;

use http::{Response, StatusCode};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{
    status::Status,
    table::{self, IncludeObject},
};
use crate::demo::{
    form::Form,
    kubernetes::{
        encoding::response::{self, Format, Shape},
        objects::{
            field_selector::FieldSelector, label_selector::LabelSelector, metadata::metadata_only,
            resources::Resource,
        },
        route::Target,
    },
    server::Body,
};

/// A resource, a namespace or all namespaces, and two selectors.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    /// The selection of a target by `?labelSelector=` and `?fieldSelector=`.
    pub(crate) fn new(target: &Target, query: &Form) -> Result<Self, Status> {
        let labels = query.get("labelSelector").unwrap_or_default();
        let fields = query.get("fieldSelector").unwrap_or_default();
        Ok(Self {
            resource: target.resource,
            namespace: target.namespace.clone(),
            labels: LabelSelector::parse(labels)?,
            fields: FieldSelector::parse(fields, target.resource)?,
        })
    }

    /// Whether there are no selectors.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the selectors match an object of the resource and namespace.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }
}

/// The representation of objects in a response.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) format: Format,
    include_object: IncludeObject,
}

impl View {
    pub(crate) fn new(format: Format, query: &Form) -> Result<Self, Status> {
        let include_object = IncludeObject::parse(query.get("includeObject"))?;
        Ok(Self {
            format,
            include_object,
        })
    }

    /// Whether objects are sent as they are stored.
    pub(crate) fn is_plain(&self) -> bool {
        self.format.shape == Shape::Objects
    }

    /// The representation of one object.
    pub(crate) fn one<'a>(&self, resource: &Resource, object: &'a Value) -> Cow<'a, Value> {
        match self.format.shape {
            Shape::Objects => Cow::Borrowed(object),
            Shape::Metadata => Cow::Owned(metadata_only(object)),
            Shape::Table => {
                let version = &object["metadata"]["resourceVersion"];
                let metadata = json!({"resourceVersion": version});
                Cow::Owned(table::table(
                    resource,
                    [object],
                    &metadata,
                    self.include_object,
                ))
            }
        }
    }

    /// The representation of a bookmark. As a table it has no rows.
    pub(crate) fn bookmark(&self, resource: &Resource, bookmark: &Value) -> Value {
        match self.format.shape {
            Shape::Objects => bookmark.clone(),
            Shape::Metadata => metadata_only(bookmark),
            Shape::Table => table::table(resource, [], &bookmark["metadata"], self.include_object),
        }
    }

    /// The response with a list of objects.
    pub(crate) fn list(
        &self,
        resource: &Resource,
        objects: &[&Value],
        metadata: Value,
    ) -> Result<Response<Body>, Status> {
        let ok = StatusCode::OK;
        match self.format.shape {
            Shape::Objects => {
                let list = List {
                    kind: format!("{}List", resource.kind),
                    api_version: resource.api_version(),
                    metadata,
                    items: objects.iter().map(|object| Item(object)).collect(),
                };
                response::json(ok, &list, &self.format)
            }
            Shape::Metadata => {
                let list = List {
                    kind: "PartialObjectMetadataList".to_owned(),
                    api_version: "meta.k8s.io/v1".to_owned(),
                    metadata,
                    items: objects.iter().map(|object| metadata_only(object)).collect(),
                };
                response::json(ok, &list, &self.format)
            }
            Shape::Table => {
                let rows = objects.iter().copied();
                let table = table::table(resource, rows, &metadata, self.include_object);
                response::json(ok, &table, &self.format)
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    kind: String,
    api_version: String,
    metadata: Value,
    items: Vec<T>,
}

/// An object in a list, which leaves out the kind and version that the list has.
struct Item<'a>(&'a Value);

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.0.as_object().into_iter().flatten();
        serializer.collect_map(fields.filter(|(name, _)| *name != "kind" && *name != "apiVersion"))
    }
}
