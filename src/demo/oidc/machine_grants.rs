//! The grants of clients that no person operates: a password (RFC 6749, section 4.3), the client alone
//! (section 4.4), and another token (RFC 8693).

use serde_json::json;

use super::{
    Issuer,
    token_endpoint::{EMAIL, TokenAnswer, TokenRequest},
};

/// The user whose password is accepted.
const USER: &str = "jane";
/// What an issued access token is (RFC 8693, section 3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

impl Issuer {
    pub(super) fn redeem_password(&self, asked: &TokenRequest<'_>) -> TokenAnswer {
        let password = self.options.password.as_deref();
        let password = password.ok_or("unauthorized_client")?;
        let sent = (asked.form.get("username"), asked.form.get("password"));
        if sent != (Some(USER), Some(password)) {
            self.grants.note_wrong_password();
            return Err("invalid_grant");
        }
        self.grants.note_machine_login();
        self.granted(asked, asked.form.get("scope").unwrap_or_default(), None)
    }

    /// There is neither an ID token nor a refresh token.
    pub(super) fn redeem_client_credentials(&self, asked: &TokenRequest<'_>) -> TokenAnswer {
        if self.options.client_secret.is_none() {
            return Err("unauthorized_client");
        }
        self.grants.note_machine_login();
        let subject = format!("service-account-{}", self.options.client_id);
        Ok(json!({
            "access_token": self.access_token(asked, &subject, true)?,
            "token_type": "Bearer",
            "expires_in": self.options.id_token.as_secs(),
        }))
    }

    /// Accepts the issuer's own unexpired tokens.
    pub(super) fn exchange_token(&self, asked: &TokenRequest<'_>) -> TokenAnswer {
        let subject_token = asked.form.get("subject_token");
        let (Some(token), Some(_)) = (subject_token, asked.form.get("subject_token_type")) else {
            return Err("invalid_request");
        };
        if asked
            .form
            .get("audience")
            .is_some_and(|one| one != self.options.client_id)
        {
            return Err("invalid_target");
        }
        if self.signer.unexpired_claims(token, asked.now).is_none() {
            return Err("invalid_request");
        }
        self.grants.note_machine_login();
        Ok(json!({
            "access_token": self.access_token(asked, EMAIL, true)?,
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": self.options.id_token.as_secs(),
        }))
    }
}
