//! [`Oauth`]: the OAuth server of a cluster, found through the API server.

use http::{HeaderMap, StatusCode, Uri, header::CONTENT_TYPE};
use serde::Deserialize;

use super::Access;
use crate::credential::{
    Error,
    protocol::issuer::{self, Issuer},
};

/// The path of its metadata at the API server.
const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// A cluster's OAuth server.
pub struct Oauth {
    pub(super) client: Issuer,
    /// Without a slash at the end.
    pub(super) issuer: String,
    pub(super) authorize: Uri,
    pub(super) token: Uri,
    /// Whether `S256` is advertised.
    pub(super) pkce: bool,
    /// Whether it supports authorization codes. If not, only the implicit flow is left.
    pub(super) codes: bool,
}

impl Oauth {
    /// Returns its URL, without a slash at the end.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl Access {
    /// Finds the OAuth server.
    ///
    /// # Errors
    /// The request fails, the cluster has no OAuth server, or its metadata are invalid.
    pub async fn discover(&self) -> Result<Oauth, Error> {
        discover(self).await
    }
}

/// The metadata (RFC 8414, section 2).
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(default)]
    grant_types_supported: Vec<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
}

/// Asks the API server for its OAuth server. The response has no lifetime, so every login asks again.
async fn discover(access: &Access) -> Result<Oauth, Error> {
    let (api, client) = access.clients().await?;
    // Sent without a credential: an invalid one would be refused even here.
    let response = api.get(&access.url(WELL_KNOWN)?, None).await?;
    // An API server without this path answers 404, and to unauthenticated requests often 401 or 403.
    if matches!(
        response.status,
        StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    ) {
        return Err(response.error(format!(
            "the cluster has no OAuth server of its own ({}): it is not OpenShift, or its users \
             come from an external OIDC issuer (`kubegate login oidc`)",
            response.status.as_u16()
        )));
    }
    if is_page(&response.headers) {
        return Err(response.error(
            "it answered with a web page: this seems to be the console's URL; give that of the \
             API server (in the console: Copy login command)",
        ));
    }
    if response.status != StatusCode::OK {
        return Err(response.error(format!("the API server answered {}", response.status)));
    }
    let document: Document = response.json("no description of an OAuth server")?;
    let named = |field: &str| format!("{field} of {}", response.url);
    let endpoint =
        |field: &str, url: &str| issuer::endpoint(&named(field), url.trim_end_matches('/'));
    issuer::https(&named("issuer"), document.issuer.trim_end_matches('/'))?;
    let grants = &document.grant_types_supported;
    let lists = |list: &[String], word: &str| list.iter().any(|one| one == word);
    Ok(Oauth {
        client,
        authorize: endpoint("authorization_endpoint", &document.authorization_endpoint)?,
        token: endpoint("token_endpoint", &document.token_endpoint)?,
        pkce: lists(&document.code_challenge_methods_supported, "S256"),
        codes: grants.is_empty() || lists(grants, "authorization_code"),
        issuer: document.issuer.trim_end_matches('/').to_owned(),
    })
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"text/html"))
}
