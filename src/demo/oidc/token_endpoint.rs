//! The token endpoint (RFC 6749, sections 4.1.3 and 6).

use std::time::SystemTime;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Issuer, grants::Login, options::ClientAuthentication};
use crate::demo::{
    error::Error,
    form::Form,
    https::{QUOTED_SECRET, message},
    jwt::seconds,
    random::new_uuid,
};

const EMAIL: &str = "jane@example.com";

impl Issuer {
    pub(super) fn token(&self, request: &Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let form = message::form(request);
        if !self.is_client(request, &form) {
            return error(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        let issuer = message::origin(request);
        let options = &self.options;
        let tokens = match form.get("grant_type") {
            Some("refresh_token") => {
                let token = form.get("refresh_token").unwrap_or_default();
                let is_valid = self
                    .grants
                    .redeem_refresh_token(token, options.reusable, now);
                is_valid.then(|| self.tokens(&issuer, now, None, !options.reusable))
            }
            Some("authorization_code") => {
                let code = form.get("code").unwrap_or_default();
                let is_acceptable =
                    |login: &Login| now < login.expires_at && matches_login(&form, login);
                let login = self.grants.redeem_code(code, is_acceptable);
                login.map(|login| {
                    self.tokens(&issuer, now, login.nonce.as_deref(), login.offline_access)
                })
            }
            _ => return error(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        };
        match tokens {
            Some(Ok(tokens)) => message::json(StatusCode::OK, &tokens),
            Some(Err(_)) => error(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
            None => error(StatusCode::BAD_REQUEST, "invalid_grant"),
        }
    }

    /// Whether the request is authenticated as the client: in the header or in the form, but not
    /// in both.
    fn is_client(&self, request: &Request<Bytes>, form: &Form) -> bool {
        let accepted = self.grants.client_authentication();
        let form_secret = form.get("client_secret").map(str::to_owned);
        let (id, secret) = match message::basic_client(request.headers()) {
            Some(_) if form_secret.is_some() => return false,
            Some(_) if accepted == ClientAuthentication::Post => return false,
            None if form_secret.is_some() && accepted == ClientAuthentication::Basic => {
                return false;
            }
            Some((id, secret)) => (id, Some(secret)),
            None => (
                form.get("client_id").unwrap_or_default().to_owned(),
                form_secret,
            ),
        };
        id == self.options.client_id && secret == self.options.client_secret
    }

    fn tokens(
        &self,
        issuer: &str,
        now: SystemTime,
        nonce: Option<&str>,
        with_refresh_token: bool,
    ) -> Result<Value, Error> {
        let lifetime = self.options.id_token.as_secs();
        let access = json!({"iss": issuer, "sub": EMAIL, "exp": seconds(now) + lifetime});
        let mut tokens = json!({
            "access_token": self.signer.sign(&access)?,
            "id_token": self.id_token(issuer, now, nonce)?,
            "token_type": "Bearer",
            "expires_in": lifetime,
        });
        if with_refresh_token {
            let expires_at = now + self.options.refresh_token;
            tokens["refresh_token"] = self.grants.new_refresh_token(expires_at).into();
        }
        Ok(tokens)
    }

    pub(super) fn id_token(
        &self,
        issuer: &str,
        now: SystemTime,
        nonce: Option<&str>,
    ) -> Result<String, Error> {
        let iat = seconds(now);
        let mut claims = json!({
            "iss": issuer,
            "sub": "jane",
            "aud": self.options.client_id,
            "iat": iat,
            "exp": iat + self.options.id_token.as_secs(),
            "jti": new_uuid(),
            "email": EMAIL,
            "email_verified": true,
            "preferred_username": "jane",
            "groups": ["developers"],
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        self.signer.sign(&claims)
    }
}

/// Whether the code verifier and the redirect URI match the login (RFC 7636, section 4.6).
fn matches_login(form: &Form, login: &Login) -> bool {
    let is_verified = match (&login.code_challenge, form.get("code_verifier")) {
        (Some(challenge), Some(verifier)) => {
            let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
            *challenge == BASE64_URL_SAFE_NO_PAD.encode(digest)
        }
        (None, None) => true,
        _ => false,
    };
    is_verified && form.get("redirect_uri") == Some(&login.redirect_uri)
}

/// An error response (RFC 6749, section 5.2). Its description quotes a secret, which clients must
/// not show.
fn error(status: StatusCode, code: &str) -> Response<Bytes> {
    message::json(
        status,
        &json!({"error": code, "error_description": QUOTED_SECRET}),
    )
}
