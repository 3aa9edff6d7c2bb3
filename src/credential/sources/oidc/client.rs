//! [`Client`]: a client of an `OpenID` Connect issuer. Reads the issuer's metadata, redeems codes and
//! refresh tokens, and revokes refresh tokens.

use http::{HeaderValue, StatusCode, Uri};
use serde::Deserialize;

use super::{
    AuthorizationRequest, Granted, Metadata, Renewal,
    metadata::scopes_to_refresh,
    token_response::{self, EXPECTED},
};
use crate::{
    credential::{
        Error,
        protocol::{
            authorization,
            issuer::{self, Issuer, Response, form_encoded},
            jwt,
            oauth::OauthError,
        },
    },
    kubeconfig::{METADATA_PATH, issuer_name},
    printable::excerpt,
    secret::Secret,
};

/// The fields of a form whose values are secrets.
const SECRET_FIELDS: [&str; 4] = ["code", "code_verifier", "refresh_token", "token"];

/// See the module.
pub struct Client {
    calls: Issuer,
    issuer: String,
    discovery: Uri,
    id: String,
    /// Whether access tokens take the place of ID tokens.
    uses_access_token: bool,
}

/// How the client authenticates (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientAuth {
    Basic,
    Form,
}

/// What a command does with the answer of an issuer that is busy (429).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenBusy {
    /// It sends the request again soon.
    Retry,
    /// It reads the answer.
    Return,
}

/// The secrets of a request, which its response may repeat.
pub(super) struct Sent(Vec<Secret>);

impl Sent {
    pub(super) fn texts(&self) -> Vec<&str> {
        self.0.iter().map(Secret::expose).collect()
    }
}

impl Client {
    /// `origin` names the issuer's URL in errors.
    ///
    /// # Errors
    /// The URL is not https.
    pub fn new(calls: Issuer, origin: &str, issuer: &str, id: &str) -> Result<Self, Error> {
        let issuer = issuer_name(issuer);
        Ok(Self {
            calls,
            issuer: issuer.to_owned(),
            // OpenID Connect Discovery 1.0, section 4.1.
            discovery: issuer::https(origin, &format!("{issuer}{METADATA_PATH}"))?,
            id: id.to_owned(),
            uses_access_token: false,
        })
    }

