//! An `OpenID` Connect issuer: discovery, a key set, logins that need no input, refresh tokens that
//! work once, and the grants of machines.

mod authorization_endpoint;
mod device_endpoint;
mod devices;
mod grants;
mod machine_grants;
mod options;
mod quirks;
mod token_endpoint;

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

use self::{grants::Grants, quirks::QuirkState};
pub use self::{
    options::{ClientAuthentication, Options},
    quirks::Quirks,
};
use crate::demo::{
    error::Error,
    https::{Faults, HttpsServer, message},
    jwt::Signer,
    kubernetes::{ControlPlane, authentication::user_info::UserInfo, vendor::VendorExtension},
};

/// A running issuer. Dropping it stops it.
#[derive(Debug)]
pub struct OidcIssuer {
    server: HttpsServer,
    faults: Faults,
    issuer: Arc<Issuer>,
}

#[derive(Debug)]
struct Issuer {
    options: Options,
    signer: Signer,
    grants: Grants,
    quirks: QuirkState,
}

impl OidcIssuer {
    /// Starts an issuer on a random port of 127.0.0.1, with a CA of its own.
    ///
    /// # Errors
    /// A port, a certificate or a key could not be had.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let dns_names = options.dns_names.clone();
        let dns_names: Vec<&str> = dns_names.iter().map(String::as_str).collect();
        let issuer = Arc::new(Issuer {
            options,
            signer: Signer::generate()?,
            grants: Grants::default(),
            quirks: QuirkState::default(),
        });
        let faults = Faults::default();
        let handler = {
            let issuer = issuer.clone();
            move |request: Request<Bytes>, now| issuer.handle(&request, now)
        };
        let server = HttpsServer::start(&dns_names, faults.clone(), handler).await?;
        Ok(Self {
            server,
            faults,
            issuer,
        })
    }

    /// The issuer's URL: `idp-issuer-url`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The CA of its certificate, in PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.server.ca_pem()
    }

    /// The server that it runs on, which records every request.
    #[must_use]
    pub fn server(&self) -> &HttpsServer {
        &self.server
    }

    /// The faults of its server.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Issues an ID token and a refresh token, as a login does.
    ///
    /// # Errors
    /// The ID token could not be signed.
    pub fn issue_login(&self) -> Result<(String, String), Error> {
        let now = self.faults.now();
        let id_token = self.issuer.id_token(&self.url(), now, None)?;
        let expires_at = now + self.issuer.options.refresh_token;
        Ok((id_token, self.issuer.grants.new_refresh_token(expires_at)))
    }

    /// Whether the issuer would accept this refresh token now.
    #[must_use]
    pub fn accepts_refresh_token(&self, token: &str) -> bool {
        self.issuer.grants.accepts(token, self.faults.now())
    }

    /// Revokes every refresh token.
    pub fn revoke(&self) {
        self.issuer.grants.revoke();
    }

    /// Denies access at the login page, or stops doing so.
    pub fn refuse_logins(&self, refuse: bool) {
        self.issuer.grants.refuse_logins(refuse);
    }

    /// Restricts where the client's secret is accepted. The metadata does not mention it.
    pub fn restrict_client_authentication(&self, to: ClientAuthentication) {
        self.issuer.grants.restrict_client_authentication(to);
    }

    /// Makes it differ from other issuers.
    pub fn set_quirks(&self, quirks: Quirks) {
        self.issuer.quirks.set(quirks);
    }

    /// The queries of the requests to the authorization endpoint so far, oldest first.
    #[must_use]
    pub fn authorization_queries(&self) -> Vec<String> {
        self.issuer.quirks.authorization_queries()
    }

    /// The scopes that were sent with refresh tokens so far, oldest first.
    #[must_use]
    pub fn refresh_scopes(&self) -> Vec<Option<String>> {
        self.issuer.quirks.refresh_scopes()
    }

    /// How many refresh tokens were redeemed.
    #[must_use]
    pub fn refreshes(&self) -> usize {
        self.issuer.grants.counts().refreshes
    }

    /// How many authorization codes were redeemed.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.issuer.grants.counts().logins
    }

    /// The user codes of the logins by device code that nobody has decided about yet.
    #[must_use]
    pub fn pending_user_codes(&self) -> Vec<String> {
        self.issuer.grants.pending_user_codes()
    }

    /// How often a device has asked whether its user has logged in.
    #[must_use]
    pub fn device_polls(&self) -> usize {
        self.issuer.grants.counts().device_polls
    }

    /// How many tokens were issued to machines: for a password, for the client alone, or for another
    /// token.
    #[must_use]
    pub fn machine_logins(&self) -> usize {
        self.issuer.grants.counts().machine_logins
    }

    /// How many wrong passwords were sent.
    #[must_use]
    pub fn wrong_passwords(&self) -> usize {
        self.issuer.grants.counts().wrong_passwords
    }

    /// How many codes and refresh tokens were refused as unknown, spent or expired.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.issuer.grants.counts().refused
    }

    /// Starts a control plane that accepts this issuer's ID tokens until they expire.
    ///
    /// # Errors
    /// It did not start.
    pub async fn control_plane(&self) -> Result<ControlPlane, Error> {
        let extension = self.issuer.clone() as Arc<dyn VendorExtension>;
        let token_ttl = self.issuer.options.id_token;
        ControlPlane::start_for_vendor(token_ttl, Some(extension)).await
    }
}

