//! [`Client`]: a client of an `OpenID` Connect issuer. Reads the issuer's metadata, redeems codes and
//! refresh tokens, and revokes refresh tokens.

use std::fmt::Write as _;

use http::{HeaderValue, StatusCode, Uri};
use serde::Deserialize;

use crate::{
    credential::{
        Error, Pkce,
        protocol::{
            authorization,
            issuer::{self, Issuer, Response, form_encoded},
            jwt,
            oauth::error_of,
        },
        sources::ibm_iam,
    },
    kubeconfig::OidcTokens,
    secret::Secret,
};

/// The scope that requests a refresh token.
const OFFLINE_ACCESS: &str = "offline_access";
/// What a response is not, for errors.
const EXPECTED: &str = "not the JSON that OpenID Connect requires";

/// See the module.
pub struct Client {
    calls: Issuer,
    issuer: String,
    discovery: Uri,
    id: String,
}

/// The issuer's metadata (`OpenID` Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
pub struct Metadata {
    issuer: String,
    token_endpoint: String,
    authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

/// How the client authenticates (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientAuth {
    Basic,
    Form,
}

/// The result of redeeming a refresh token.
pub enum Renewal {
    /// A new ID token, and a new refresh token if the issuer rotates them.
    Tokens(OidcTokens),
    /// The refresh token was used before, revoked, or has expired.
    Refused,
}

impl Client {
    /// `origin` names the issuer's URL in errors.
    ///
    /// # Errors
    /// The URL is not https.
    pub fn new(calls: Issuer, origin: &str, issuer: &str, id: &str) -> Result<Self, Error> {
        // OpenID Connect Discovery 1.0, section 4.1.
        let base = issuer.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        Ok(Self {
            calls,
            issuer: issuer.to_owned(),
            discovery: issuer::https(origin, &url)?,
            id: id.to_owned(),
        })
    }

    /// Reads the issuer's metadata.
    ///
    /// # Errors
    /// The request fails, or the metadata are of another issuer.
    pub async fn metadata(&self) -> Result<Metadata, Error> {
        let response = self.calls.get(&self.discovery, None).await?;
        if response.status != StatusCode::OK {
            return Err(response.error(format!("it answered {}", response.status)));
        }
        let metadata: Metadata = response.json(EXPECTED)?;
        // Section 4.3. As in client-go, a slash at the end makes no difference.
        if metadata.issuer.trim_end_matches('/') != self.issuer.trim_end_matches('/') {
            return Err(response.error("it calls itself another issuer; correct idp-issuer-url"));
        }
        Ok(metadata)
    }

