//! Responses: bodies, the headers of every response, and the format that the client accepts.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::status::Status;
use crate::demo::{
    form::Form,
    random::new_uuid,
    server::{Body, full_body},
};

/// A response with JSON that is serialized already.
pub(crate) fn json_bytes(code: StatusCode, bytes: impl Into<Bytes>) -> Response<Body> {
    with_type(code, "application/json", bytes)
}

/// A response with JSON, indented if the client prefers that.
pub(crate) fn json<T: Serialize>(
    code: StatusCode,
    value: &T,
    format: &Format,
) -> Result<Response<Body>, Status> {
    let serialized = if format.pretty {
        serde_json::to_vec_pretty(value)
    } else {
        serde_json::to_vec(value)
    };
    let mut bytes = serialized.map_err(|error| Status::internal(error.to_string()))?;
    bytes.push(b'\n');
    Ok(json_bytes(code, bytes))
}

/// A response with 200 and text.
pub(crate) fn text(text: impl Into<Bytes>) -> Response<Body> {
    with_type(StatusCode::OK, "text/plain; charset=utf-8", text)
}

/// A response with a body of any type.
pub(crate) fn with_type(
    code: StatusCode,
    content_type: &'static str,
    bytes: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(full_body(bytes));
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The response of an error.
pub(crate) fn failure(status: &Status) -> Response<Body> {
    json_bytes(status.code, status.body())
}

/// Adds the headers that every response of an API server has.
pub(crate) fn add_common_headers(headers: &mut HeaderMap, is_authenticated: bool) {
    if let Ok(id) = HeaderValue::from_str(&new_uuid()) {
        headers.insert("audit-id", id);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, private"));
    if is_authenticated {
        // The flow schema of API priority and fairness. There is only one here.
        headers.insert(
            "x-kubernetes-pf-flowschema-uid",
            HeaderValue::from_static("2bec4558-9a01-4af5-a01d-ed992b5ddac3"),
        );
        headers.insert(
            "x-kubernetes-pf-prioritylevel-uid",
            HeaderValue::from_static("6d1f8bb8-9df4-44ee-a0fb-6fd7f2a9b6b5"),
        );
    }
}

/// The kind of object that represents the objects in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The objects themselves.
    Objects,
    /// `Table` of `meta.k8s.io/v1`, which kubectl prints.
    Table,
    /// `PartialObjectMetadata(List)` of `meta.k8s.io/v1`.
    Metadata,
}

/// The format that was negotiated with the client.
#[derive(Debug, Clone)]
pub(crate) struct Format {
    pub(crate) shape: Shape,
    /// Whether the client accepts `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2`.
    pub(crate) aggregated: bool,
    pub(crate) pretty: bool,
}

impl Format {
    /// Selects the first acceptable entry of `Accept`. It is an error (406) if there is none.
    /// Protobuf and CBOR are not supported; clients that prefer them list JSON after them.
    pub(crate) fn negotiate(headers: &HeaderMap, query: &Form) -> Result<Self, Status> {
        let accept: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .collect();
        let default = (Shape::Objects, false);
        let (shape, aggregated) = match accept[..] {
            [] => default,
            _ => accept
                .iter()
                .find_map(|entry| acceptable(entry))
                .ok_or_else(Status::not_acceptable)?,
        };
        let pretty = match query.get("pretty") {
            Some(_) => query.flag("pretty"),
            // API servers indent responses to these programs, because people read them.
            None => headers
                .get(header::USER_AGENT)
                .and_then(|agent| agent.to_str().ok())
                .is_some_and(|agent| {
                    ["curl", "Wget", "Mozilla/5.0"]
                        .iter()
                        .any(|tool| agent.starts_with(tool))
                }),
        };
        Ok(Self {
            shape,
            aggregated,
            pretty,
        })
    }
}

/// The shape that one entry of `Accept` asks for; `None` if the entry is not acceptable.
fn acceptable(entry: &str) -> Option<(Shape, bool)> {
    let mut parts = entry.split(';').map(str::trim);
    let media_type = parts.next()?;
    if !matches!(media_type, "application/json" | "application/*" | "*/*") {
        return None;
    }
    let mut parameters = [("as", ""), ("g", ""), ("v", "")];
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        for parameter in &mut parameters {
            if parameter.0 == name.trim() {
                parameter.1 = value.trim();
            }
        }
    }
    match parameters.map(|(_, value)| value) {
        ["", ..] => Some((Shape::Objects, false)),
        ["Table", "meta.k8s.io", "v1"] => Some((Shape::Table, false)),
        [
            "PartialObjectMetadata" | "PartialObjectMetadataList",
            "meta.k8s.io",
            "v1",
        ] => Some((Shape::Metadata, false)),
        ["APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2"] => Some((Shape::Objects, true)),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn negotiate(accept: &str) -> Result<Shape, StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        Format::negotiate(&headers, &Form::default())
            .map(|format| format.shape)
            .map_err(|status| status.code)
    }

    #[test]
    fn the_first_acceptable_entry_is_selected() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        assert_eq!(
            negotiate(&format!("{table},application/json")),
            Ok(Shape::Table)
        );
        assert_eq!(
            negotiate(&format!("application/json, {table}")),
            Ok(Shape::Objects)
        );
        assert_eq!(
            negotiate("application/json;as=Table;v=v1beta1;g=meta.k8s.io,*/*"),
            Ok(Shape::Objects)
        );
    }

    #[test]
    fn protobuf_falls_back_to_json_and_alone_is_not_acceptable() {
        assert_eq!(
            negotiate("application/vnd.kubernetes.protobuf, application/json"),
            Ok(Shape::Objects)
        );
        assert_eq!(
            negotiate("application/vnd.kubernetes.protobuf"),
            Err(StatusCode::NOT_ACCEPTABLE)
        );
    }
}
