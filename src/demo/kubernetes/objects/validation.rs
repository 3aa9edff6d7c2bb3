//! Validation of objects: a small part of what API servers check.

use serde_json::{Value, json};

use super::resources::{RBAC_GROUP, Resource};
use crate::demo::kubernetes::{
    encoding::status::{Cause, Status},
    objects::metadata::meta,
};

/// Checks that a value is an object, and of the resource's kind if it names one.
pub(crate) fn check_kind(resource: &Resource, object: &Value) -> Result<(), Status> {
    if !object.is_object() || !(object["metadata"].is_object() || object["metadata"].is_null()) {
        return Err(Status::bad_request(format!(
            "the body of the request is not an object of kind {}",
            resource.kind
        )));
    }
    let matches =
        |field: &str, expected: &str| object[field].as_str().is_none_or(|value| value == expected);
    if matches("kind", resource.kind) && matches("apiVersion", &resource.api_version()) {
        return Ok(());
    }
    Err(Status::bad_request(format!(
        "{} in version {} cannot be handled as a {}",
        object["kind"], object["apiVersion"], resource.kind
    )))
}

/// Checks a new object: its name or `generateName`, and the fields that its kind requires.
pub(crate) fn new_object(resource: &Resource, object: &Value) -> Result<(), Status> {
    let name = meta(object, "name");
    let cause = if name.is_empty() && meta(object, "generateName").is_empty() {
        Cause::required("metadata.name", "name or generateName is required")
    } else if !name.is_empty() && resource.group == RBAC_GROUP {
        // RBAC objects may have names such as `system:node`.
        if !matches!(name, "." | "..") && !name.contains(['/', '%']) {
            return self::object(resource, object);
        }
        Cause::invalid(
            "metadata.name",
            &json!(name),
            "may not be '.' or '..' or contain '/' or '%'",
        )
    } else if !name.is_empty() && !is_subdomain(name) {
        let detail = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                      characters, '-' or '.', and must start and end with an alphanumeric character";
        Cause::invalid("metadata.name", &json!(name), detail)
    } else {
        return self::object(resource, object);
    };
    Err(Status::invalid(
        resource.kind,
        resource.group,
        name,
        vec![cause],
    ))
}

/// Checks an object at every write: the fields that its kind requires.
pub(crate) fn object(resource: &Resource, object: &Value) -> Result<(), Status> {
    let mut causes = Vec::new();
    for (pointer, field) in required(resource) {
        let absent = match object.pointer(pointer) {
            None | Some(Value::Null) => true,
            Some(Value::Array(items)) => items.is_empty(),
            Some(_) => false,
        };
        if absent {
            causes.push(Cause::required(field, ""));
        }
    }
    if causes.is_empty() {
        return Ok(());
    }
    let name = meta(object, "name");
    Err(Status::invalid(resource.kind, resource.group, name, causes))
}

/// The fields that the resource's kind requires, as JSON pointer and in the form of messages.
fn required(resource: &Resource) -> &'static [(&'static str, &'static str)] {
    match resource.plural {
        "pods" => &[("/spec/containers", "spec.containers")],
        "deployments" | "replicasets" => &[
            ("/spec/selector", "spec.selector"),
            (
                "/spec/template/spec/containers",
                "spec.template.spec.containers",
            ),
        ],
        "events" => &[("/involvedObject", "involvedObject")],
        "clusterrolebindings" | "rolebindings" => &[
            ("/roleRef/kind", "roleRef.kind"),
            ("/roleRef/name", "roleRef.name"),
        ],
        _ => &[],
    }
}

/// Whether a name is a subdomain of RFC 1123, as most names must be.
fn is_subdomain(name: &str) -> bool {
    let is_alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253
        && name.split('.').all(|label| {
            let bytes = label.as_bytes();
            bytes.first().is_some_and(|c| is_alphanumeric(*c))
                && bytes.last().is_some_and(|c| is_alphanumeric(*c))
                && bytes.iter().all(|c| is_alphanumeric(*c) || *c == b'-')
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::resources, *};

    #[test]
    fn names_are_subdomains() {
        for name in ["a", "web-1", "kube-root-ca.crt", "1.2"] {
            assert!(is_subdomain(name), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a_b", "a..b", "a/b"] {
            assert!(!is_subdomain(name), "{name}");
        }
    }

    #[test]
    fn a_pod_needs_a_name_a_kind_and_containers() {
        let pods = resources::find("", "v1", "pods").unwrap();
        let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}});
        assert!(new_object(pods, &pod).is_ok());
        let empty = json!({"metadata": {"name": "a"}, "spec": {"containers": []}});
        assert_eq!(new_object(pods, &empty).unwrap_err().code, 422);
        assert_eq!(new_object(pods, &json!({})).unwrap_err().code, 422);
        assert!(check_kind(pods, &json!({"kind": "Secret"})).is_err());
        assert!(check_kind(pods, &json!({"metadata": []})).is_err());
    }
}
