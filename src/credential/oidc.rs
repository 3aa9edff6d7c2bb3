//! `auth-provider: oidc`: an ID token out of the kubeconfig, renewed at its issuer by the
//! refresh token beside it, and written back for kubectl and other kubegates to use.
//!
//! An issuer may rotate refresh tokens, so that each works once. Hence one kubegate at a time
//! re-reads, renews and writes; who comes second finds the new tokens in the file.

mod client;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use self::client::{Client, Metadata, Renewal};
use super::{Credential, Error, Fetch, Source, authorization, issuer::Issuer, jwt};
use crate::{
    dial::Environment,
    kubeconfig::{self, OidcConfig, OidcTokens, edit},
    secret::Secret,
    tls::Trust,
};

/// A user's tokens and the issuer that renews them.
pub(super) struct Oidc {
    config: OidcConfig,
    client: Mutex<Arc<Client>>,
    state: Mutex<State>,
}

/// Why a human is needed.
const REFUSED: &str = "the refresh token was refused by the issuer";

/// For so long a refresh token that the issuer refused is not sent again: it is dead, unless the
/// issuer has lost its memory for a while.
const REFUSAL: Duration = Duration::from_secs(600);

#[derive(Default)]
struct State {
    /// What the file said last, or what it should say but could not be made to.
    tokens: OidcTokens,
    /// Whether `tokens` are newer than the file.
    unsaved: bool,
    /// Whether the file could not be read last time.
    unreadable: bool,
    /// The refresh token that was refused last, and when.
    refused: Option<(Secret, Instant)>,
    /// The ID token handed out last. To be asked again means that it will not do any more.
    used: Option<Secret>,
}

impl Oidc {
    pub(super) fn new(config: OidcConfig) -> Result<Self, Error> {
        Ok(Self {
            client: Mutex::new(Arc::new(client(&config)?)),
            state: Mutex::new(State {
                tokens: config.tokens.clone(),
                ..State::default()
            }),
            config,
        })
    }

    /// The client, by the issuer's authority as its file holds it now; where that cannot be
    /// used, as it held it before.
    async fn client(&self) -> Result<Arc<Client>, Error> {
        let config = self.config.clone();
        let made = tokio::task::spawn_blocking(move || client(&config)).await;
        let made = made.map_err(|_| Error::SourceFailed {
            subject: self.subject(),
        })?;
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        match made {
            Ok(client) => *kept = Arc::new(client),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the issuer is verified as before");
            }
        }
        Ok(Arc::clone(&kept))
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
        let refresh = self.refresh_token(&tokens)?;
        if self.was_refused(&refresh) {
            return Err(self.login_needed(REFUSED));
        }
        let client = self.client().await?;
        let metadata = client.metadata().await?;
        if let Some(new) = self.renew(&client, &metadata, &refresh).await? {
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
            && let Some(new) = self.renew(&client, &metadata, &newer).await?
        {
            return self.keep(new).await;
        }
        Err(self.login_needed(REFUSED))
    }

    /// New tokens; `None` where the issuer refuses the refresh token.
    async fn renew(
        &self,
        client: &Client,
        metadata: &Metadata,
        refresh: &Secret,
    ) -> Result<Option<OidcTokens>, Error> {
        let renewal = client.renew(metadata, refresh).await?;
        let mut state = self.state();
        Ok(match renewal {
            Renewal::Tokens(new) => {
                state.refused = None;
                Some(new)
            }
            Renewal::Refused => {
                state.refused = Some((refresh.clone(), Instant::now()));
                None
            }
        })
    }

    fn was_refused(&self, refresh: &Secret) -> bool {
        let state = self.state();
        let refused = state.refused.as_ref();
        refused.is_some_and(|(token, at)| token == refresh && at.elapsed() < REFUSAL)
    }

    /// The last credential, unless somebody else left another ID token in the file.
    async fn stands(&self, last: &Credential) -> Result<Credential, Error> {
        let (path, user) = (self.config.file.clone(), self.config.user.clone());
        let read = self.blocking(move || OidcTokens::read(&path, &user)).await;
        let unsaved = self.state().unsaved;
        let other = match read {
            Ok(tokens) if !unsaved => self.ready(&tokens)?,
            _ => None,
        };
        Ok(other.unwrap_or_else(|| last.clone()))
    }

    /// The tokens in the file as it is now; where it cannot be read, those known before.
    async fn look(&self) -> OidcTokens {
        if self.state().unsaved {
            return self.state().tokens.clone();
        }
        let (path, user) = (self.config.file.clone(), self.config.user.clone());
        match self.blocking(move || OidcTokens::read(&path, &user)).await {
            Ok(tokens) => {
                let mut state = self.state();
                state.tokens = tokens;
                state.unreadable = false;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                if !std::mem::replace(&mut self.state().unreadable, true) {
                    tracing::warn!(error, "the tokens known before are used");
                }
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
                // That the file cannot be written either will be warned of.
                let error = &*error as &dyn std::error::Error;
                tracing::debug!(error, "tokens are renewed without a lock");
                Ok(None)
            }
            Err(error) => Err(error),
        }
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
        if let Err(error) = &saved
            && !self.state().unsaved
        {
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

    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        Box::pin(self.stands(last))
    }
}

/// Reads the issuer's authority.
fn client(config: &OidcConfig) -> Result<Client, Error> {
    let place = format!(
        "kubeconfig {}: user {:?}: auth-provider.config.idp-issuer-url",
        config.file.display(),
        config.user
    );
    let trust = match &config.certificate_authority {
        Some(ca) => Trust::roots(&ca.read().map_err(Error::pem)?, ca.origin())
            .map_err(|error| Error::Certificate(Arc::new(error)))?,
        None => Trust::system(),
    };
    let calls = Issuer::new(trust, Environment::read(|name| std::env::var(name).ok()));
    let (id, secret) = (&config.client_id, config.client_secret.clone());
    Client::new(calls, &place, &config.issuer, id, secret)
}
