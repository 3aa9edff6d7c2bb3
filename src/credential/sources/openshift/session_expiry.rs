//! [`SessionExpiry`]: when a session ends of which only the token is known. The API server has an object
//! for each session; if the user may not read it, the OAuth server is asked.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header::DATE};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use serde::Deserialize;

use super::{Access, SessionEnd, TOKEN_PREFIX};
use crate::{
    credential::{
        Error,
        protocol::{
            authorization::bearer,
            issuer::{self, Response},
            jwt,
        },
    },
    secret::Secret,
};

/// The path of the token objects of a user at the API server.
pub(super) const OBJECTS: &str = "/apis/oauth.openshift.io/v1/useroauthaccesstokens/";
/// The clock difference from which times of the server are corrected by its `Date`.
const MAX_SKEW: Duration = Duration::from_secs(5);

/// How long the API server may still accept a JWT after its `exp`: go-jose's leeway.
const JWT_LEEWAY: Duration = Duration::from_secs(60);

/// The reason if the server answers 401, or has no object for the session.
const OVER: &str = "the session has ended or was revoked";

/// When a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionExpiry {
    /// The session is valid.
    Valid {
        /// When it started.
        issued_at: Option<SystemTime>,
        /// When it ends, or `None` if it does not expire.
        ends_at: Option<SystemTime>,
        /// Whether it ends then because of inactivity. Each use postpones that.
        by_inactivity: bool,
    },
    /// The session has ended, and why.
    Ended(&'static str),
    /// Neither server tells.
    Unknown,
}

impl SessionExpiry {
    /// Returns the end as a session has it. An end by inactivity is none: use postpones it.
    #[must_use]
    pub fn session_end(self) -> SessionEnd {
        match self {
            Self::Valid {
                ends_at: Some(end),
                by_inactivity: false,
                ..
            } => SessionEnd::At(end),
            Self::Valid { .. } => SessionEnd::Never,
            Self::Ended(_) | Self::Unknown => SessionEnd::Unknown,
        }
    }
}

/// Returns the name of a session's object, which is not secret: a hash of the token (oauth-apiserver's
/// `crypto.Sha256Prefix`). Returns `None` for any other token.
#[must_use]
pub fn object_name(token: &Secret) -> Option<String> {
    let secret = token.expose().strip_prefix(TOKEN_PREFIX)?;
    let hash = digest::digest(&digest::SHA256, secret.as_bytes());
    Some(format!(
        "{TOKEN_PREFIX}{}",
        BASE64_URL_SAFE_NO_PAD.encode(hash)
    ))
}

/// The fields of `UserOAuthAccessToken` that are used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    metadata: Metadata,
    #[serde(default)]
    expires_in: i64,
    #[serde(default)]
    inactivity_timeout_seconds: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    creation_timestamp: String,
    deletion_timestamp: Option<String>,
}

/// The response of `/oauth/info`.
#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    expires_in: i64,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    group: Option<String>,
}

impl Access {
    /// Returns when the session of `token` ends. No server is asked about any other token, such as that
    /// of a service account: a JWT names its end itself.
    ///
    /// # Errors
    /// A request fails, or its response is invalid.
    pub async fn expiry(&self, token: &Secret) -> Result<SessionExpiry, Error> {
        let Some(name) = object_name(token) else {
            return Ok(expiry_of_jwt(token, SystemTime::now()));
        };
        if let Some(expiry) = self.expiry_of_object(token, &name).await? {
            return Ok(expiry);
        }
        self.expiry_of_info(token).await
    }

    /// Reads the session's object. Returns `None` if the user may not read it.
    pub(super) async fn expiry_of_object(
        &self,
        token: &Secret,
        name: &str,
    ) -> Result<Option<SessionExpiry>, Error> {
        let url = self.url(&format!("{OBJECTS}{name}"))?;
        let response = self
            .api()
            .await?
            .get(&url, Some(bearer(token.expose())?))
            .await?;
        match response.status {
            StatusCode::OK => {
                let expiry = response
                    .json::<Object>("no token object")?
                    .expiry(&response.headers, SystemTime::now());
                expiry.map(Some).map_err(|what| response.error(what))
            }
            // The server removes the object of a session when it is revoked and, some time later, when
            // it has expired.
            StatusCode::UNAUTHORIZED => Ok(Some(SessionExpiry::Ended(OVER))),
            StatusCode::NOT_FOUND if is_of_oauth(&response) => Ok(Some(SessionExpiry::Ended(OVER))),
            // The token's scope does not allow it, or the server has no such objects.
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(None),
            status => Err(response.error(format!("it answered {status} about the session's end"))),
        }
    }

