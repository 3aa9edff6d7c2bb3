//! Why a stream is refused, as a Kubernetes `Status`.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::demo::Body;

/// A refusal; its text is the `message` of the answer's `Status`.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The request asks for something that is not there or makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// A field of the options is out of range.
    #[error("PodLogOptions \"\" is invalid: {field}: Invalid value: {value:?}: {rule}")]
    Invalid {
        /// The query parameter.
        field: &'static str,
        /// What it was.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A WebSocket handshake without a subprotocol that the server speaks.
    #[error("requested protocol(s) are not supported: [{asked}]; supports [{supported}]")]
    Subprotocol {
        /// What the client listed.
        asked: String,
        /// What would have been accepted.
        supported: String,
    },
    /// A method or subresource that has no stream.
    #[error("the server does not allow this method on the requested resource")]
    MethodNotAllowed,
    /// The stored object is not a pod.
    #[error("the stored pod cannot be read: {0}")]
    MalformedPod(#[source] serde_json::Error),
}

impl Refusal {
    pub(super) fn into_response(self) -> Response<Body> {
        let (code, reason) = match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            Self::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
            // golang.org/x/net/websocket, which real servers use, answers 403 to a
            // handshake that its hook refuses.
            Self::Subprotocol { .. } => (StatusCode::FORBIDDEN, "Forbidden"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Self::MalformedPod(_) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        };
        let status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.to_string(),
            "reason": reason,
            "code": code.as_u16(),
        });
        let body = Full::new(Bytes::from(format!("{status}\n")));
        let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = code;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        response
    }
}
