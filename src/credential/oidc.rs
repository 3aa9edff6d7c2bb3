//! `auth-provider: oidc`: an ID token out of the kubeconfig, renewed at its issuer by the
//! refresh token beside it, and written back for kubectl and other kubegates to use.
//!
//! An issuer may rotate refresh tokens, so that each works once. Hence one kubegate at a time
//! re-reads, renews and writes; who comes second finds the new tokens in the file.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderValue, StatusCode, Uri};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    Credential, Error, Fetch, Source, authorization,
    issuer::{self, Answer, Issuer, form_encoded},
    jwt,
};
use crate::{
    dial::Environment,
    kubeconfig::{self, OidcConfig, OidcTokens, edit},
    secret::Secret,
    tls::Trust,
};

/// A user's tokens and the issuer that renews them.
pub(super) struct Oidc {
    config: OidcConfig,
    discovery: Uri,
    issuer: Issuer,
    state: Mutex<State>,
}

struct State {
    /// What the file said last, or what it should say but could not be made to.
    tokens: OidcTokens,
    /// Whether `tokens` are newer than the file.
    unsaved: bool,
    /// The ID token handed out last. To be asked again means that it will not do any more.
    used: Option<Secret>,
}

/// What the issuer says about itself (`OpenID` Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Metadata {
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

enum Renewal {
    Tokens(OidcTokens),
    /// The refresh token is used up, revoked or expired.
    Refused,
}

impl Oidc {
    pub(super) fn new(config: OidcConfig) -> Result<Self, Error> {
        let place = format!(
            "kubeconfig {}: user {:?}: auth-provider.config.idp-issuer-url",
            config.file.display(),
            config.user
        );
        // OpenID Connect Discovery 1.0, section 4.1.
        let base = config.issuer.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        let trust = match &config.certificate_authority {
            Some(ca) => Trust::roots(&ca.read().map_err(Error::pem)?, ca.origin())
                .map_err(|error| Error::Certificate(Arc::new(error)))?,
            None => Trust::system(),
        };
        Ok(Self {
            discovery: issuer::https(&place, &url)?,
            issuer: Issuer::new(trust, Environment::read(|name| std::env::var(name).ok())),
            state: Mutex::new(State {
                tokens: config.tokens.clone(),
                unsaved: false,
                used: None,
            }),
            config,
        })
    }

    async fn obtain(&self) -> Result<Credential, Error> {
        if let Some(credential) = self.ready(&self.look().await)? {
            return Ok(credential);
        }
        let _turn = self.turn().await?;
        // Another kubegate may have renewed while we waited.
        let mut tokens = self.look().await;
        if let Some(credential) = self.ready(&tokens)? {
            return Ok(credential);
        }
        let metadata = self.metadata().await?;
        let refresh = self.refresh_token(&tokens)?;
        if let Renewal::Tokens(new) = self.renew(&metadata, &refresh).await? {
            return self.keep(new).await;
        }
        // kubectl renews without a lock, and a human may have logged in: what the file says now
        // counts, even where ours could not be saved.
        self.state().unsaved = false;
        tokens = self.look().await;
        if let Some(credential) = self.ready(&tokens)? {
            return Ok(credential);
        }
        let newer = self.refresh_token(&tokens)?;
        if newer != refresh
            && let Renewal::Tokens(new) = self.renew(&metadata, &newer).await?
        {
            return self.keep(new).await;
        }
        Err(self.login_needed("the refresh token was refused by the issuer"))
    }