    /// Returns the URL where a user logs in (RFC 6749, section 4.1.1; RFC 7636). The browser is then
    /// redirected to `redirect_uri` with `state`.
    ///
    /// # Errors
    /// The issuer has no authorization endpoint.
    pub fn login_url(
        &self,
        metadata: &Metadata,
        redirect_uri: &str,
        state: &str,
        pkce: &Pkce,
        extra_scopes: &[String],
    ) -> Result<String, Error> {
        let origin = format!("authorization_endpoint of {}", self.issuer);
        let endpoint = metadata.authorization_endpoint.as_deref();
        let endpoint = endpoint.unwrap_or_default();
        // It may have a query (RFC 6749, section 3.1).
        let (base, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
        let base = issuer::https(&origin, base)?;
        let mut scopes = vec!["openid"];
        // Many issuers give no refresh token without this scope (OpenID Connect Core, section 11).
        if metadata
            .scopes_supported
            .iter()
            .any(|scope| scope == OFFLINE_ACCESS)
        {
            scopes.push(OFFLINE_ACCESS);
        }
        for scope in extra_scopes {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope);
            }
        }
        let mut url = format!("{base}?{query}");
        for (key, value) in [
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", redirect_uri),
            ("scope", &scopes.join(" ")),
            ("state", state),
            ("code_challenge", pkce.challenge()),
            ("code_challenge_method", Pkce::METHOD),
        ] {
            let and = if url.ends_with(['?', '&']) { "" } else { "&" };
            write!(url, "{and}{key}={}", *form_encoded(value))
                .expect("writing to a String does not fail");
        }
        Ok(url)
    }

    /// Redeems the code of a login (RFC 6749, section 4.1.3).
    ///
    /// # Errors
    /// The request fails, or its response has no tokens.
    pub async fn redeem(
        &self,
        metadata: &Metadata,
        secret: Option<&Secret>,
        code: &Secret,
        redirect_uri: &str,
        pkce: &Pkce,
    ) -> Result<OidcTokens, Error> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", pkce.verifier()),
        ];
        let url = self.token_endpoint(metadata)?;
        let response = self.call(metadata, secret, &url, &form).await?;
        match renewal(&response)? {
            Renewal::Tokens(tokens) => Ok(tokens),
            Renewal::Refused => Err(response.error("it refused its own code; log in once more")),
        }
    }

    /// Redeems a refresh token (RFC 6749, section 6).
    ///
    /// # Errors
    /// The request fails, or its response has no tokens.
    pub async fn renew(
        &self,
        metadata: &Metadata,
        secret: Option<&Secret>,
        refresh: &Secret,
    ) -> Result<Renewal, Error> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose()),
        ];
        let url = self.token_endpoint(metadata)?;
        renewal(&self.call(metadata, secret, &url, &form).await?)
    }

    /// Revokes a refresh token (RFC 7009). Returns false if the issuer has no revocation endpoint.
    ///
    /// # Errors
    /// The request fails or is refused.
    pub async fn revoke(
        &self,
        metadata: &Metadata,
        secret: Option<&Secret>,
        refresh: &Secret,
    ) -> Result<bool, Error> {
        let Some(endpoint) = &metadata.revocation_endpoint else {
            return Ok(false);
        };
        let url = issuer::https(&format!("revocation_endpoint of {}", self.issuer), endpoint)?;
        let form = [
            ("token", refresh.expose()),
            ("token_type_hint", "refresh_token"),
        ];
        let response = self.call(metadata, secret, &url, &form).await?;
        if response.status == StatusCode::OK {
            return Ok(true);
        }
        Err(response.error(format!("it answered {}", response.status)))
    }

    fn token_endpoint(&self, metadata: &Metadata) -> Result<Uri, Error> {
        let origin = format!("token_endpoint of {}", self.issuer);
        issuer::https(&origin, &metadata.token_endpoint)
    }

    /// Posts a form as the client. If the metadata do not say how the client authenticates, both ways
    /// are tried, as in Go. A request that is refused for its client uses up no token.
    async fn call(
        &self,
        metadata: &Metadata,
        secret: Option<&Secret>,
        url: &Uri,
        form: &[(&str, &str)],
    ) -> Result<Response, Error> {
        let methods = &metadata.token_endpoint_auth_methods_supported;
        let supports = |method| methods.iter().any(|listed| listed == method);
        let first = if supports("client_secret_post") && !supports("client_secret_basic") {
            ClientAuth::Form
        } else {
            ClientAuth::Basic
        };
        let response = self.post(url, form, secret, first).await?;
        if first == ClientAuth::Basic
            && secret.is_some()
            && oauth_error(&response) == Some("invalid_client")
        {
            return self.post(url, form, secret, ClientAuth::Form).await;
        }
        Ok(response)
    }

    async fn post(
        &self,
        url: &Uri,
        form: &[(&str, &str)],
        secret: Option<&Secret>,
        auth: ClientAuth,
    ) -> Result<Response, Error> {
        let id = self.id.as_str();
        let mut form = form.to_vec();
        let header = match (secret, auth) {
            (Some(secret), ClientAuth::Basic) => Some(basic(id, secret)?),
            (Some(secret), ClientAuth::Form) => {
                form.extend([("client_id", id), ("client_secret", secret.expose())]);
                None
            }
            (None, _) => {
                form.push(("client_id", id));
                None
            }
        };
        self.calls.post(url, &form, header).await
    }
}

/// Reads the response of the token endpoint.
fn renewal(response: &Response) -> Result<Renewal, Error> {
    #[derive(Deserialize)]
    struct Granted {
        id_token: Option<Secret>,
        refresh_token: Option<Secret>,
    }

    if response.status != StatusCode::OK {
        return match oauth_error(response) {
            Some("invalid_grant") => Ok(Renewal::Refused),
            None if ibm_iam::ends_session(response) => Ok(Renewal::Refused),
            Some(code @ "temporarily_unavailable") => {
                Err(response.transient_error(format!("it answered {code}")))
            }
            Some(code) => Err(response.error(format!("it answered {code}"))),
            None => Err(response.error(format!("it answered {}", response.status))),
        };
    }
    let granted: Granted = response.json(EXPECTED)?;
    let Some(token) = granted.id_token else {
        return Err(response.error(
            "its answer has no id_token; log in again with the scope openid, or ask the \
             issuer's operator to return ID tokens on refresh",
        ));
    };
    if jwt::claims(token.expose()).is_none() {
        return Err(response.error("its id_token is not a JWT with an expiry"));
    }
    Ok(Renewal::Tokens(OidcTokens {
        id_token: Some(token),
        refresh_token: granted
            .refresh_token
            .filter(|token| !token.expose().is_empty()),
    }))
}

/// Returns the OAuth error of a refusal, which is a 4xx response.
fn oauth_error(response: &Response) -> Option<&'static str> {
    let refuses = response.status.is_client_error();
    refuses.then(|| error_of(response)).flatten()
}

/// Encodes the client's credentials, which are form-encoded first (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, Error> {
    let (id, secret) = (form_encoded(id), form_encoded(secret.expose()));
    authorization::basic(&id, &secret, || "the client-secret".to_owned())
}
