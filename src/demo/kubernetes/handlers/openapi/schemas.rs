//! The schemas of the kinds, reduced to the common fields.

use serde_json::{Map, Value, json};

use crate::demo::kubernetes::objects::resources::{RESOURCES, Resource};

/// A schema of the table.
struct Schema {
    /// A name such as `core.Pod`. The first part stands for a package.
    name: &'static str,
    description: &'static str,
    fields: Vec<Field>,
}

struct Field {
    name: &'static str,
    kind: &'static str,
    required: bool,
    description: &'static str,
}

/// Parses the table in `schemas.txt`, which describes its own format.
fn table() -> Vec<Schema> {
    let mut schemas: Vec<Schema> = Vec::new();
    let text = include_str!("schemas.txt");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(field) = line.strip_prefix("  ") {
            let mut parts = field.splitn(3, ' ');
            let mut next = || parts.next().unwrap_or_default();
            let (name, kind, description) = (next(), next(), next());
            if let Some(schema) = schemas.last_mut() {
                schema.fields.push(Field {
                    name,
                    kind: kind.trim_end_matches('!'),
                    required: kind.ends_with('!'),
                    description,
                });
            }
        } else if let Some((name, description)) = line.split_once(' ') {
            schemas.push(Schema {
                name,
                description,
                fields: Vec::new(),
            });
        }
    }
    schemas
}

const PACKAGES: &[(&str, &str)] = &[
    ("core.", "io.k8s.api.core.v1."),
    ("apps.", "io.k8s.api.apps.v1."),
    ("rbac.", "io.k8s.api.rbac.v1."),
    ("meta.", "io.k8s.apimachinery.pkg.apis.meta.v1."),
];

/// The schemas that the document of a group refers to.
pub(super) fn of(group: &str) -> Value {
    let mut schemas = Map::new();
    for schema in table() {
        let package = schema.name.split('.').next().unwrap_or_default();
        if matches!(package, "core" | "meta") || package == package_of(group) {
            schemas.insert(full_name(schema.name), to_json(&schema));
        }
    }
    let resources = RESOURCES
        .iter()
        .filter(|resource| resource.group == group || resource.group.is_empty());
    for resource in resources {
        let name = format!("{}List", name_of(resource));
        schemas.insert(name, list(resource));
    }
    Value::Object(schemas)
}

/// The full name of the schema of a resource.
pub(super) fn name_of(resource: &Resource) -> String {
    full_name(&format!("{}.{}", package_of(resource.group), resource.kind))
}

/// The first part of the names of the schemas of a group.
fn package_of(group: &str) -> &str {
    match group.split('.').next() {
        None | Some("") => "core",
        Some(package) => package,
    }
}

pub(super) fn reference(full_name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{full_name}")})
}

/// The schema of values that are not described further.
pub(super) fn any() -> Value {
    reference(&full_name("meta.Patch"))
}

fn full_name(name: &str) -> String {
    let package = PACKAGES.iter().find(|(short, _)| name.starts_with(short));
    package.map_or_else(
        || name.to_owned(),
        |(short, package)| format!("{package}{}", &name[short.len()..]),
    )
}

fn to_json(schema: &Schema) -> Value {
    let mut json = json!({"type": "object", "description": schema.description});
    let fields: Map<String, Value> = schema
        .fields
        .iter()
        .map(|field| {
            let mut property = field_type(field.kind);
            // A sibling of `$ref` is ignored, so the reference goes into `allOf`.
            if property.get("$ref").is_some() {
                property = json!({"allOf": [property], "default": {}});
            }
            property["description"] = json!(field.description);
            (field.name.to_owned(), property)
        })
        .collect();
    let required = schema.fields.iter().filter(|field| field.required);
    let required: Vec<&str> = required.map(|field| field.name).collect();
    if !fields.is_empty() {
        json["properties"] = Value::Object(fields);
    }
    if !required.is_empty() {
        json["required"] = json!(required);
    }
    let resource = RESOURCES
        .iter()
        .find(|resource| name_of(resource) == full_name(schema.name));
    if let Some(resource) = resource {
        json["x-kubernetes-group-version-kind"] = json!([gvk(resource, "")]);
    }
    json
}

fn field_type(kind: &str) -> Value {
    let inner = |open, close| kind.strip_prefix(open)?.strip_suffix(close);
    if let Some(item) = inner('[', ']') {
        return json!({"type": "array", "items": field_type(item)});
    }
    if let Some(value) = inner('{', '}') {
        return json!({"type": "object", "additionalProperties": field_type(value)});
    }
    match kind {
        "any" => json!({"type": "object"}),
        "integer" => json!({"type": "integer", "format": "int32"}),
        "string" | "boolean" => json!({"type": kind}),
        name => reference(&full_name(name)),
    }
}

fn list(resource: &Resource) -> Value {
    let item = reference(&name_of(resource));
    json!({
        "type": "object",
        "description": format!("{}List is a list of {}.", resource.kind, resource.plural),
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": "The schema's group and version."},
            "kind": {"type": "string", "description": "The kind of the list."},
            "metadata": {"type": "object", "description": "Standard list metadata."},
            "items": {"type": "array", "items": item, "description": "The objects."},
        },
        "x-kubernetes-group-version-kind": [gvk(resource, "List")],
    })
}

fn gvk(resource: &Resource, suffix: &str) -> Value {
    json!({
        "group": resource.group,
        "version": resource.version,
        "kind": format!("{}{suffix}", resource.kind),
    })
}
