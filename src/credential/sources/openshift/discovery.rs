//! Where a cluster's OAuth server is, and what it can do.

use http::{HeaderMap, StatusCode, Uri, header::CONTENT_TYPE};
use serde::Deserialize;

use super::Access;
use crate::credential::{
    Error,
    protocol::issuer::{self, Issuer},
};

/// Path of the document, at the API server.
const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// A cluster's OAuth server.
pub struct Oauth {
    pub(super) client: Issuer,
    /// Without a slash at its end.
    pub(super) issuer: String,
    pub(super) authorize: Uri,
    pub(super) token: Uri,
    /// Whether `S256` is advertised.
    pub(super) pkce: bool,
    /// Whether codes are given out; else there is the implicit flow alone.
    pub(super) codes: bool,
}

impl Access {
    /// Finds the OAuth server.
    ///
    /// # Errors
    /// No answer; a cluster without an OAuth server; a document that cannot be used.
    pub async fn discover(&self) -> Result<Oauth, Error> {
        discover(self).await
    }
}

/// RFC 8414, section 2, as the API server gives it.
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

/// Asks the API server for its OAuth server. Nothing says that it may be kept, so every login
/// asks anew.
async fn discover(access: &Access) -> Result<Oauth, Error> {
    let (api, client) = access.clients().await?;
    // Without a credential: a stale one would be refused even here.
    let response = api.get(&access.url(WELL_KNOWN)?, None).await?;
    // An API server with no such path says 404, and to strangers often 401 or 403.
    if matches!(
        response.status,
        StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    ) {
        return Err(response.error(format!(
            "the cluster has no OAuth server of its own ({}): it is no OpenShift, or its users \
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
    let named = |field: &str, url: &str| {
        let url = url.trim_end_matches('/');
        issuer::https(&format!("{field} of {}", response.url), url)
    };
    named("issuer", &document.issuer)?;
    let grants = &document.grant_types_supported;
    let lists = |list: &[String], word: &str| list.iter().any(|one| one == word);
    Ok(Oauth {
        client,
        authorize: named("authorization_endpoint", &document.authorization_endpoint)?,
        token: named("token_endpoint", &document.token_endpoint)?,
        pkce: lists(&document.code_challenge_methods_supported, "S256"),
        codes: grants.is_empty() || lists(grants, "authorization_code"),
        issuer: document.issuer.trim_end_matches('/').to_owned(),
    })
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"text/html"))
}