    /// The tokens in the file as it is now; where it cannot be read, those known before.
    async fn look(&self) -> OidcTokens {
        if self.state().unsaved {
            return self.state().tokens.clone();
        }
        let (path, user) = (self.config.file.clone(), self.config.user.clone());
        match self.blocking(move || OidcTokens::read(&path, &user)).await {
            Ok(tokens) => self.state().tokens = tokens,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the tokens known before are used");
            }
        }
        self.state().tokens.clone()
    }

    /// The ID token, where it holds and was not handed out before.
    fn ready(&self, tokens: &OidcTokens) -> Result<Option<Credential>, Error> {
        let Some(token) = &tokens.id_token else {
            return Ok(None);
        };
        let claims = jwt::claims(token.expose());
        let holds = claims.is_some_and(|claims| {
            let refreshable = tokens.refresh_token.is_some();
            claims.holds(SystemTime::now(), refreshable)
        });
        if !holds || self.state().used.as_ref() == Some(token) {
            return Ok(None);
        }
        self.credential(token).map(Some)
    }

    fn credential(&self, token: &Secret) -> Result<Credential, Error> {
        let credential = Credential {
            authorization: Some(authorization::bearer_of(token.expose(), || {
                format!("the id-token of {}", self.subject())
            })?),
            expires_at: jwt::claims(token.expose()).map(|claims| claims.expires_at),
            ..Credential::default()
        };
        self.state().used = Some(token.clone());
        Ok(credential)
    }

    fn refresh_token(&self, tokens: &OidcTokens) -> Result<Secret, Error> {
        tokens.refresh_token.clone().ok_or_else(|| {
            self.login_needed("there is no id-token that holds, and no refresh-token")
        })
    }

    /// Our turn among kubegates; none where the folder cannot be written to, for then nobody
    /// can write the file either.
    async fn turn(&self) -> Result<Option<edit::Turn>, Error> {
        let path = self.config.file.clone();
        match self.blocking(move || edit::turn(&path)).await {
            Ok(turn) => Ok(Some(turn)),
            Err(Error::Kubeconfig(error)) if matches!(*error, kubeconfig::Error::Write { .. }) => {
                let error = &*error as &dyn std::error::Error;
                tracing::warn!(error, "tokens are renewed without a lock");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn metadata(&self) -> Result<Metadata, Error> {
        let answer = self.issuer.get(&self.discovery, None).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.error(format!("it answered {}", answer.status)));
        }
        let metadata: Metadata = parsed(&answer)?;
        // Section 4.3; a slash at the end is no other issuer, as client-go has it.
        if metadata.issuer.trim_end_matches('/') != self.config.issuer.trim_end_matches('/') {
            return Err(answer.error("it calls itself another issuer; correct idp-issuer-url"));
        }
        Ok(metadata)
    }

    /// Redeems a refresh token (RFC 6749, section 6). Where the way in which the client proves
    /// itself is not said, both are tried, as in Go; a refused client spends no token.
    async fn renew(&self, metadata: &Metadata, refresh: &Secret) -> Result<Renewal, Error> {
        let place = format!("token_endpoint of {}", self.config.issuer);
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
            && self.config.client_secret.is_some()
            && oauth_error(&answer) == Some("invalid_client")
        {
            answer = self.redeem(&url, refresh, Proof::Form).await?;
        }
        judge(&answer)
    }

    async fn redeem(&self, url: &Uri, refresh: &Secret, proof: Proof) -> Result<Answer, Error> {
        let id = self.config.client_id.as_str();
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose()),
        ];
        let header = match (&self.config.client_secret, proof) {
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
        self.issuer.post(url, &form, header).await
    }

    /// Writes new tokens to the file, then uses them. A file that cannot be written is no
    /// reason to throw away what cannot be had again.
    async fn keep(&self, mut new: OidcTokens) -> Result<Credential, Error> {
        {
            let state = self.state();
            if state.unsaved && new.refresh_token.is_none() {
                new.refresh_token.clone_from(&state.tokens.refresh_token);
            }
        }
        let path = self.config.file.clone();
        let user = self.config.user.clone();
        let written = new.clone();
        let saved = self
            .blocking(move || edit::write_tokens(&path, &user, &written))
            .await;
        if let Err(error) = &saved {
            let (file, error) = (self.config.file.display(), error as &dyn std::error::Error);
            tracing::warn!(error, %file, "renewed tokens are kept in memory only");
        }
        let token = new.id_token.clone().unwrap_or_else(|| Secret::new(""));
        {
            let mut state = self.state();
            state.unsaved = saved.is_err();
            state.tokens.id_token = new.id_token;
            if new.refresh_token.is_some() {
                state.tokens.refresh_token = new.refresh_token;
            }
        }
        self.credential(&token)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, kubeconfig::Error> + Send + 'static,
    ) -> Result<T, Error> {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.map_err(|error| Error::Kubeconfig(Arc::new(error))),
            Err(_) => Err(Error::SourceFailed {
                subject: self.subject(),
            }),
        }
    }

    fn login_needed(&self, problem: &'static str) -> Error {
        Error::LoginNeeded {
            subject: self.subject(),
            problem: problem.into(),
            remedy: format!(
                "log in again for user {:?} of {}",
                self.config.user,
                self.config.file.display()
            ),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Oidc {
    fn subject(&self) -> String {
        format!("OIDC issuer {}", self.config.issuer)
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.obtain())
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
            Some(code) => Err(answer.error(format!("it answered {code}"))),
            None => Err(answer.error(format!("it answered {}", answer.status))),
        };
    }
    let granted: Granted = parsed(answer)?;
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

/// The error's own text is dropped: it may quote what the issuer sent.
fn parsed<'a, T: Deserialize<'a>>(answer: &'a Answer) -> Result<T, Error> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| answer.error("its answer is not the JSON that OpenID Connect asks for"))
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
