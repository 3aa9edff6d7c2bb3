//! An `OpenID` Connect issuer and the client that it knows us as: discovery, and the redemption
//! of refresh tokens.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, StatusCode, Uri};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    credential::{
        Error, authorization, ibm_iam,
        issuer::{self, Answer, Issuer, form_encoded},
        jwt,
    },
    kubeconfig::OidcTokens,
    secret::Secret,
};

/// What answers are not, where they are something else.
const WANTED: &str = "not the JSON that OpenID Connect asks for";

/// A client at its issuer.
pub(in crate::credential) struct Client {
    calls: Issuer,
    issuer: String,
    discovery: Uri,
    id: String,
    /// `None` for a public client.
    secret: Option<Secret>,
}

/// What the issuer says about itself (`OpenID` Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
pub(in crate::credential) struct Metadata {
    issuer: String,
    token_endpoint: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

/// How the client proves who it is (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Basic,
    Form,
}

/// What comes of a refresh token.
pub(in crate::credential) enum Renewal {
    /// A new ID token, and a new refresh token where the issuer rotates them.
    Tokens(OidcTokens),
    /// The refresh token is used up, revoked or expired.
    Refused,
}

impl Client {
    /// `place` names the issuer's URL in errors.
    pub(in crate::credential) fn new(
        calls: Issuer,
        place: &str,
        issuer: &str,
        id: &str,
        secret: Option<Secret>,
    ) -> Result<Self, Error> {
        // OpenID Connect Discovery 1.0, section 4.1.
        let base = issuer.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        Ok(Self {
            calls,
            issuer: issuer.to_owned(),
            discovery: issuer::https(place, &url)?,
            id: id.to_owned(),
            secret,
        })
    }

    /// What the issuer says about itself now.
    pub(in crate::credential) async fn metadata(&self) -> Result<Metadata, Error> {
        let answer = self.calls.get(&self.discovery, None).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.error(format!("it answered {}", answer.status)));
        }
        let metadata: Metadata = answer.json(WANTED)?;
        // Section 4.3; a slash at the end is no other issuer, as client-go has it.
        if metadata.issuer.trim_end_matches('/') != self.issuer.trim_end_matches('/') {
            return Err(answer.error("it calls itself another issuer; correct idp-issuer-url"));
        }
        Ok(metadata)
    }

    /// Redeems a refresh token (RFC 6749, section 6). Where the way in which the client proves
    /// itself is not said, both are tried, as in Go; a refused client spends no token.
    pub(in crate::credential) async fn renew(
        &self,
        metadata: &Metadata,
        refresh: &Secret,
    ) -> Result<Renewal, Error> {
        let place = format!("token_endpoint of {}", self.issuer);
        let url = issuer::https(&place, &metadata.token_endpoint)?;
        let methods = &metadata.token_endpoint_auth_methods_supported;
        let says = |method| methods.iter().any(|said| said == method);
        let first = if says("client_secret_post") && !says("client_secret_basic") {
            Proof::Form
        } else {
            Proof::Basic
        };
        let mut answer = self.redeem(&url, refresh, first).await?;
        if first == Proof::Basic
            && self.secret.is_some()
            && oauth_error(&answer) == Some("invalid_client")
        {
            answer = self.redeem(&url, refresh, Proof::Form).await?;
        }
        judge(&answer)
    }

    async fn redeem(&self, url: &Uri, refresh: &Secret, proof: Proof) -> Result<Answer, Error> {
        let id = self.id.as_str();
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose()),
        ];
        let header = match (&self.secret, proof) {
            (Some(secret), Proof::Basic) => Some(basic(id, secret)?),
            (Some(secret), Proof::Form) => {
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

/// Tokens, a refusal of the refresh token, or an error.
fn judge(answer: &Answer) -> Result<Renewal, Error> {
    #[derive(Deserialize)]
    struct Granted {
        id_token: Option<Secret>,
        refresh_token: Option<Secret>,
    }

    if answer.status != StatusCode::OK {
        return match oauth_error(answer) {
            Some("invalid_grant") => Ok(Renewal::Refused),
            None if ibm_iam::ends_session(answer) => Ok(Renewal::Refused),
            Some(code @ "temporarily_unavailable") => {
                Err(answer.passing(format!("it answered {code}")))
            }
            Some(code) => Err(answer.error(format!("it answered {code}"))),
            None => Err(answer.error(format!("it answered {}", answer.status))),
        };
    }
    let granted: Granted = answer.json(WANTED)?;
    let Some(token) = granted.id_token else {
        return Err(answer.error(
            "its answer has no id_token; log in again with the scope openid, or ask the \
             issuer's operator to return ID tokens on refresh",
        ));
    };
    if jwt::claims(token.expose()).is_none() {
        return Err(answer.error("its id_token is not a JWT with an expiry"));
    }
    Ok(Renewal::Tokens(OidcTokens {
        id_token: Some(token),
        refresh_token: granted
            .refresh_token
            .filter(|token| !token.expose().is_empty()),
    }))
}

/// The code of RFC 6749, section 5.2, where it is one of those.
fn oauth_error(answer: &Answer) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
    }
    const CODES: [&str; 7] = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "temporarily_unavailable",
    ];
    if !answer.status.is_client_error() {
        return None;
    }
    let refused: Refused = serde_json::from_slice(&answer.body).ok()?;
    CODES.into_iter().find(|code| *code == refused.error)
}

/// RFC 6749, section 2.3.1: both are form-encoded first.
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, Error> {
    let (id, secret) = (form_encoded(id), form_encoded(secret.expose()));
    let pair = Zeroizing::new(format!("{}:{}", *id, *secret));
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
    authorization::basic(&encoded, || "the client-secret".to_owned())
}
