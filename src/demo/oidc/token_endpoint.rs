//! The token endpoint (RFC 6749, sections 4.1.3 and 6; RFC 8628, section 3.4).

use std::time::SystemTime;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Issuer, devices::Poll, grants::Login, options::ClientAuthentication};
use crate::demo::{error::Error, form::Form, https::message, jwt::seconds, random::new_uuid};

pub(super) const EMAIL: &str = "jane@example.com";

/// The scope with which an access token is for the API server too.
const KUBERNETES: &str = "kubernetes";

/// The grants that the token endpoint redeems.
pub(super) const GRANT_TYPES: [&str; 6] = [
    "authorization_code",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "password",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:token-exchange",
];

/// A request for tokens.
pub(super) struct TokenRequest<'a> {
    pub(super) form: &'a Form,
    /// The URL of the issuer.
    pub(super) issuer: &'a str,
    pub(super) now: SystemTime,
}

/// Tokens, or an error code of RFC 6749, section 5.2.
pub(super) type TokenAnswer = Result<Value, &'static str>;

impl Issuer {
    pub(super) fn token(&self, request: &Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let form = message::form(request);
        if !self.is_client(request, &form) {
            return error(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        let asked = TokenRequest {
            form: &form,
            issuer: &message::origin(request),
            now,
        };
        let grant = form.get("grant_type").unwrap_or_default();
        let answer = match GRANT_TYPES.iter().position(|one| *one == grant) {
            Some(0) => self.redeem_code(&asked),
            Some(1) => self.redeem_refresh_token(&asked),
            Some(2) => self.redeem_device_code(&asked),
            Some(3) => self.redeem_password(&asked),
            Some(4) => self.redeem_client_credentials(&asked),
            Some(5) => self.exchange_token(&asked),
            _ => Err("unsupported_grant_type"),
        };
        match answer {
            Ok(tokens) => message::json(StatusCode::OK, &tokens),
            Err(code @ "server_error") => error(StatusCode::INTERNAL_SERVER_ERROR, code),
            Err(code) => described(StatusCode::BAD_REQUEST, code, &repeated(&form)),
        }
    }

    fn redeem_code(&self, asked: &TokenRequest<'_>) -> TokenAnswer {
        let code = asked.form.get("code").unwrap_or_default();
        let is_acceptable =
            |login: &Login| asked.now < login.expires_at && matches_login(asked.form, login);
        let login = self.grants.redeem_code(code, is_acceptable);
        let login = login.ok_or("invalid_grant")?;
        let nonce = self.quirks.get().nonce.or(login.nonce.as_deref());
        self.granted(asked, &login.scopes, nonce)
    }

    fn redeem_refresh_token(&self, asked: &TokenRequest<'_>) -> TokenAnswer {
        let reusable = self.options.reusable;
        let token = asked.form.get("refresh_token").unwrap_or_default();
        let quirks = self.quirks.get();
        let scopes = asked.form.get("scope");
        self.quirks.note_refresh(scopes);
        if quirks.refuses_scopes_on_refresh && scopes.is_some() {
            return Err("invalid_scope");
        }
        if !self.grants.redeem_refresh_token(token, reusable, asked.now) {
            return Err("invalid_grant");
        }
        let scopes = scopes.unwrap_or_default();
        let mut tokens = self.tokens(asked, None, !reusable, scopes)?;
        if quirks.no_id_token_on_refresh
            || quirks.id_token_needs_scope && !has_scope(scopes, "openid")
        {
            tokens["id_token"].take();
        }
        Ok(tokens)
    }

    fn redeem_device_code(&self, asked: &TokenRequest<'_>) -> TokenAnswer {
        let code = asked.form.get("device_code").unwrap_or_default();
        match self.grants.poll_device(code, asked.now) {
            Poll::Granted(scopes) => self.granted(asked, &scopes, None),
            Poll::Error(code) => Err(code),
        }
    }

    /// The tokens for a user who has logged in. There is a refresh token if the scopes ask for one.
    pub(super) fn granted(
        &self,
        asked: &TokenRequest<'_>,
        scopes: &str,
        nonce: Option<&str>,
    ) -> TokenAnswer {
        let offline_access = has_scope(scopes, "offline_access");
        self.tokens(asked, nonce, offline_access, scopes)
    }

    /// Whether the request is authenticated as the client: in the header or in the form, but not
    /// in both.
    pub(super) fn is_client(&self, request: &Request<Bytes>, form: &Form) -> bool {
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
        asked: &TokenRequest<'_>,
        nonce: Option<&str>,
        with_refresh_token: bool,
        scopes: &str,
    ) -> TokenAnswer {
        let now = asked.now;
        let id_token = self.id_token(asked.issuer, now, nonce);
        let mut tokens = json!({
            "access_token": self.access_token(asked, EMAIL, has_scope(scopes, KUBERNETES))?,
            "id_token": id_token.map_err(|_| "server_error")?,
            "token_type": "Bearer",
            "expires_in": self.options.id_token.as_secs(),
        });
        if with_refresh_token {
            let expires_at = now + self.options.refresh_token;
            tokens["refresh_token"] = self.grants.new_refresh_token(expires_at).into();
        }
        Ok(tokens)
    }

    /// An access token of `subject`, for the API server too if `is_for_kubernetes`.
    pub(super) fn access_token(
        &self,
        asked: &TokenRequest<'_>,
        subject: &str,
        is_for_kubernetes: bool,
    ) -> Result<String, &'static str> {
        let iat = seconds(asked.now);
        let mut claims = json!({
            "iss": asked.issuer,
            "sub": subject,
            "iat": iat,
            "exp": iat + self.options.id_token.as_secs(),
            "jti": new_uuid(),
        });
        if is_for_kubernetes {
            claims["aud"] = self.options.client_id.as_str().into();
            claims["email"] = subject.into();
            claims["groups"] = json!(["developers"]);
        }
        self.signer.sign(&claims).map_err(|_| "server_error")
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

fn has_scope(scopes: &str, name: &str) -> bool {
    scopes.split(' ').any(|scope| scope == name)
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

/// An error response (RFC 6749, section 5.2).
pub(super) fn error(status: StatusCode, code: &str) -> Response<Bytes> {
    described(status, code, "see the documentation of the demo")
}

/// What a request sent as a secret, which clients must not show.
fn repeated(form: &Form) -> String {
    let names = ["refresh_token", "code", "password", "subject_token"];
    let mut sent = names.iter().filter_map(|name| form.get(name));
    format!("not valid: {}", sent.next().unwrap_or("the request"))
}

fn described(status: StatusCode, code: &str, description: &str) -> Response<Bytes> {
    message::json(
        status,
        &json!({"error": code, "error_description": description}),
    )
}
