//! The device authorization grant (RFC 8628): the user logs in with a browser on any device, and the
//! client asks the token endpoint until that is done.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Client, Granted, Metadata, Renewal,
    client::WhenBusy,
    metadata::scopes_to_refresh,
    token_response::{self, EXPECTED},
};
use crate::{
    credential::{
        Error,
        protocol::{
            issuer::{self, IssuerError},
            oauth::OauthError,
        },
    },
    secret::Secret,
};

/// The grant of a device code (RFC 8628, section 3.4).
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The interval if the issuer names none (RFC 8628, section 3.2), or none with which it would be asked
/// before the codes expire.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// How long the codes are valid if the issuer does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(1800);

/// A login that waits for its user (RFC 8628, section 3.2).
#[derive(Deserialize)]
#[serde(try_from = "Answer")]
pub struct DeviceAuthorization {
    device_code: Secret,
    /// The code that the user types, or compares.
    pub user_code: String,
    /// The page where the user types it.
    pub verification_uri: String,
    /// The page that has the code already.
    pub verification_uri_complete: Option<String>,
    /// How long the codes are valid.
    pub expires_in: Duration,
    /// How often the token endpoint may be asked.
    pub interval: Duration,
}

/// The answer of the device authorization endpoint. Google and Azure AD have older names too, some beside
/// the newer ones.
#[derive(Deserialize)]
struct Answer {
    device_code: Secret,
    user_code: String,
    verification_uri: Option<String>,
    verification_url: Option<String>,
    verification_uri_complete: Option<String>,
    verification_url_complete: Option<String>,
    expires_in: Option<Value>,
    interval: Option<Value>,
}

impl TryFrom<Answer> for DeviceAuthorization {
    type Error = &'static str;

    fn try_from(answer: Answer) -> Result<Self, Self::Error> {
        let is_set = |url: &String| !url.is_empty();
        let newer = answer.verification_uri.filter(is_set);
        let complete = answer.verification_uri_complete.filter(is_set);
        let complete = complete.or(answer.verification_url_complete.filter(is_set));
        let page = newer.or(answer.verification_url.filter(is_set));
        let expires_in = match answer.expires_in {
            None | Some(Value::Null) => DEFAULT_LIFETIME,
            Some(value) => seconds(&value).ok_or("expires_in is no number of seconds")?,
        };
        let interval = answer.interval.as_ref().and_then(seconds);
        let interval = interval.filter(|interval| *interval < expires_in);
        Ok(Self {
            device_code: answer.device_code,
            user_code: answer.user_code,
            verification_uri: page
                .or_else(|| complete.clone())
                .ok_or("there is no verification_uri")?,
            verification_uri_complete: complete,
            expires_in,
            interval: interval.unwrap_or(DEFAULT_INTERVAL),
        })
    }
}

/// The answer of the token endpoint (RFC 8628, section 3.5).
pub enum DevicePoll {
    /// The user has logged in.
    Granted(Granted),
    /// The user has not logged in yet.
    Pending,
    /// As pending, and the interval grows by five seconds from now on.
    SlowDown {
        /// `Retry-After` of the response.
        retry_after: Option<Duration>,
    },
    /// The codes are no longer valid.
    Expired,
    /// The login was denied, with the issuer's own words after a colon, or nothing.
    Denied(String),
}

impl Client {
    /// Begins a login by device code. `extra_params` are sent too, each `KEY=VALUE`.
    ///
    /// # Errors
    /// The issuer has no such endpoint, refuses the client, or cannot be reached.
    pub async fn begin_device_login(
        &self,
        metadata: &Metadata,
        secret: Option<&Secret>,
        extra_scopes: &[String],
        extra_params: &[(&str, &str)],
    ) -> Result<DeviceAuthorization, Error> {
        let origin = format!("device_authorization_endpoint of {}", self.issuer());
        let endpoint = metadata.device_authorization_endpoint.as_deref();
        let endpoint = endpoint.ok_or_else(|| IssuerError::Url {
            what: origin.clone(),
            problem: "is missing: the issuer has no logins by device code; choose another --grant-type",
        })?;
        let url = issuer::endpoint(&origin, endpoint)?;
        let scopes = metadata.scopes(extra_scopes);
        let mut form = vec![("scope", scopes.as_str())];
        form.extend(extra_params);
        let response = self.call(metadata, secret, &url, &form).await?;
        if response.status != StatusCode::OK {
            let sent = self.sent(&[], secret);
            let error = OauthError::of_response(&response, &sent.texts());
            return Err(token_response::failure(&response, error.as_ref()));
        }
        response.json(EXPECTED)
    }

