//! The four kinds of patches that the API server accepts.

use json_patch::Patch as JsonPatch;
use serde_json::Value;

use crate::demo::kubernetes::{
    encoding::{request_object, status::Status},
    objects::strategic_merge,
};

/// A parsed patch.
#[derive(Debug)]
pub(crate) enum Patch {
    /// RFC 6902.
    Json(JsonPatch),
    /// RFC 7386.
    Merge(Value),
    Strategic(Value),
    /// Server-side apply: all fields that the manager wants.
    Apply(Value),
}

const ACCEPTED: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

impl Patch {
    /// Parses a body according to its media type.
    pub(crate) fn parse(media_type: &str, bytes: &[u8]) -> Result<Self, Status> {
        match media_type {
            "application/json-patch+json" => serde_json::from_slice(bytes)
                .map(Self::Json)
                .map_err(|error| Status::bad_request(format!("error decoding patch: {error}"))),
            "application/merge-patch+json" => request_object::json(bytes).map(Self::Merge),
            "application/strategic-merge-patch+json" => {
                request_object::json(bytes).map(Self::Strategic)
            }
            "application/apply-patch+yaml" => request_object::yaml(bytes).map(Self::Apply),
            _ => Err(Status::unsupported_media_type(ACCEPTED)),
        }
    }

    /// Applies the patch to an object. An apply patch is merged here without regard to ownership of
    /// fields, which [`super::server_side_apply`] takes into account.
    pub(crate) fn apply_to(&self, object: &mut Value) -> Result<(), Status> {
        match self {
            Self::Json(patch) => json_patch::patch(object, patch)
                .map_err(|error| Status::unprocessable(error.to_string())),
            Self::Merge(patch) => {
                json_patch::merge(object, patch);
                Ok(())
            }
            Self::Strategic(patch) | Self::Apply(patch) => {
                strategic_merge::merge(object, patch).map_err(Status::bad_request)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(kind: &str, patch: &str) -> Result<Value, Status> {
        let mut object = json!({"data": {"a": "1", "b": "2"}});
        let media_type = format!("application/{kind}");
        Patch::parse(&media_type, patch.as_bytes())?.apply_to(&mut object)?;
        Ok(object)
    }

    #[test]
    fn every_kind_of_patch_is_applied() {
        let wanted = json!({"data": {"a": "1", "c": "3"}});
        for (kind, patch) in [
            (
                "json-patch+json",
                r#"[{"op":"test","path":"/data/b","value":"2"},
                    {"op":"remove","path":"/data/b"},{"op":"add","path":"/data/c","value":"3"}]"#,
            ),
            ("merge-patch+json", r#"{"data":{"b":null,"c":"3"}}"#),
            (
                "strategic-merge-patch+json",
                r#"{"data":{"b":null,"c":"3"}}"#,
            ),
        ] {
            assert_eq!(patched(kind, patch).unwrap(), wanted, "{kind}");
        }
        let applied = patched("apply-patch+yaml", "data:\n  c: '3'\n").unwrap();
        assert_eq!(applied, json!({"data": {"a": "1", "b": "2", "c": "3"}}));
    }

    #[test]
    fn a_failed_test_and_an_unknown_media_type_are_refused() {
        let test = r#"[{"op":"test","path":"/data/b","value":"9"}]"#;
        assert_eq!(patched("json-patch+json", test).unwrap_err().code, 422);
        assert_eq!(patched("json", "{}").unwrap_err().code, 415);
    }
}