    /// Returns the client that takes access tokens in place of ID tokens if `uses_access_token`.
    #[must_use]
    pub fn with_access_tokens(self, uses_access_token: bool) -> Self {
        Self {
            uses_access_token,
            ..self
        }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the name under which the refused passwords of its users are remembered. An issuer may refuse
    /// a password to one client that it accepts from another.
    #[must_use]
    pub fn password_realm(&self) -> String {
        // Neither has a space.
        format!("{} {}", self.issuer, self.id)
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
        if metadata.issuer.trim_end_matches('/') != self.issuer {
            return Err(response.error(format!(
                "it calls itself another issuer, {}; correct idp-issuer-url or --oidc-issuer-url",
                excerpt(&metadata.issuer, 200)
            )));
        }
        Ok(metadata)
    }

    /// Returns the URL where a user logs in.
    ///
    /// # Errors
    /// The issuer has no authorization endpoint.
    pub fn login_url(
        &self,
        metadata: &Metadata,
        request: &AuthorizationRequest<'_>,
    ) -> Result<String, Error> {
        let origin = format!("authorization_endpoint of {}", self.issuer);
        let endpoint = metadata.authorization_endpoint.as_deref();
        let endpoint = issuer::endpoint(&origin, endpoint.unwrap_or_default())?;
        Ok(request.url(&endpoint, &self.id, metadata))
    }

    /// Redeems the code that `request` led to (RFC 6749, section 4.1.3), and checks the nonce of the
    /// ID token (`OpenID` Connect Core, section 3.1.3.7).
    ///
    /// # Errors
    /// The request fails, its response has no ID token, or one for another login.
    pub async fn redeem(
        &self,
        metadata: &Metadata,
        secret: Option<&Secret>,
        code: &Secret,
        request: &AuthorizationRequest<'_>,
    ) -> Result<Granted, Error> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", request.redirect_uri),
            ("code_verifier", request.pkce.verifier()),
        ];
        let url = self.token_endpoint(metadata)?;
        let response = self.call(metadata, secret, &url, &form).await?;
        let mut granted = match self.read(&response, &self.sent(&secrets(&form), secret).texts())? {
            Renewal::Granted(granted) => granted,
            Renewal::NoIdToken { problem, .. } => return Err(response.error(problem)),
            Renewal::Refused(refusal) => {
                let words = refusal.in_its_words();
                return Err(
                    response.error(format!("it refused its own code{words}; log in once more"))
                );
            }
        };
        let id_token = token_response::id_token(&response);
        if !id_token.map_or(self.uses_access_token, |token| {
            has_nonce(&token, request.nonce)
        }) {
            return Err(response.error(
                "its ID token has not the nonce of this login, so it may be of another one; log in \
                 once more",
            ));
        }
        let requested = metadata.scopes(request.extra_scopes);
        granted.scope = Some(scopes_to_refresh(&requested, granted.scope.as_deref()));
        Ok(granted)
    }

    /// Redeems a refresh token (RFC 6749, section 6) for `scope`, or for the scopes of the issuer's
    /// choice.
    ///
    /// # Errors
    /// The request fails, or the issuer refuses the client.
    pub async fn renew(
        &self,
        metadata: &Metadata,
        secret: Option<&Secret>,
        refresh: &Secret,
        scope: Option<&str>,
    ) -> Result<Renewal, Error> {
        let url = self.token_endpoint(metadata)?;
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose()),
        ];
        let sent = self.sent(&secrets(&form), secret);
        let sent = sent.texts();
        if let Some(scope) = scope {
            form.push(("scope", scope));
            let response = self.call(metadata, secret, &url, &form).await?;
            match self.read(&response, &sent)? {
                // Perhaps fewer scopes were granted. A request that is refused for its scopes uses up
                // no token.
                Renewal::Refused(refusal) if refusal.is_of_scope() => form.truncate(2),
                renewal => return Ok(renewal),
            }
        }
        let response = self.call(metadata, secret, &url, &form).await?;
        self.read(&response, &sent)
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
        let url = issuer::endpoint(&format!("revocation_endpoint of {}", self.issuer), endpoint)?;
        let form = [
            ("token", refresh.expose()),
            ("token_type_hint", "refresh_token"),
        ];
        let response = self.call(metadata, secret, &url, &form).await?;
        if response.status == StatusCode::OK {
            return Ok(true);
        }
        let sent = self.sent(&secrets(&form), secret);
        let error = OauthError::of_response(&response, &sent.texts());
        Err(token_response::failure(&response, error.as_ref()))
    }

    /// Returns the secrets of a request with `values` and the client's `secret`.
    pub(super) fn sent(&self, values: &[&str], secret: Option<&Secret>) -> Sent {
        let mut sent: Vec<Secret> = values.iter().map(|value| Secret::new(*value)).collect();
        if let Some(secret) = secret {
            let header = basic(&self.id, secret).ok();
            let pair = header.as_ref().and_then(|header| header.to_str().ok());
            // The padding is no secret, and may be missing.
            let pair =
                pair.and_then(|header| Some(header.split_once(' ')?.1.trim_end_matches('=')));
            sent.extend(pair.map(Secret::new));
            sent.push(secret.clone());
        }
        Sent(sent)
    }

    /// Reads the response of the token endpoint. `sent` are the secrets of the request.
    pub(super) fn read(&self, response: &Response, sent: &[&str]) -> Result<Renewal, Error> {
        token_response::read(response, sent, self.uses_access_token)
    }

    pub(super) fn token_endpoint(&self, metadata: &Metadata) -> Result<Uri, Error> {
        let origin = format!("token_endpoint of {}", self.issuer);
        issuer::endpoint(&origin, &metadata.token_endpoint)
    }

    /// Posts a form as the client. If the metadata do not say how the client authenticates, both ways
    /// are tried, as in Go. A request that is refused for its client uses up no token.
    pub(super) async fn call(
        &self,
        metadata: &Metadata,
        secret: Option<&Secret>,
        url: &Uri,
        form: &[(&str, &str)],
    ) -> Result<Response, Error> {
        self.call_when_busy(metadata, secret, url, form, WhenBusy::Retry)
            .await
    }

    /// Posts a form as [`Client::call`] does.
    pub(super) async fn call_when_busy(
        &self,
        metadata: &Metadata,
        secret: Option<&Secret>,
        url: &Uri,
        form: &[(&str, &str)],
        busy: WhenBusy,
    ) -> Result<Response, Error> {
        let methods = &metadata.token_endpoint_auth_methods_supported;
        let supports = |method| methods.iter().any(|listed| listed == method);
        let first = if supports("client_secret_post") && !supports("client_secret_basic") {
            ClientAuth::Form
        } else {
            ClientAuth::Basic
        };
        let response = self.post(url, form, secret, first, busy).await?;
        if first == ClientAuth::Basic && secret.is_some() && refuses_client(&response) {
            return self.post(url, form, secret, ClientAuth::Form, busy).await;
        }
        Ok(response)
    }

    async fn post(
        &self,
        url: &Uri,
        form: &[(&str, &str)],
        secret: Option<&Secret>,
        auth: ClientAuth,
        busy: WhenBusy,
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
        match busy {
            WhenBusy::Retry => self.calls.post(url, &form, header).await,
            WhenBusy::Return => self.calls.post_once(url, &form, header).await,
        }
    }
}

/// Returns whether the issuer refuses the client, which is a 4xx response.
fn refuses_client(response: &Response) -> bool {
    response.status.is_client_error()
        && OauthError::of_response(response, &[])
            .is_some_and(|error| error.code() == "invalid_client")
}

/// Returns the secrets of a form.
fn secrets<'a>(form: &[(&str, &'a str)]) -> Vec<&'a str> {
    let sent = form.iter().filter(|(key, _)| SECRET_FIELDS.contains(key));
    sent.map(|(_, value)| *value).collect()
}

/// Returns whether an ID token is the one of the login with this nonce.
fn has_nonce(token: &Secret, nonce: &str) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        nonce: String,
    }
    let claims = jwt::payload::<Claims>(token.expose());
    claims.is_some_and(|claims| claims.nonce == nonce)
}

/// Encodes the client's credentials, which are form-encoded first (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, Error> {
    let (id, secret) = (form_encoded(id), form_encoded(secret.expose()));
    authorization::basic(&id, &secret, || "the client-secret".to_owned())
}
