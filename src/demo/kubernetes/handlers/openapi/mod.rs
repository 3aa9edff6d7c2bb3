//! `OpenAPI`: the schemas of the resources and their paths, reduced to what `kubectl explain`,
//! `apply` and `create` use.

mod paths;
mod schemas;

use std::{collections::BTreeMap, sync::LazyLock};

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::demo::{
    kubernetes::{
        encoding::{response, status::Status},
        objects::resources::{GROUPS, group_version},
    },
    server::{Body, full_body},
};

/// The document of one group and version, and its hash, which clients use for caching.
struct Document {
    bytes: Bytes,
    hash: String,
}

/// The documents, by the path after `/openapi/v3/`. They never change.
static DOCUMENTS: LazyLock<BTreeMap<String, Document>> = LazyLock::new(|| {
    let groups = std::iter::once(&"").chain(GROUPS);
    groups.map(|group| (path(group), build(group))).collect()
});

fn path(group: &str) -> String {
    match group {
        "" => "api/v1".to_owned(),
        group => format!("apis/{}", group_version(group, "v1")),
    }
}

fn build(group: &str) -> Document {
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.35.0"},
        "paths": paths::of(group),
        "components": {"schemas": schemas::of(group)},
    });
    let text = document.to_string();
    let hash = digest::digest(&digest::SHA512, text.as_bytes());
    let hash = hash.as_ref().iter().map(|byte| format!("{byte:02X}"));
    Document {
        hash: hash.collect(),
        bytes: text.into(),
    }
}

/// `/openapi/v3`: the URLs of the documents.
pub(crate) fn index() -> Response<Body> {
    let paths: BTreeMap<&str, Value> = DOCUMENTS
        .iter()
        .map(|(path, document)| {
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            (path.as_str(), json!({"serverRelativeURL": url}))
        })
        .collect();
    let bytes = json!({"paths": paths}).to_string();
    // The content type is text in real servers, too.
    response::text(bytes)
}

/// `/openapi/v3/apis/apps/v1`. If the client sends the current hash, it may cache the response
/// without limit.
pub(crate) fn document(
    path: &str,
    hash: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response<Body>, Status> {
    let document = DOCUMENTS.get(path).ok_or_else(Status::no_such_path)?;
    let tag = format!("\"{}\"", document.hash);
    let is_cached = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|value| *value == *tag);
    let mut response = if is_cached {
        let mut response = Response::new(full_body(Bytes::new()));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        response::json_bytes(StatusCode::OK, document.bytes.clone())
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    if hash == Some(&document.hash) {
        let forever = HeaderValue::from_static("public, immutable");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, forever);
    }
    Ok(response)
}

/// `/openapi/v2`: a document without content. Clients such as kubectl use v3, and ask for this
/// document only for a kind that v3 does not have. kubectl accepts only protobuf.
pub(crate) fn v2(headers: &HeaderMap) -> Response<Body> {
    const REQUESTED_TYPE: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    // API servers respond without the `@`, which is not allowed in a media type.
    const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    // An `openapi.v2.Document` whose field 1, `swagger`, is "2.0".
    const EMPTY_DOCUMENT: &[u8] = b"\x0a\x032.0";
    let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok());
    if accept.is_some_and(|accept| accept.contains(REQUESTED_TYPE)) {
        let mut response = response::json_bytes(StatusCode::OK, EMPTY_DOCUMENT);
        let protobuf = HeaderValue::from_static(PROTOBUF);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, protobuf);
        return response;
    }
    let document = json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.35.0"},
        "paths": {},
        "definitions": {},
    });
    response::json_bytes(StatusCode::OK, document.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_has_a_schema() {
        for (path, document) in DOCUMENTS.iter() {
            let document: Value = serde_json::from_slice(&document.bytes).unwrap();
            let schemas = document["components"]["schemas"].as_object().unwrap();
            let text = document.to_string();
            let mut found = 0;
            for reference in text.split("\"#/components/schemas/").skip(1) {
                let name = reference.split('"').next().unwrap();
                assert!(schemas.contains_key(name), "{path}: {name} is missing");
                found += 1;
            }
            assert!(found > 0, "{path} has no references");
        }
    }

    #[test]
    fn a_deployment_has_its_kind_and_its_patch_allows_field_validation() {
        let document: Value = serde_json::from_slice(&DOCUMENTS["apis/apps/v1"].bytes).unwrap();
        let schema = &document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
        let kind = json!([{"group": "apps", "version": "v1", "kind": "Deployment"}]);
        assert_eq!(schema["x-kubernetes-group-version-kind"], kind);
        let path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";
        let operation = &document["paths"][path]["patch"];
        assert_eq!(operation["x-kubernetes-group-version-kind"], kind[0]);
        let parameters = operation["parameters"].as_array().unwrap();
        assert!(parameters.iter().any(|p| p["name"] == "fieldValidation"));
    }
}