    /// Asks the OAuth server, which does not consider inactivity.
    async fn expiry_of_info(&self, token: &Secret) -> Result<SessionExpiry, Error> {
        let oauth = self.discover().await?;
        let url = format!("{}/oauth/info", oauth.issuer);
        let url = issuer::https("the OAuth server's URL", &url)?;
        let asked_at = SystemTime::now();
        let response = oauth
            .client
            .get(&url, Some(bearer(token.expose())?))
            .await?;
        match response.status {
            StatusCode::OK => {
                let left = response.json::<Info>("nothing about a token")?.expires_in;
                let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
                Ok(SessionExpiry::Valid {
                    issued_at: None,
                    ends_at: asked_at.checked_add(left),
                    by_inactivity: false,
                })
            }
            StatusCode::BAD_REQUEST => match response
                .json::<Info>("nothing about a token")?
                .error
                .as_deref()
            {
                // OpenShift gives this answer for a token that does not expire.
                Some("invalid_grant") => Ok(SessionExpiry::Valid {
                    issued_at: None,
                    ends_at: None,
                    by_inactivity: false,
                }),
                Some("invalid_request") => Ok(SessionExpiry::Ended(
                    "the OAuth server does not know the session",
                )),
                _ => Ok(SessionExpiry::Unknown),
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
                Ok(SessionExpiry::Unknown)
            }
            status => Err(response.error(format!("it answered {status} about the session's end"))),
        }
    }
}

fn expiry_of_jwt(token: &Secret, now: SystemTime) -> SessionExpiry {
    let Some(claims) = jwt::claims(token.expose()) else {
        return SessionExpiry::Unknown;
    };
    let end = claims.expires_at;
    if end.checked_add(JWT_LEEWAY).is_some_and(|end| end <= now) {
        return SessionExpiry::Ended("the token has expired");
    }
    SessionExpiry::Valid {
        issued_at: claims.issued_at,
        ends_at: Some(end),
        by_inactivity: false,
    }
}

impl Object {
    /// "Valid while now <= creationTimestamp + expiresIn (0: for ever)", and the same for
    /// `inactivityTimeoutSeconds`. The earlier of both ends the session.
    fn expiry(&self, headers: &HeaderMap, now: SystemTime) -> Result<SessionExpiry, &'static str> {
        if self.metadata.deletion_timestamp.is_some() {
            return Ok(SessionExpiry::Ended("the session was revoked"));
        }
        if self.expires_in < 0 || self.inactivity_timeout_seconds < 0 {
            return Err("its lifetime is negative");
        }
        let created = self.metadata.creation_timestamp.parse();
        let created = created.map_err(|_| "its creationTimestamp is not a time")?;
        let created = local_time(created, headers, now);
        let after = |seconds: i64| {
            let seconds = Duration::from_secs(seconds.unsigned_abs());
            (!seconds.is_zero()).then(|| created.checked_add(seconds))?
        };
        let (end, idle) = (
            after(self.expires_in),
            after(self.inactivity_timeout_seconds),
        );
        let by_inactivity = idle.is_some_and(|idle| end.is_none_or(|end| idle < end));
        Ok(SessionExpiry::Valid {
            issued_at: Some(created),
            ends_at: if by_inactivity { idle } else { end },
            by_inactivity,
        })
    }
}

/// Converts a time of the server's clock to the local clock if its `Date` differs by more than
/// [`MAX_SKEW`].
fn local_time(time: Timestamp, headers: &HeaderMap, now: SystemTime) -> SystemTime {
    let time = SystemTime::from(time);
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
    let Some(date) = date.map(SystemTime::from) else {
        return time;
    };
    let corrected = match now.duration_since(date) {
        Ok(behind) if behind > MAX_SKEW => time.checked_add(behind),
        Err(ahead) if ahead.duration() > MAX_SKEW => time.checked_sub(ahead.duration()),
        _ => None,
    };
    corrected.unwrap_or(time)
}

