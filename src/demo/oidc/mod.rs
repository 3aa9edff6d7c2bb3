//! An `OpenID` Connect issuer: discovery, keys, a login that asks nothing, and tokens that are
//! renewed by refresh tokens which work once.

mod authorize;
mod book;
mod token;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

use self::book::Book;
use super::{Error, jwt::Signer};
use crate::demo::{
    https::{Faults, Host, messages},
    kubernetes::{ControlPlane, authentication::user_info::Identity, vendor::Flavor},
};

/// What an issuer is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// The one client it knows.
    pub client_id: String,
    /// The client's secret, taken in the header and in the form; `None` for a public client.
    pub client_secret: Option<String>,
    /// Lifetime of ID tokens and access tokens, in whole seconds.
    pub id_token: Duration,
    /// Lifetime of refresh tokens, in whole seconds.
    pub refresh_token: Duration,
    /// Whether a refresh token works more than once; a new one comes with each answer if not.
    pub reusable: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            client_id: "kubegate-demo".to_owned(),
            client_secret: None,
            id_token: Duration::from_secs(60),
            refresh_token: Duration::from_secs(86_400),
            reusable: false,
        }
    }
}

/// A running issuer. It stops when dropped.
#[derive(Debug)]
pub struct Oidc {
    host: Host,
    faults: Faults,
    desk: Arc<Desk>,
}

/// What the issuer has and knows.
#[derive(Debug)]
struct Desk {
    options: Options,
    signer: Signer,
    book: Book,
}

impl Oidc {
    /// Starts an issuer on a random port of 127.0.0.1, with a CA of its own.
    ///
    /// # Errors
    /// No port, or no key.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let desk = Arc::new(Desk {
            options,
            signer: Signer::generate()?,
            book: Book::default(),
        });
        let faults = Faults::default();
        let answer = {
            let desk = desk.clone();
            move |request: Request<Bytes>, now| desk.answer(&request, now)
        };
        let host = Host::start(&[], faults.clone(), answer).await?;
        Ok(Self { host, faults, desk })
    }

    /// The issuer's URL: `idp-issuer-url`.
    #[must_use]
    pub fn url(&self) -> String {
        self.host.url()
    }

    /// The CA to verify it with, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.host.ca_pem()
    }

    /// The host that it is on, which notes every request.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What is wrong with it.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// An ID token and a refresh token, as a login brings them.
    ///
    /// # Errors
    /// No signature.
    pub fn issue_login(&self) -> Result<(String, String), Error> {
        let now = self.faults.now();
        let id_token = self.desk.id_token(&self.url(), now, None)?;
        let ends = now + self.desk.options.refresh_token;
        Ok((id_token, self.desk.book.new_refresh_token(ends)))
    }

    /// Ends every refresh token.
    pub fn revoke(&self) {
        self.desk.book.revoke();
    }

    /// Refuses at the login page, or lets everybody in again.
    pub fn refuse_logins(&self, refuse: bool) {
        self.desk.book.refuse_logins(refuse);
    }

    /// How many refresh tokens were redeemed.
    #[must_use]
    pub fn refreshes(&self) -> usize {
        self.desk.book.counts().refreshes
    }

    /// How many codes of the login page were redeemed.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.desk.book.counts().logins
    }

    /// How many grants were refused: codes and refresh tokens unknown, spent or ended.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.desk.book.counts().refused
    }

    /// A control plane that takes this issuer's ID tokens until the second they end.
    ///
    /// # Errors
    /// It did not start.
    pub async fn control_plane(&self) -> Result<ControlPlane, Error> {
        let flavor = self.desk.clone() as Arc<dyn Flavor>;
        ControlPlane::start_as(self.desk.options.id_token, Some(flavor)).await
    }
}

impl Desk {
    fn answer(&self, request: &Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/.well-known/openid-configuration") => {
                self.metadata(&messages::origin(request))
            }
            (&Method::GET, "/keys") => match self.signer.key_set() {
                Some(keys) => messages::json(StatusCode::OK, &keys),
                None => messages::text(StatusCode::INTERNAL_SERVER_ERROR, "no keys"),
            },
            (&Method::GET, "/authorize") => self.authorize(request, now),
            (&Method::POST, "/token") => self.token(request, now),
            _ => messages::text(StatusCode::NOT_FOUND, "there is nothing here"),
        }
    }

    /// `OpenID` Connect Discovery 1.0, section 3.
    fn metadata(&self, issuer: &str) -> Response<Bytes> {
        let methods = match self.options.client_secret {
            Some(_) => json!(["client_secret_basic", "client_secret_post"]),
            None => json!(["none"]),
        };
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "profile", "offline_access"],
            "token_endpoint_auth_methods_supported": methods,
            "code_challenge_methods_supported": ["S256"],
        });
        messages::json(StatusCode::OK, &metadata)
    }
}

impl Flavor for Desk {
    fn identify(&self, token: &str, now: SystemTime) -> Option<Identity> {
        let claims = self.signer.living_claims(token, now)?;
        // An access token has no audience here.
        if claims["aud"] != self.options.client_id.as_str() {
            return None;
        }
        let groups = claims["groups"].as_array()?.iter();
        let groups = groups.filter_map(|group| Some(format!("oidc:{}", group.as_str()?)));
        let user = claims["email"].as_str()?;
        Some(Identity::authenticated(
            format!("oidc:{user}"),
            groups.collect(),
        ))
    }
}

#[cfg(test)]
mod tests;
