//! kubegate as an exec plugin: the `ExecCredential` that client-go reads from its output.

use serde_json::json;
use zeroize::Zeroizing;

pub use crate::credential::timestamp::timestamp;
use crate::{
    credential::{Credential, Error},
    secret::Secret,
};

/// The version of the output if the caller requests none.
pub const API_VERSION: &str = "client.authentication.k8s.io/v1";

/// Returns an `ExecCredential` with the token of `credential`; `subject` names the user in errors.
///
/// # Errors
/// [`Error::NoToken`]
pub fn to_json(
    credential: &Credential,
    api_version: &str,
    subject: &str,
) -> Result<Zeroizing<String>, Error> {
    let token = token(credential, subject)?;
    let token = Zeroizing::new(json!(token.expose()).to_string());
    let expiry = match credential.expires_at.map(timestamp) {
        Some(time) => format!("\"expirationTimestamp\":{},", json!(time)),
        None => String::new(),
    };
    let version = json!(api_version);
    Ok(Zeroizing::new(format!(
        "{{\"kind\":\"ExecCredential\",\"apiVersion\":{version},\"status\":{{{expiry}\"token\":{}}}}}\n",
        *token
    )))
}

/// Returns the bearer token of `credential`; `subject` names the user in errors.
///
/// # Errors
/// [`Error::NoToken`] for anonymous users and those who log in by certificate or password.
pub fn token(credential: &Credential, subject: &str) -> Result<Secret, Error> {
    let header = credential.authorization.as_ref();
    let token = header
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    token.map(Secret::new).ok_or_else(|| Error::NoToken {
        subject: subject.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, SystemTime};

    use serde_json::Value;

    use super::*;
    use crate::credential::bearer;

    #[test]
    fn the_output_has_the_token_and_its_expiry() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_900);
        let mut credential = Credential {
            authorization: Some(bearer("a\"b").unwrap()),
            expires_at: Some(end),
            ..Credential::default()
        };
        let text = to_json(&credential, API_VERSION, "x").unwrap();
        let expected = json!({
            "kind": "ExecCredential",
            "apiVersion": API_VERSION,
            "status": {"token": "a\"b", "expirationTimestamp": "2023-11-14T22:13:20Z"},
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        credential.expires_at = None;
        let text = to_json(&credential, API_VERSION, "x").unwrap();
        let status = serde_json::from_str::<Value>(&text).unwrap()["status"].take();
        assert_eq!(status, json!({"token": "a\"b"}));
    }

    #[test]
    fn the_error_names_a_user_without_a_token() {
        let basic = Credential {
            authorization: Some("Basic aHVudGVyMg==".parse().unwrap()),
            ..Credential::default()
        };
        for credential in [basic, Credential::default()] {
            let error = token(&credential, "user \"jane\"").unwrap_err().to_string();
            assert!(
                error.contains("jane") && !error.contains("aHVudGVyMg"),
                "{error}"
            );
        }
    }
}