/// Returns whether a 404 is about a token object, as opposed to an unknown path.
fn is_of_oauth(response: &Response) -> bool {
    let status: Option<Status> = serde_json::from_slice(&response.body).ok();
    let group = status.and_then(|status| status.details?.group);
    group.as_deref() == Some("oauth.openshift.io")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn object_names_are_those_of_the_server() {
        for (token, name) in [
            (
                "sha256~AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
                "sha256~6oZqdX5MOLq_qBJ8vppAnT4fk6AP8UiP9zX8-Rev_9A",
            ),
            (
                "sha256~dIAo76N-W-GXK3S_w_KsC6DmH3MzP79zq7jbMQvCOUo",
                "sha256~a_oN_AsWxjLMvDr5wLYcVInklOAmXrGN22bkWBvvDMk",
            ),
            (
                "sha256~k7jKT4cKKdETjye7F4WKKqhc2JIV7o5-FVIJgRu6JQg",
                "sha256~NW-9jQLslk6yQAO8FTeudE4mRlCMp6yLBg78cIV5zbI",
            ),
        ] {
            assert_eq!(object_name(&Secret::new(token)).as_deref(), Some(name));
        }
        assert_eq!(object_name(&Secret::new("dIAo76N-W-GXK3S_w")), None);
    }

    /// Returns the expiry of an object created at noon, with this `Date` and this local time.
    fn expiry(fields: Value, date: &'static str, now: &str) -> Result<SessionExpiry, &'static str> {
        let mut object = json!({"metadata": {"creationTimestamp": "2026-11-22T12:00:00Z"}});
        let fields: serde_json::Map<_, _> = serde_json::from_value(fields).unwrap();
        object.as_object_mut().unwrap().extend(fields);
        let object: Object = serde_json::from_value(object).unwrap();
        let headers = [(DATE, HeaderValue::from_static(date))]
            .into_iter()
            .collect();
        object.expiry(&headers, now.parse::<Timestamp>().unwrap().into())
    }

    const DATE_GMT: &str = "Sun, 22 Nov 2026 12:05:00 GMT";
    const NOW: &str = "2026-11-22T12:05:01Z";

    fn at(time: &str) -> SystemTime {
        time.parse::<Timestamp>().unwrap().into()
    }

    #[test]
    fn the_earlier_of_both_deadlines_ends_the_session() {
        for (fields, ends_at, by_inactivity) in [
            (
                json!({"expiresIn": 86_400}),
                Some(at("2026-11-23T12:00:00Z")),
                false,
            ),
            (
                json!({"expiresIn": 86_400, "inactivityTimeoutSeconds": 600}),
                Some(at("2026-11-22T12:10:00Z")),
                true,
            ),
            (
                json!({"expiresIn": 600, "inactivityTimeoutSeconds": 900}),
                Some(at("2026-11-22T12:10:00Z")),
                false,
            ),
            (
                json!({"expiresIn": 0, "inactivityTimeoutSeconds": 900}),
                Some(at("2026-11-22T12:15:00Z")),
                true,
            ),
            (json!({"expiresIn": 0}), None, false),
            (json!({}), None, false),
        ] {
            let expected = SessionExpiry::Valid {
                issued_at: Some(at("2026-11-22T12:00:00Z")),
                ends_at,
                by_inactivity,
            };
            assert_eq!(
                expiry(fields.clone(), DATE_GMT, NOW),
                Ok(expected),
                "{fields}"
            );
        }
        assert!(expiry(json!({"expiresIn": -1}), DATE_GMT, NOW).is_err());
    }

    #[test]
    fn a_jwt_names_its_end_itself() {
        let jwt = |claims: Value| {
            let payload = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
            Secret::new(format!("e30.{payload}.c2ln"))
        };
        let now = at("2026-11-22T12:00:00Z");
        let seconds = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            since.unwrap().as_secs()
        };
        let hour = Duration::from_secs(3600);
        let found = expiry_of_jwt(&jwt(json!({"exp": seconds(now + hour)})), now);
        let expected = SessionExpiry::Valid {
            issued_at: None,
            ends_at: Some(now + hour),
            by_inactivity: false,
        };
        assert_eq!(found, expected);
        // The API server may still accept it.
        let found = expiry_of_jwt(&jwt(json!({"exp": seconds(now) - 30})), now);
        assert!(matches!(found, SessionExpiry::Valid { .. }), "{found:?}");
        let found = expiry_of_jwt(&jwt(json!({"exp": seconds(now) - 61})), now);
        assert!(matches!(found, SessionExpiry::Ended(_)), "{found:?}");
        for token in [jwt(json!({"sub": "a"})), Secret::new("opaque")] {
            assert_eq!(expiry_of_jwt(&token, now), SessionExpiry::Unknown);
        }
    }

    #[test]
    fn times_are_corrected_by_the_servers_date() {
        // The local clock is an hour ahead.
        let found = expiry(json!({"expiresIn": 600}), DATE_GMT, "2026-11-22T13:05:00Z");
        let expected = SessionExpiry::Valid {
            issued_at: Some(at("2026-11-22T13:00:00Z")),
            ends_at: Some(at("2026-11-22T13:10:00Z")),
            by_inactivity: false,
        };
        assert_eq!(found, Ok(expected));
    }
}