    /// Asks whether the user has logged in.
    ///
    /// # Errors
    /// The request fails; a transient error does not end the login (RFC 8628, section 3.5).
    pub async fn poll_device(
        &self,
        metadata: &Metadata,
        secret: Option<&Secret>,
        device: &DeviceAuthorization,
        extra_scopes: &[String],
    ) -> Result<DevicePoll, Error> {
        let form = [
            ("grant_type", GRANT),
            ("device_code", device.device_code.expose()),
        ];
        let url = self.token_endpoint(metadata)?;
        // The interval grows instead (RFC 8628, section 3.5).
        let response = self
            .call_when_busy(metadata, secret, &url, &form, WhenBusy::Return)
            .await?;
        let sent = self.sent(&[device.device_code.expose()], secret);
        let sent = sent.texts();
        // Some issuers send the error with 200, as GitHub does.
        if response.status.is_client_error() || response.status == StatusCode::OK {
            let error = OauthError::of_response(&response, &sent);
            match error.as_ref().map(OauthError::code) {
                Some("authorization_pending") => return Ok(DevicePoll::Pending),
                Some("slow_down") => {
                    let retry_after = response.retry_after;
                    return Ok(DevicePoll::SlowDown { retry_after });
                }
                Some("expired_token") => return Ok(DevicePoll::Expired),
                Some(_) if response.status == StatusCode::OK => {
                    let words = error.as_ref().map(|error| format!(": {error}"));
                    return Ok(DevicePoll::Denied(words.unwrap_or_default()));
                }
                _ => {}
            }
        }
        match self.read(&response, &sent)? {
            Renewal::Granted(mut granted) => {
                let requested = metadata.scopes(extra_scopes);
                granted.scope = Some(scopes_to_refresh(&requested, granted.scope.as_deref()));
                Ok(DevicePoll::Granted(granted))
            }
            Renewal::Refused(refusal) => Ok(DevicePoll::Denied(refusal.in_its_words())),
            Renewal::NoIdToken { problem, .. } => Err(response.error(problem)),
        }
    }
}

/// Returns a number of seconds, which some issuers send as text.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::String(text) => text.trim().parse().ok()?,
        number => number.as_f64()?,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_may_have_the_older_name_and_numbers_as_text() {
        let read = |text: &str| serde_json::from_str::<DeviceAuthorization>(text);
        let google = r#"{"device_code": "d", "user_code": "u", "expires_in": "1800",
            "verification_url": "https://www.google.com/device", "interval": 3.5}"#;
        let google = read(google).unwrap();
        assert_eq!(google.verification_uri, "https://www.google.com/device");
        assert_eq!(google.expires_in, Duration::from_secs(1800));
        assert_eq!(google.interval, Duration::from_millis(3500));
        let least = r#"{"device_code": "d", "user_code": "u", "verification_uri": "https://a",
            "expires_in": 60}"#;
        let least = read(least).unwrap();
        assert_eq!(least.interval, Duration::from_secs(5));
        assert!(least.verification_uri_complete.is_none());
        for wrong in [
            r#"{"device_code": "d", "user_code": "u", "expires_in": 60}"#,
            r#"{"device_code": "d", "user_code": "u", "verification_uri": "https://a",
                "expires_in": -1}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_that_make_no_sense_are_as_good_as_none() {
        let read = |more: &str| {
            let text = format!(r#"{{"device_code": "d", "user_code": "u", {more}}}"#);
            serde_json::from_str::<DeviceAuthorization>(&text).unwrap()
        };
        for interval in ["1e19", "1e300", "null", "-1", r#""soon""#, "600", "[]"] {
            let read = read(&format!(
                r#""verification_uri": "https://a", "expires_in": 600, "interval": {interval}"#
            ));
            assert_eq!(read.interval, DEFAULT_INTERVAL, "{interval}");
        }
        let both = read(
            r#""verification_uri": "https://a", "verification_url": "https://b",
                "verification_uri_complete": "", "expires_in": null, "interval": "7""#,
        );
        assert_eq!(both.verification_uri, "https://a");
        assert_eq!(both.verification_uri_complete, None);
        assert_eq!(both.expires_in, DEFAULT_LIFETIME);
        assert_eq!(both.interval, Duration::from_secs(7));
        let complete = read(
            r#""verification_uri": null, "verification_uri_complete": "https://a?c",
                "verification_url_complete": "https://b?c""#,
        );
        assert_eq!(complete.verification_uri, "https://a?c");
        assert_eq!(complete.verification_uri_complete.unwrap(), "https://a?c");
    }
}
