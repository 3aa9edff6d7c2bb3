//! [`ErrorResponse`]: a response of our own, as a Kubernetes `Status` or as text.

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{
        CONNECTION, CONTENT_TYPE, RETRY_AFTER, WARNING, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
};
use serde_json::json;

use super::refusal::Refusal;
use crate::printable::printable;

/// An error as the client sees it.
#[derive(Debug)]
pub(super) struct ErrorResponse {
    pub(super) status: StatusCode,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    /// A `Warning` header, which kubectl prints.
    pub(super) warning: Option<HeaderValue>,
    /// Whether the connection closes after the response.
    pub(super) close: bool,
}

impl ErrorResponse {
    /// Returns a text, with 502 whatever the status: of 503 and 504 client-go shows its own words, and of
    /// 502 the text (`NewGenericServerResponse` in k8s.io/apimachinery/pkg/api/errors).
    pub(super) fn into_text(self) -> Response<String> {
        let mut response = Response::new(format!("kubegate: {}\n", printable(&self.message)));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        self.set_headers(headers);
        response
    }

    /// Returns a `metav1.Status`.
    pub(super) fn into_status(self) -> Response<String> {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": format!("kubegate: {}", printable(&self.message)),
            "reason": reason(self.status),
            "code": self.status.as_u16(),
        });
        if let Some(seconds) = self.retry_seconds() {
            status["details"] = json!({ "retryAfterSeconds": seconds });
        }
        let mut response = Response::new(status.to_string() + "\n");
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.set_headers(headers);
        response
    }

    fn retry_seconds(&self) -> Option<u64> {
        self.retry_after.map(|wait| wait.as_secs().max(1))
    }

    fn set_headers(&self, headers: &mut HeaderMap) {
        // The message may repeat text of a link that another page wrote.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2: a 401 has a challenge.
            let challenge = HeaderValue::from_static("Bearer realm=\"kubegate\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_seconds() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(warning) = &self.warning {
            headers.insert(WARNING, warning.clone());
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Encodes a whole response, head and body, for a connection that has no readable request. The
/// connection closes after it.
#[must_use]
pub fn encode_refusal(refusal: Refusal, retry_after: Option<Duration>) -> Vec<u8> {
    let response = ErrorResponse {
        status: refusal.status,
        message: refusal.message,
        retry_after,
        warning: None,
        close: true,
    };
    let (head, body) = response.into_status().into_parts();
    let text = format!(
        "HTTP/1.1 {}\r\ncontent-length: {}\r\n",
        head.status,
        body.len()
    );
    let mut bytes = text.into_bytes();
    for (name, value) in &head.headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend([b"\r\n", body.as_bytes()].concat());
    bytes
}

/// Returns the `metav1.StatusReason` of a status, as the API server names it.
fn reason(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        StatusCode::GATEWAY_TIMEOUT => "Timeout",
        // Kubernetes has no reason of its own for 502.
        StatusCode::BAD_GATEWAY => "InternalError",
        _ => "",
    }
}
