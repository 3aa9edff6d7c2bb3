//! [`Metadata`]: what an issuer says about itself.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The scope of `OpenID` Connect itself.
const OPENID: &str = "openid";
/// The scope that requests a refresh token (`OpenID` Connect Core, section 11).
const OFFLINE_ACCESS: &str = "offline_access";

/// The issuer's metadata (`OpenID` Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
pub struct Metadata {
    pub(super) issuer: String,
    pub(super) token_endpoint: String,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) device_authorization_endpoint: Option<String>,
    pub(super) revocation_endpoint: Option<String>,
    #[serde(default, deserialize_with = "texts")]
    scopes_supported: Vec<String>,
    #[serde(default, deserialize_with = "texts")]
    pub(super) token_endpoint_auth_methods_supported: Vec<String>,
}

impl Metadata {
    /// Returns whether users can log in by device code (RFC 8628, section 4).
    #[must_use]
    pub fn has_device_logins(&self) -> bool {
        let endpoint = self.device_authorization_endpoint.as_ref();
        endpoint.is_some_and(|url| !url.is_empty())
    }

    /// Returns whether the scope `offline_access` may be requested: the issuer lists it, or does not
    /// say which scopes it supports.
    #[must_use]
    pub fn supports_offline_access(&self) -> bool {
        let listed = &self.scopes_supported;
        listed.is_empty() || listed.iter().any(|scope| scope == OFFLINE_ACCESS)
    }

    /// Returns the scopes of a login, separated by spaces: `openid`, `offline_access` for a refresh
    /// token if it is supported, and `extra_scopes`.
    #[must_use]
    pub fn scopes(&self, extra_scopes: &[String]) -> String {
        let mut scopes = vec![OPENID];
        if self.supports_offline_access() {
            scopes.push(OFFLINE_ACCESS);
        }
        for scope in extra_scopes {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope);
            }
        }
        scopes.join(" ")
    }
}

/// Reads a list of texts. Some issuers write `null` for an empty one, and what is no text is left out.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let Value::Array(items) = Value::deserialize(deserializer)? else {
        return Ok(Vec::new());
    };
    let texts = items.into_iter().filter_map(|item| match item {
        Value::String(text) => Some(text),
        _ => None,
    });
    Ok(texts.collect())
}

/// Returns the scopes to send with a refresh token: those that the issuer granted, or that were
/// requested if it does not say. Many issuers leave `openid` and `offline_access` out of what they
/// granted.
pub(super) fn scopes_to_refresh(requested: &str, granted: Option<&str>) -> String {
    let Some(granted) = granted.filter(|scopes| !scopes.trim().is_empty()) else {
        return requested.to_owned();
    };
    let granted: Vec<&str> = granted.split_whitespace().collect();
    let left_out = requested
        .split(' ')
        .filter(|scope| [OPENID, OFFLINE_ACCESS].contains(scope) && !granted.contains(scope));
    let scopes: Vec<&str> = left_out.chain(granted.iter().copied()).collect();
    scopes.join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn metadata(scopes_supported: &str) -> Metadata {
        let text = format!(
            r#"{{"issuer": "https://a", "token_endpoint": "https://a/t"{scopes_supported}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn offline_access_is_requested_if_it_is_listed_or_nothing_is() {
        let extra = ["groups".to_owned(), "openid".to_owned()];
        for (listed, expected) in [
            ("", "openid offline_access groups"),
            (
                r#", "scopes_supported": []"#,
                "openid offline_access groups",
            ),
            (
                r#", "scopes_supported": ["openid", "offline_access"]"#,
                "openid offline_access groups",
            ),
            (
                r#", "scopes_supported": null, "token_endpoint_auth_methods_supported": null,
                    "authorization_endpoint": null, "device_authorization_endpoint": """#,
                "openid offline_access groups",
            ),
            (r#", "scopes_supported": [null, "email"]"#, "openid groups"),
            // As Google lists them.
            (
                r#", "scopes_supported": ["openid", "email", "profile"]"#,
                "openid groups",
            ),
        ] {
            let metadata = metadata(listed);
            assert_eq!(metadata.scopes(&extra), expected, "{listed}");
            assert!(!metadata.has_device_logins());
        }
    }

    #[test]
    fn the_scopes_to_refresh_are_the_granted_ones() {
        let requested = "openid offline_access groups email";
        for (granted, expected) in [
            (None, requested),
            (Some(" "), requested),
            (
                Some("openid offline_access email"),
                "openid offline_access email",
            ),
            // As Azure AD and Google answer.
            (Some("email profile"), "openid offline_access email profile"),
            (
                Some("openid https://www.googleapis.com/auth/userinfo.email"),
                "offline_access openid https://www.googleapis.com/auth/userinfo.email",
            ),
        ] {
            assert_eq!(scopes_to_refresh(requested, granted), expected);
        }
        assert_eq!(scopes_to_refresh("openid", Some("email")), "openid email");
    }
}
