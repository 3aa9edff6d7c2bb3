//! The device authorization grant (RFC 8628): the user logs in with a browser on any device, and the
//! client asks the token endpoint until that is done.

use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Deserializer, de};

use super::{
    Client, Granted, Metadata, Renewal,
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
/// The interval if the issuer names none (RFC 8628, section 3.2).
const DEFAULT_INTERVAL: u64 = 5;

/// A login that waits for its user (RFC 8628, section 3.2).
#[derive(Deserialize)]
pub struct DeviceAuthorization {
    device_code: Secret,
    /// The code that the user types, or compares.
    pub user_code: String,
    /// The page where the user types it.
    // Google has an older name for it.
    #[serde(alias = "verification_url")]
    pub verification_uri: String,
    /// The page that has the code already.
    #[serde(alias = "verification_url_complete")]
    pub verification_uri_complete: Option<String>,
    /// How long the codes are valid.
    #[serde(deserialize_with = "seconds")]
    pub expires_in: Duration,
    /// How often the token endpoint may be asked.
    #[serde(default = "default_interval", deserialize_with = "seconds")]
    pub interval: Duration,
}

/// The answer of the token endpoint (RFC 8628, section 3.5).
pub enum DevicePoll {
    /// The user has logged in.
    Granted(Granted),
    /// The user has not logged in yet.
    Pending,
    /// As pending, and the interval grows by five seconds from now on.
    SlowDown,
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
            let sent: Vec<&str> = secret.map(Secret::expose).into_iter().collect();
            let error = OauthError::of_response(&response, &sent);
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
        let response = self.call(metadata, secret, &url, &form).await?;
        let mut sent = vec![device.device_code.expose()];
        sent.extend(secret.map(Secret::expose));
        if response.status.is_client_error() {
            let error = OauthError::of_response(&response, &sent);
            match error.as_ref().map(OauthError::code) {
                Some("authorization_pending") => return Ok(DevicePoll::Pending),
                Some("slow_down") => return Ok(DevicePoll::SlowDown),
                Some("expired_token") => return Ok(DevicePoll::Expired),
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

fn default_interval() -> Duration {
    Duration::from_secs(DEFAULT_INTERVAL)
}

/// Reads a number of seconds, which some issuers send as text.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Number(f64),
        Text(String),
    }
    let seconds = match Seconds::deserialize(deserializer)? {
        Seconds::Number(seconds) => Some(seconds),
        Seconds::Text(text) => text.trim().parse().ok(),
    };
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| de::Error::custom("no number of seconds"))
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
        assert!(read(r#"{"device_code": "d", "user_code": "u", "expires_in": -1}"#).is_err());
    }
}
