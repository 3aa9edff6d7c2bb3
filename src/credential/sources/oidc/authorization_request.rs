//! [`AuthorizationRequest`]: the URL where a user logs in.

use http::Uri;

use super::metadata::Metadata;
use crate::{
    credential::{
        Pkce,
        issuer::{form_encoded, with_query},
        oauth::form_value,
    },
    settings::extra_params,
};

/// What requests a refresh token from an issuer without the scope `offline_access`, as Google has
/// it: it gives one for a consent alone.
const GOOGLE_OFFLINE: [(&str, &str); 2] = [("access_type", "offline"), ("prompt", "consent")];

/// A request to log a user in (RFC 6749, section 4.1.1; RFC 7636; `OpenID` Connect Core, section
/// 3.1.2.1).
pub struct AuthorizationRequest<'a> {
    /// Where the browser is redirected to.
    pub redirect_uri: &'a str,
    /// What the redirect has to bring back.
    pub state: &'a str,
    /// What the ID token has to have.
    pub nonce: &'a str,
    /// The proof that the code is redeemed by the client that requested it.
    pub pkce: &'a Pkce,
    /// The scopes to request besides `openid`.
    pub extra_scopes: &'a [String],
    /// Values of `--oidc-auth-request-extra-params`. They take precedence over `access_type` and
    /// `prompt`.
    pub extra_params: &'a [String],
}

impl AuthorizationRequest<'_> {
    /// Returns the URL to open, at `endpoint`, whose query is kept.
    pub(super) fn url(&self, endpoint: &Uri, client_id: &str, metadata: &Metadata) -> String {
        let extra = self.extra_params.iter();
        let extra: Vec<_> = extra
            .filter_map(|value| extra_params(value).ok())
            .flatten()
            .collect();
        let kept = endpoint.query().unwrap_or_default();
        let scopes = metadata.scopes(self.extra_scopes);
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", self.redirect_uri),
            ("scope", &scopes),
            ("state", self.state),
            ("nonce", self.nonce),
            ("code_challenge", self.pkce.challenge()),
            ("code_challenge_method", Pkce::METHOD),
        ];
        if !metadata.supports_offline_access() {
            let is_chosen = |name: &str| {
                form_value(kept, name).is_some() || extra.iter().any(|(key, _)| *key == name)
            };
            pairs.extend(GOOGLE_OFFLINE.iter().filter(|(name, _)| !is_chosen(name)));
        }
        pairs.extend(extra.iter().copied());
        let pairs = pairs
            .into_iter()
            .map(|(key, value)| format!("{}={}", *form_encoded(key), *form_encoded(value)));
        let pairs: Vec<_> = pairs.collect();
        // `Uri` has dropped a fragment, which no endpoint may have.
        with_query(endpoint, &pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn url(endpoint: &str, listed: &[&str], extra_params: &[&str]) -> String {
        let metadata = serde_json::json!({
            "issuer": "https://a",
            "token_endpoint": "https://a/t",
            "scopes_supported": listed,
        });
        let request = AuthorizationRequest {
            redirect_uri: "http://localhost:8000",
            state: "s",
            nonce: "n",
            pkce: &Pkce::new().unwrap(),
            extra_scopes: &[],
            extra_params: &extra_params
                .iter()
                .map(|one| (*one).to_owned())
                .collect::<Vec<_>>(),
        };
        let metadata = serde_json::from_value(metadata).unwrap();
        request.url(&endpoint.parse().unwrap(), "kube&", &metadata)
    }

    #[test]
    fn the_query_of_the_endpoint_is_kept() {
        for (endpoint, begins) in [
            (
                "https://a/login",
                "https://a/login?response_type=code&client_id=kube%26&",
            ),
            ("https://a/login?", "https://a/login?response_type=code&"),
            (
                "https://a/login?p=b2c_1",
                "https://a/login?p=b2c_1&response_type=code&",
            ),
            (
                "https://a/login?p=b2c_1&",
                "https://a/login?p=b2c_1&response_type=code&",
            ),
            (
                "https://a/login?p=b2c_1#top",
                "https://a/login?p=b2c_1&response_type=code&",
            ),
            ("https://a", "https://a/?response_type=code&"),
        ] {
            let url = url(endpoint, &[], &[]);
            assert!(url.starts_with(begins), "{url}");
            assert!(url.contains("&state=s&nonce=n&code_challenge="), "{url}");
        }
    }

    #[test]
    fn an_issuer_without_offline_access_is_asked_as_google_has_it() {
        let google = ["openid", "email"];
        let asked = url("https://a/", &google, &[]);
        assert!(
            asked.ends_with("&access_type=offline&prompt=consent"),
            "{asked}"
        );
        assert!(asked.contains("&scope=openid&"), "{asked}");
        let other = url("https://a/", &["openid", "offline_access"], &[]);
        assert!(
            !other.contains("access_type") && !other.contains("prompt"),
            "{other}"
        );
        assert!(other.contains("&scope=openid%20offline_access&"), "{other}");
        let own = url(
            "https://a/?access_type=online",
            &google,
            &["prompt=select account"],
        );
        assert_eq!(own.matches("access_type=").count(), 1, "{own}");
        assert!(own.ends_with("&prompt=select%20account"), "{own}");
    }

    #[test]
    fn extra_parameters_are_sent_encoded() {
        let url = url("https://a/", &[], &["audience=https://api", "a&b=c=d"]);
        assert!(
            url.ends_with("&audience=https%3A%2F%2Fapi&a%26b=c%3Dd"),
            "{url}"
        );
    }
}
