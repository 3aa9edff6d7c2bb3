//! IAM's errors: its codes, their HTTP statuses, and how they are told.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::json;

use crate::demo::{https::messages, random::new_uid};

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Missing(&'static str),
    UnknownGrant,
    UnknownApiKey,
    UnknownProfile,
    WrongPassword,
    Mfa,
    Suspended,
    InvalidToken,
    InvalidPasscode,
    RefreshTokenEnded,
    Inactive,
    NotAuthorized,
    Broken,
}

impl Refusal {
    fn told(self) -> (u16, &'static str, String) {
        let (status, code, message) = match self {
            Self::Missing(field) => {
                let message = format!("Property missing or empty: {field}");
                return (400, "BXNIM0109E", message);
            }
            Self::UnknownGrant => (400, "BXNIM0109E", "Property value is invalid: grant_type"),
            Self::UnknownApiKey => (400, "BXNIM0415E", "Provided API key could not be found."),
            Self::UnknownProfile => (400, "BXNIM0410E", "Provided profile not found or active"),
            Self::WrongPassword => (
                401,
                "BXNIM0602E",
                "The credentials you entered are incorrect.",
            ),
            Self::Mfa => (401, "BXNIM0400E", "OpenID Connect exception"),
            Self::Suspended => (401, "BXNIM0436E", "The user is suspended."),
            Self::InvalidToken => (400, "BXNIM0407E", "Provided refresh token is invalid"),
            Self::InvalidPasscode => (400, "BXNIM0407E", "Provided passcode is invalid"),
            Self::RefreshTokenEnded => (400, "BXNIM0408E", "Provided refresh token is expired"),
            Self::Inactive => (
                400,
                "BXNIM0439E",
                "The session was invalidated by inactivity",
            ),
            Self::NotAuthorized => (403, "BXNIM0513E", "You are not authorized to do that."),
            Self::Broken => (500, "BXNIM0000E", "Internal error"),
        };
        (status, code, message.to_owned())
    }

    /// The error in IAM's form; `path` is what was asked for.
    pub(super) fn answer(self, path: &str, now: SystemTime) -> Response<Bytes> {
        let (status, code, message) = self.told();
        let time = Timestamp::try_from(now).unwrap_or_default();
        let mut body = json!({
            "errorCode": code,
            "errorMessage": message,
            "context": {
                "requestId": format!("demo-{}", new_uid()),
                "requestType": "incoming.Identity_Token",
                "startTime": time.to_string(),
                "endTime": time.to_string(),
                "elapsedTime": "1",
                "locale": "en_US",
                "url": path,
            },
        });
        if self == Self::Mfa {
            body["errorDetails"] = "Failed external authentication.".into();
            body["requirements"] = json!({
                "code": "MFA_REQUIRED",
                "error": "Multi-factor authentication is required",
            });
        }
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        messages::json(status, &body)
    }
}
