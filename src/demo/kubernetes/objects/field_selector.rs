//! Field selectors: `status.phase=Running,metadata.name!=hello`.

use serde_json::Value;

use super::resources::Resource;
use crate::demo::kubernetes::encoding::status::Status;

/// Requirements that must all be met. An empty selector matches every object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Requirement>);

#[derive(Debug, PartialEq, Eq)]
struct Requirement {
    /// The field as a JSON pointer.
    pointer: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Parses a selector. The resource determines which fields it may use.
    pub(crate) fn parse(text: &str, resource: &Resource) -> Result<Self, Status> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| requirement(part, resource))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object matches. An absent field equals the empty text.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|requirement| {
            let equal = match object.pointer(&requirement.pointer) {
                Some(Value::String(text)) => *text == requirement.value,
                None | Some(Value::Null) => requirement.value.is_empty(),
                Some(other) => serde_json::from_str(&requirement.value)
                    .is_ok_and(|value: Value| value == *other),
            };
            equal == requirement.equal
        })
    }
}

fn requirement(part: &str, resource: &Resource) -> Result<Requirement, Status> {
    let (field, value, equal) = if let Some((field, value)) = part.split_once("!=") {
        (field, value, false)
    } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (field, value, true)
    } else {
        let message = format!("invalid selector: {part:?}; can't understand {part:?}");
        return Err(Status::bad_request(message));
    };
    let is_supported = field == "metadata.name"
        || field == "metadata.namespace" && resource.namespaced
        || resource.selectable.contains(&field);
    if !is_supported {
        let message = format!("field label not supported: {field}");
        return Err(Status::bad_request(message));
    }
    Ok(Requirement {
        pointer: format!("/{}", field.replace('.', "/")),
        value: value.to_owned(),
        equal,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::resources, *};

    #[test]
    fn fields_are_compared_and_unsupported_ones_refused() {
        let pods = resources::find("", "v1", "pods").unwrap();
        let pod = serde_json::json!({
            "metadata": {"name": "hello", "namespace": "default"},
            "status": {"phase": "Running"},
        });
        let matches = |text| FieldSelector::parse(text, pods).unwrap().matches(&pod);
        assert!(matches("metadata.name=hello,status.phase!=Pending"));
        assert!(matches("spec.nodeName=") && matches("status.phase==Running"));
        assert!(!matches("metadata.name=hello,status.phase=Pending"));
        assert!(!matches("spec.nodeName!="));
        assert!(FieldSelector::parse("spec.color=red", pods).is_err());
        assert!(FieldSelector::parse("metadata.name", pods).is_err());
    }
}
