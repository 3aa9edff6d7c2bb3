//! Errors in the form of Kubernetes: the kind `Status` of `v1`.

use std::fmt;

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use crate::demo::kubernetes::objects::resources::{Resource, qualified};

/// An error, which is sent as a `Status` object with its HTTP status.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    pub(crate) code: StatusCode,
    reason: &'static str,
    pub(crate) message: String,
    details: Option<Box<Details>>,
}

/// `StatusDetails`, in the server's field order.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) group: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) causes: Vec<Cause>,
}

/// The subject of a forbidden action: a resource, or one object of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) group: &'static str,
    pub(crate) plural: &'a str,
    /// Empty for the whole resource.
    pub(crate) name: &'a str,
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&qualified(self.group, self.plural))?;
        match self.name {
            "" => Ok(()),
            name => write!(f, " {name:?}"),
        }
    }
}

/// A field that is invalid, and why.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) field: String,
}

impl Cause {
    pub(crate) fn required(field: &str, detail: &str) -> Self {
        Self {
            reason: "FieldValueRequired",
            message: format!("Required value: {detail}"),
            field: field.to_owned(),
        }
    }

    pub(crate) fn invalid(field: &str, value: &Value, detail: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value}: {detail}"),
            field: field.to_owned(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson<'a> {
    kind: &'a str,
    api_version: &'a str,
    metadata: serde_json::Map<String, Value>,
    status: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

/// The body of a successful deletion: a `Status` with `Success`.
pub(crate) fn success(resource: &Resource, name: &str, uid: &str) -> Vec<u8> {
    serialize(&StatusJson {
        kind: "Status",
        api_version: "v1",
        metadata: serde_json::Map::new(),
        status: "Success",
        message: "",
        reason: "",
        details: Some(&Details {
            uid: uid.to_owned(),
            ..details(resource, name)
        }),
        code: None,
    })
}

fn serialize(status: &StatusJson<'_>) -> Vec<u8> {
    // Strings and numbers can always be serialized.
    let mut body = serde_json::to_vec(status).unwrap_or_default();
    body.push(b'\n');
    body
}

fn details(resource: &Resource, name: &str) -> Details {
    Details {
        name: name.to_owned(),
        group: resource.group,
        kind: resource.plural.to_owned(),
        ..Details::default()
    }
}

impl Status {
    /// The JSON of the error, with the newline that real servers add.
    pub(crate) fn body(&self) -> Vec<u8> {
        serialize(&StatusJson {
            kind: "Status",
            api_version: "v1",
            metadata: serde_json::Map::new(),
            status: "Failure",
            message: &self.message,
            reason: self.reason,
            details: self.details.as_deref(),
            code: Some(self.code.as_u16()),
        })
    }

    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
        }
    }

    fn with(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 403. `sentence` follows "forbidden: " in the message.
    pub(crate) fn forbidden(subject: Option<Subject<'_>>, sentence: &str) -> Self {
        let (prefix, details) = match subject {
            Some(subject) => {
                let details = Details {
                    name: subject.name.to_owned(),
                    group: subject.group,
                    kind: subject.plural.to_owned(),
                    ..Details::default()
                };
                (format!("{subject} is "), details)
            }
            None => (String::new(), Details::default()),
        };
        Self::new(
            StatusCode::FORBIDDEN,
            "Forbidden",
            format!("{prefix}forbidden: {sentence}"),
        )
        .with(details)
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).with(details(resource, name))
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NotFound",
            "the server could not find the requested resource",
        )
        .with(Details::default())
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .with(Details::default())
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).with(details(resource, name))
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, reason: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {reason}",
            resource.qualified()
        );
        Self::new(StatusCode::CONFLICT, "Conflict", message).with(details(resource, name))
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 422 for invalid fields of an object.
    pub(crate) fn invalid(kind: &str, group: &'static str, name: &str, causes: Vec<Cause>) -> Self {
        let qualified = match group {
            "" => kind.to_owned(),
            group => format!("{kind}.{group}"),
        };
        let mut messages: Vec<_> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let messages = match messages.len() {
            1 => messages.remove(0),
            _ => format!("[{}]", messages.join(", ")),
        };
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            format!("{qualified} {name:?} is invalid: {messages}"),
        )
        .with(Details {
            name: name.to_owned(),
            group,
            kind: kind.to_owned(),
            causes,
            ..Details::default()
        })
    }

    pub(crate) fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        let code = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(code, "UnsupportedMediaType", message)
    }

    pub(crate) fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json";
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        let code = StatusCode::PAYLOAD_TOO_LARGE;
        Self::new(code, "RequestEntityTooLarge", message)
    }

    /// 410 for a resource version that is older than the log.
    pub(crate) fn expired(requested: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {requested} ({oldest})");
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// 504 for a resource version that does not exist yet.
    pub(crate) fn too_large_version(requested: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {requested}, current: {current}");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    /// 422 for a patch that cannot be applied to its object.
    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let code = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(code, "InternalError", message)
    }
}
