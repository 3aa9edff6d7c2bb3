//! [`Refusal`]: why a request is not served.

use http::StatusCode;

/// Why a request is not served, as a rule, a status and a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The fixed name of the rule that refuses it. The log counts refusals by it, so it never holds
    /// text of a request.
    pub rule: &'static str,
    /// 4xx; 5xx if this program lacks memory for the request, or has a bug.
    pub status: StatusCode,
    /// The reason and, where there is one, the flag that would allow it.
    pub message: String,
    /// Whether the connection must close, because what follows on it cannot be trusted.
    pub close: bool,
}

impl Refusal {
    /// 400: the request has no single meaning.
    pub fn malformed(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new(rule, StatusCode::BAD_REQUEST, message)
    }

    /// 401: the client has not proved to this proxy who it is.
    pub fn unauthorized(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new(rule, StatusCode::UNAUTHORIZED, message)
    }

    /// 403: understood, and not allowed.
    pub fn forbidden(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new(rule, StatusCode::FORBIDDEN, message)
    }

    /// 404: nothing is served there.
    pub fn not_found(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new(rule, StatusCode::NOT_FOUND, message)
    }

    /// 405: a method this proxy never serves.
    pub fn method(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new(rule, StatusCode::METHOD_NOT_ALLOWED, message)
    }

    /// The same refusal, and the connection closes after it.
    #[must_use]
    pub fn and_close(self) -> Self {
        Self {
            close: true,
            ..self
        }
    }

    /// 500: a bug in this program.
    pub fn bug(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new(rule, StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    fn new(rule: &'static str, status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            rule,
            status,
            message: message.into(),
            close: false,
        }
    }
}
