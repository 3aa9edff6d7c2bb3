//! The grant for a user name and a password that a person types (RFC 6749, section 4.3).

use super::{Client, Granted, Metadata, Renewal, metadata::scopes_to_refresh};
use crate::{credential::Error, secret::Secret};

/// What a person typed.
pub struct TypedPassword {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl Client {
    /// Redeems a user name and a password. `extra_params` are sent too.
    ///
    /// # Errors
    /// The request fails, the issuer refuses the password or the client, or its response has no ID token.
    pub async fn redeem_password(
        &self,
        metadata: &Metadata,
        secret: Option<&Secret>,
        typed: &TypedPassword,
        extra_scopes: &[String],
        extra_params: &[(&str, &str)],
    ) -> Result<Granted, Error> {
        let scopes = metadata.scopes(extra_scopes);
        let mut form = vec![
            ("grant_type", "password"),
            ("username", typed.username.as_str()),
            ("password", typed.password.expose()),
            ("scope", &scopes),
        ];
        form.extend(extra_params);
        let url = self.token_endpoint(metadata)?;
        let response = self.call(metadata, secret, &url, &form).await?;
        let sent = self.sent(&[typed.password.expose()], secret);
        match self.read(&response, &sent.texts())? {
            Renewal::Granted(mut granted) => {
                granted.scope = Some(scopes_to_refresh(&scopes, granted.scope.as_deref()));
                Ok(granted)
            }
            Renewal::NoIdToken { problem, .. } => Err(response.error(problem)),
            Renewal::Refused(refusal) => {
                let words = refusal.in_its_words();
                Err(response.error(format!("it refused the user name or the password{words}")))
            }
        }
    }
}
