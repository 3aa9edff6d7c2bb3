//! The token endpoint (RFC 6749, sections 4.1.3 and 6).

use std::time::SystemTime;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Desk, book::Login};
use crate::demo::{Error, form::Query, https::messages, jwt::seconds, random::new_uid};

const EMAIL: &str = "jane@example.com";

impl Desk {
    pub(super) fn token(&self, request: &Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let form = messages::form(request);
        if !self.is_client(request, &form) {
            return refused(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        let issuer = messages::origin(request);
        let options = &self.options;
        let granted = match form.get("grant_type") {
            Some("refresh_token") => {
                let token = form.get("refresh_token").unwrap_or_default();
                let good = self.book.redeem_refresh_token(token, options.reusable, now);
                good.then(|| self.tokens(&issuer, now, None, !options.reusable))
            }
            Some("authorization_code") => {
                let code = form.get("code").unwrap_or_default();
                let fits = |login: &Login| now < login.ends && belongs(&form, login);
                let login = self.book.redeem_code(code, fits);
                login.map(|login| self.tokens(&issuer, now, login.nonce.as_deref(), login.offline))
            }
            _ => return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        };
        match granted {
            Some(Ok(tokens)) => messages::json(StatusCode::OK, &tokens),
            Some(Err(_)) => refused(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
            None => refused(StatusCode::BAD_REQUEST, "invalid_grant"),
        }
    }

    /// Whether the one client asks: by header or by form, and not by both.
    fn is_client(&self, request: &Request<Bytes>, form: &Query) -> bool {
        let by_form = form.get("client_secret").map(str::to_owned);
        let (id, secret) = match messages::basic_client(request.headers()) {
            Some(_) if by_form.is_some() => return false,
            Some((id, secret)) => (id, Some(secret)),
            None => (
                form.get("client_id").unwrap_or_default().to_owned(),
                by_form,
            ),
        };
        id == self.options.client_id && secret == self.options.client_secret
    }

    fn tokens(
        &self,
        issuer: &str,
        now: SystemTime,
        nonce: Option<&str>,
        refreshable: bool,
    ) -> Result<Value, Error> {
        let lifetime = self.options.id_token.as_secs();
        let access = json!({"iss": issuer, "sub": EMAIL, "exp": seconds(now) + lifetime});
        let mut tokens = json!({
            "access_token": self.signer.sign(&access)?,
            "id_token": self.id_token(issuer, now, nonce)?,
            "token_type": "Bearer",
            "expires_in": lifetime,
        });
        if refreshable {
            let ends = now + self.options.refresh_token;
            tokens["refresh_token"] = self.book.new_refresh_token(ends).into();
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
            "jti": new_uid(),
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

/// Whether a redemption is by whom the code was given to (RFC 7636, section 4.6).
fn belongs(form: &Query, login: &Login) -> bool {
    let proven = match (&login.code_challenge, form.get("code_verifier")) {
        (Some(challenge), Some(verifier)) => {
            let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
            *challenge == BASE64_URL_SAFE_NO_PAD.encode(digest)
        }
        (None, None) => true,
        _ => false,
    };
    proven && form.get("redirect_uri") == Some(&login.redirect_uri)
}

/// RFC 6749, section 5.2.
fn refused(status: StatusCode, code: &str) -> Response<Bytes> {
    messages::json(status, &json!({"error": code}))
}
