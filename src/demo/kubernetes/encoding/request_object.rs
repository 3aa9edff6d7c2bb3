//! Reads the body of a request and decodes the object in it.

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::{protobuf, status::Status};
use crate::demo::request_body::RequestBody;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// The largest body that API servers accept, in bytes.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// Reads a body of at most 3 MiB.
pub(crate) async fn read(body: RequestBody) -> Result<Bytes, Status> {
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Status::body_too_large(BODY_LIMIT))
        }
        Err(error) => Err(Status::bad_request(format!(
            "unable to read the body: {error}"
        ))),
    }
}

/// The media type of a body, without parameters; JSON if the header is missing.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map_or("application/json", str::trim)
}

/// Decodes an object from JSON, YAML or protobuf.
pub(crate) fn object(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, Status> {
    match media_type(headers) {
        "application/json" => json(bytes),
        "application/yaml" => yaml(bytes),
        PROTOBUF => protobuf::decode(bytes).map_err(|error| {
            Status::bad_request(format!("the body of the request cannot be read: {error}"))
        }),
        _ => Err(Status::unsupported_media_type(&[
            "application/json",
            "application/yaml",
            PROTOBUF,
        ])),
    }
}

pub(crate) fn json(bytes: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(bytes).map_err(|error| {
        Status::bad_request(format!("the body of the request is not JSON: {error}"))
    })
}

/// Decodes YAML, and JSON, which is a subset of it.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Value, Status> {
    // A snippet would quote the line in the error, which may be part of a Secret.
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_slice_with_options(bytes, options).map_err(|error| {
        Status::bad_request(format!("the body of the request is not YAML: {error}"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn yaml_scalars_keep_their_types() {
        let value = yaml(b"a: 1\nb: '1'\nc: true\nd: [x, 2.5]\ne:\n").unwrap();
        assert_eq!(
            value,
            serde_json::json!({"a": 1, "b": "1", "c": true, "d": ["x", 2.5], "e": null})
        );
    }

    #[test]
    fn an_error_in_yaml_does_not_quote_the_lines_around_it() {
        let error = yaml(b"token: hunter2\nother: [\n").unwrap_err();
        let body = String::from_utf8(error.body()).unwrap();
        assert!(
            body.contains("not YAML") && !body.contains("hunter2"),
            "{body}"
        );
    }
}
