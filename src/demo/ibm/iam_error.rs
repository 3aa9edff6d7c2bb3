//! IAM's errors: their codes, HTTP statuses and JSON.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use crate::demo::{
    https::{QUOTED_SECRET, message},
    random::new_uuid,
};

/// The reason why IAM refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IamError {
    MissingField(&'static str),
    UnknownGrantType,
    UnknownApiKey,
    UnknownProfile,
    WrongPassword,
    MfaRequired,
    UserSuspended,
    InvalidToken,
    InvalidPasscode,
    RefreshTokenExpired,
    SessionInactive,
    NotAuthorized,
    Internal,
    /// A fault: this HTTP status and code, with a message that quotes a secret.
    Injected(u16, &'static str),
}

impl IamError {
    /// HTTP status, code and message.
    fn parts(self) -> (u16, &'static str, String) {
        let (status, code, message) = match self {
            Self::MissingField(field) => {
                let message = format!("Property missing or empty: {field}");
                return (400, "BXNIM0109E", message);
            }
            Self::UnknownGrantType => (400, "BXNIM0109E", "Property value is invalid: grant_type"),
            Self::UnknownApiKey => (400, "BXNIM0415E", "Provided API key could not be found."),
            Self::UnknownProfile => (400, "BXNIM0410E", "Provided profile not found or active"),
            Self::WrongPassword => (
                401,
                "BXNIM0602E",
                "The credentials you entered are incorrect.",
            ),
            Self::MfaRequired => (401, "BXNIM0400E", "OpenID Connect exception"),
            Self::UserSuspended => (401, "BXNIM0436E", "The user is suspended."),
            Self::InvalidToken => (400, "BXNIM0407E", "Provided refresh token is invalid"),
            Self::InvalidPasscode => (400, "BXNIM0407E", "Provided passcode is invalid"),
            Self::RefreshTokenExpired => (400, "BXNIM0408E", "Provided refresh token is expired"),
            Self::SessionInactive => (
                400,
                "BXNIM0439E",
                "The session was invalidated by inactivity",
            ),
            Self::NotAuthorized => (403, "BXNIM0513E", "You are not authorized to do that."),
            Self::Internal => (500, "BXNIM0000E", "Internal error"),
            Self::Injected(status, code) => (status, code, QUOTED_SECRET),
        };
        (status, code, message.to_owned())
    }

    /// The error as IAM's JSON; `path` is the path of the request.
    pub(super) fn response(self, path: &str, now: SystemTime) -> Response<Bytes> {
        let (status, code, message) = self.parts();
        let time = Timestamp::try_from(now).unwrap_or_default();
        let mut body = json!({
            "errorCode": code,
            "errorMessage": message,
            "context": {
                "requestId": format!("demo-{}", new_uuid()),
                "requestType": "incoming.Identity_Token",
                "startTime": time.to_string(),
                "endTime": time.to_string(),
                "elapsedTime": "1",
                "locale": "en_US",
                "url": path,
            },
        });
        match self {
            Self::MfaRequired => {
                body["errorDetails"] = "Failed external authentication.".into();
                body["requirements"] = json!({
                    "code": "MFA_REQUIRED",
                    "error": "Multi-factor authentication is required",
                });
            }
            Self::Injected(..) => {
                body["errorDetails"] = QUOTED_SECRET.into();
                body["requirements"] = json!({"code": "mfa", "error": QUOTED_SECRET});
            }
            _ => {}
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        message::json(status, &body)
    }
}
