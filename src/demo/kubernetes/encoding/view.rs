//! Which objects a request sees, and in what shape it gets them.

use std::borrow::Cow;

use http::{Response, StatusCode};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{
    status::Status,
    table::{self, Included},
};
use crate::demo::{
    form::Query,
    kubernetes::{
        encoding::response::{self, Format, Shape},
        objects::{
            field_selector::FieldSelector, label_selector::LabelSelector, resources::Resource,
        },
        route::Target,
    },
    server::Body,
};

/// A kind, a namespace or all, and two selectors.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    /// What `?labelSelector=` and `?fieldSelector=` leave of a target.
    pub(crate) fn new(target: &Target, query: &Query) -> Result<Self, Status> {
        let labels = query.get("labelSelector").unwrap_or_default();
        let fields = query.get("fieldSelector").unwrap_or_default();
        Ok(Self {
            resource: target.resource,
            namespace: target.namespace.clone(),
            labels: LabelSelector::parse(labels)?,
            fields: FieldSelector::parse(fields, target.resource)?,
        })
    }

    /// Whether it leaves nothing out.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the selectors let an object of the kind and namespace through.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }
}

/// How objects are shown.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) format: Format,
    included: Included,
}

impl View {
    pub(crate) fn new(format: Format, query: &Query) -> Result<Self, Status> {
        let included = Included::parse(query.get("includeObject"))?;
        Ok(Self { format, included })
    }

    /// Whether objects go out as they are stored.
    pub(crate) fn is_plain(&self) -> bool {
        self.format.shape == Shape::Objects
    }

    /// One object in the shape asked for.
    pub(crate) fn one<'a>(&self, resource: &Resource, object: &'a Value) -> Cow<'a, Value> {
        match self.format.shape {
            Shape::Objects => Cow::Borrowed(object),
            Shape::Metadata => Cow::Owned(metadata_only(object)),
            Shape::Table => {
                let version = &object["metadata"]["resourceVersion"];
                let metadata = json!({"resourceVersion": version});
                Cow::Owned(table::table(resource, [object], &metadata, self.included))
            }
        }
    }

    /// A bookmark in the shape asked for: as a table, it has no rows.
    pub(crate) fn bookmark(&self, resource: &Resource, bookmark: &Value) -> Value {
        match self.format.shape {
            Shape::Objects => bookmark.clone(),
            Shape::Metadata => metadata_only(bookmark),
            Shape::Table => table::table(resource, [], &bookmark["metadata"], self.included),
        }
    }

    /// A list in the shape asked for, as an answer.
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
                let table = table::table(resource, rows, &metadata, self.included);
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

/// An object in a list: its kind and version are the list's, and left out.
struct Item<'a>(&'a Value);

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.0.as_object().into_iter().flatten();
        serializer.collect_map(fields.filter(|(name, _)| *name != "kind" && *name != "apiVersion"))
    }
}

/// `PartialObjectMetadata` of an object.
pub(crate) fn metadata_only(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}