impl Issuer {
    fn handle(&self, request: &Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let is_endpoint = ["/authorize", "/token"].contains(&request.uri().path());
        if let Some(query) = self.quirks.get().endpoint_query.filter(|_| is_endpoint)
            && !request
                .uri()
                .query()
                .is_some_and(|sent| sent.starts_with(query))
        {
            return message::text(
                StatusCode::NOT_FOUND,
                "the query of the endpoint is missing",
            );
        }
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/.well-known/openid-configuration") => {
                self.metadata(&message::origin(request))
            }
            (&Method::GET, "/keys") => match self.signer.key_set() {
                Some(keys) => message::json(StatusCode::OK, &keys),
                None => message::text(StatusCode::INTERNAL_SERVER_ERROR, "no keys"),
            },
            (&Method::GET, "/authorize") => self.authorize(request, now),
            (&Method::POST, "/token") => self.token(request, now),
            (&Method::POST, "/device") if self.options.device_flow => {
                self.authorize_device(request, now)
            }
            (&Method::GET, "/device") if self.options.device_flow => self.device_page(request, now),
            _ => message::text(StatusCode::NOT_FOUND, "there is nothing here"),
        }
    }

    /// The metadata of `OpenID` Connect Discovery 1.0, section 3.
    fn metadata(&self, issuer: &str) -> Response<Bytes> {
        let methods = match self.options.client_secret {
            Some(_) => json!(["client_secret_basic", "client_secret_post"]),
            None => json!(["none"]),
        };
        let quirks = self.quirks.get();
        let query = quirks.endpoint_query.map(|query| format!("?{query}"));
        let query = query.unwrap_or_default();
        let mut metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize{query}"),
            "token_endpoint": format!("{issuer}/token{query}"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "grant_types_supported": token_endpoint::GRANT_TYPES,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "profile", "offline_access"],
            "token_endpoint_auth_methods_supported": methods,
            "code_challenge_methods_supported": ["S256"],
        });
        if let Some(scopes) = quirks.scopes_supported {
            metadata["scopes_supported"] = json!(scopes);
        }
        if quirks.hides_scopes {
            metadata["scopes_supported"].take();
        }
        if self.options.device_flow {
            metadata["device_authorization_endpoint"] = format!("{issuer}/device").into();
        }
        message::json(StatusCode::OK, &metadata)
    }
}

impl VendorExtension for Issuer {
    fn authenticate(&self, token: &str, now: SystemTime) -> Option<UserInfo> {
        let claims = self.signer.unexpired_claims(token, now)?;
        // An access token has an audience only if the scope for it was requested.
        if claims["aud"] != self.options.client_id.as_str() {
            return None;
        }
        let groups = claims["groups"].as_array()?.iter();
        let groups = groups.filter_map(|group| Some(format!("oidc:{}", group.as_str()?)));
        let email = claims["email"].as_str()?;
        Some(UserInfo::authenticated(
            format!("oidc:{email}"),
            groups.collect(),
        ))
    }
}

#[cfg(test)]
mod tests;
