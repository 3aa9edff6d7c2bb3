//! Answers: bodies, the headers every answer carries, and what form the client accepts.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde::Serialize;

use super::status::Status;
use crate::demo::{form::Query, random::new_uid, server::Body};

/// A whole body.
pub(crate) fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A JSON body, as serialised already.
pub(crate) fn json_bytes(code: StatusCode, bytes: impl Into<Bytes>) -> Response<Body> {
    with_type(code, "application/json", bytes)
}

/// A JSON body, indented if the client likes it so.
pub(crate) fn json<T: Serialize>(
    code: StatusCode,
    value: &T,
    format: &Format,
) -> Result<Response<Body>, Status> {
    let written = if format.pretty {
        serde_json::to_vec_pretty(value)
    } else {
        serde_json::to_vec(value)
    };
    let mut bytes = written.map_err(|error| Status::internal(error.to_string()))?;
    bytes.push(b'\n');
    Ok(json_bytes(code, bytes))
}

/// 200 with text.
pub(crate) fn text(text: impl Into<Bytes>) -> Response<Body> {
    with_type(StatusCode::OK, "text/plain; charset=utf-8", text)
}

/// A body of any type.
pub(crate) fn with_type(
    code: StatusCode,
    content_type: &'static str,
    bytes: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(body(bytes));
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A failure.
pub(crate) fn failure(status: &Status) -> Response<Body> {
    json_bytes(status.code, status.body())
}

/// Puts on an answer what every answer of an API server carries.
pub(crate) fn common_headers(headers: &mut HeaderMap, authenticated: bool) {
    if let Ok(id) = HeaderValue::from_str(&new_uid()) {
        headers.insert("audit-id", id);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, private"));
    if authenticated {
        // The priority-and-fairness flow that the request was put in; there is one here.
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

/// The shape that a client wants objects in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The objects themselves.
    Objects,
    /// `Table` of `meta.k8s.io/v1`, which kubectl prints.
    Table,
    /// `PartialObjectMetadata(List)` of `meta.k8s.io/v1`.
    Metadata,
}

/// What was agreed on with the client.
#[derive(Debug, Clone)]
pub(crate) struct Format {
    pub(crate) shape: Shape,
    /// `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2` is wanted.
    pub(crate) aggregated: bool,
    pub(crate) pretty: bool,
}

impl Format {
    /// Takes the first acceptable entry of `Accept`; 406 if there is none. Protobuf and CBOR
    /// are not offered: clients name JSON behind them.
    pub(crate) fn negotiate(headers: &HeaderMap, query: &Query) -> Result<Self, Status> {
        let accept: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .collect();
        let plain = (Shape::Objects, false);
        let (shape, aggregated) = match accept[..] {
            [] => plain,
            _ => accept
                .iter()
                .find_map(|entry| acceptable(entry))
                .ok_or_else(Status::not_acceptable)?,
        };
        let pretty = match query.get("pretty") {
            Some(_) => query.flag("pretty"),
            // People look at these answers: the API server indents for them, too.
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

/// Whether JSON answers one entry of `Accept`, and in what shape.
fn acceptable(entry: &str) -> Option<(Shape, bool)> {
    let mut parts = entry.split(';').map(str::trim);
    let media_type = parts.next()?;
    if !matches!(media_type, "application/json" | "application/*" | "*/*") {
        return None;
    }
    let mut parameters = [("as", ""), ("g", ""), ("v", "")];
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        for known in &mut parameters {
            if known.0 == name.trim() {
                known.1 = value.trim();
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
        Format::negotiate(&headers, &Query::default())
            .map(|format| format.shape)
            .map_err(|status| status.code)
    }

    #[test]
    fn the_first_acceptable_form_wins() {
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
