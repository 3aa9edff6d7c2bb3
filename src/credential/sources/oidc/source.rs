//! [`Oidc`]: the source that reads the stored tokens, renews them and stores them.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{
    client::{Client, Metadata, Renewal},
    issuer_config::IssuerConfig,
    token_storage::{StoredTokens, TokenStorage},
};
use crate::{
    credential::{
        Credential, Error, Fetch, Source,
        blocking::blocking,
        protocol::{authorization, jwt},
        store::{self, LoginBinding, Store},
    },
    kubeconfig::{Cluster, OidcConfig, OidcTokens, edit::RenewalLock},
    secret::Secret,
    settings::OidcFlags,
    shell::{in_quotes, quoted},
};

/// See the module.
pub(in crate::credential) struct Oidc {
    config: IssuerConfig,
    client: Mutex<Arc<Client>>,
    storage: Arc<TokenStorage>,
    state: Mutex<State>,
}

/// Why the user must log in.
const REFUSED: &str = "the refresh token was refused by the issuer";

/// How long a refused refresh token is not sent again. A refusal is final, unless the issuer has lost its
/// data for a while.
const REFUSAL_TTL: Duration = Duration::from_secs(600);

#[derive(Default)]
struct State {
    /// The tokens that were read last, or newer ones that could not be stored.
    tokens: StoredTokens,
    /// Whether `tokens` are newer than the stored ones.
    unsaved: bool,
    /// Whether the last read failed.
    unreadable: bool,
    /// The refresh token that was refused last, and when.
    refused: Option<(Secret, Instant)>,
    /// The ID token that was returned last. A further fetch means that it is no longer accepted.
    returned: Option<Secret>,
}

impl Oidc {
    pub(in crate::credential) fn new(config: OidcConfig) -> Result<Self, Error> {
        let issuer = IssuerConfig::of_config(&config);
        let storage = TokenStorage::Kubeconfig {
            file: config.file,
            user: config.user,
            client_secret: config.client_secret.clone(),
        };
        let tokens = StoredTokens {
            tokens: config.tokens,
            client_secret: config.client_secret,
        };
        Self::with_storage(issuer, storage, tokens)
    }

    /// Creates the source for a kubegate login, which is not read before a credential is needed.
    pub(in crate::credential) fn of_login(
        flags: &OidcFlags,
        cluster: &Cluster,
    ) -> Result<Self, Error> {
        let store = Store::of_user(&|name| std::env::var_os(name));
        let store = store.map_err(Error::store)?;
        let binding = LoginBinding::of_cluster(cluster).with_issuer(&flags.oidc_issuer_url);
        let storage = TokenStorage::Saved {
            store: store.bound_to(binding),
            login: flags.login.clone(),
            secret_file: flags.oidc_client_secret_file.clone(),
            command: format!(
                "kubegate login oidc --login {} --oidc-issuer-url {} --oidc-client-id {}",
                in_quotes(&flags.login),
                quoted(&flags.oidc_issuer_url),
                quoted(&flags.oidc_client_id)
            ),
        };
        let issuer = IssuerConfig::of_flags(flags)?;
        Self::with_storage(issuer, storage, StoredTokens::default())
    }

    fn with_storage(
        config: IssuerConfig,
        storage: TokenStorage,
        tokens: StoredTokens,
    ) -> Result<Self, Error> {
        Ok(Self {
            client: Mutex::new(Arc::new(config.client()?)),
            config,
            storage: Arc::new(storage),
            state: Mutex::new(State {
                tokens,
                ..State::default()
            }),
        })
    }

    /// Returns the client with the issuer's current CA certificates, or with those before if the file
    /// cannot be used.
    async fn client(&self) -> Result<Arc<Client>, Error> {
        let config = self.config.clone();
        let created = blocking(|| self.subject(), move || config.client()).await?;
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        match created {
            Ok(created) => *client = Arc::new(created),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the issuer's CA certificates of before are used");
            }
        }
        Ok(Arc::clone(&client))
    }

    async fn obtain(&self) -> Result<Credential, Error> {
        if let Some(credential) = self.if_valid(&self.read().await?.tokens)? {
            return Ok(credential);
        }
        let _lock = self.lock().await?;
        // Another kubegate may have renewed the tokens while this one waited for the lock.
        let mut stored = self.read().await?;
        if let Some(credential) = self.if_valid(&stored.tokens)? {
            return Ok(credential);
        }
        let refresh = self.refresh_token(&stored.tokens)?;
        if self.was_refused(&refresh) {
            return Err(self.login_needed(REFUSED));
        }
        self.blocking(TokenStorage::check_editable).await?;
        let client = self.client().await?;
        let metadata = client.metadata().await?;
        if let Some(new) = self.renew(&client, &metadata, &stored, &refresh).await? {
            return self.store(new).await;
        }
        // kubectl renews without a lock, and the user may have logged in. The stored tokens are used now,
        // even if newer ones could not be stored before.
        self.state().unsaved = false;
        stored = self.read().await?;
        if let Some(credential) = self.if_valid(&stored.tokens)? {
            return Ok(credential);
        }
        let newer = self.refresh_token(&stored.tokens)?;
        if newer != refresh
            && let Some(new) = self.renew(&client, &metadata, &stored, &newer).await?
        {
            return self.store(new).await;
        }
        Err(self.login_needed(REFUSED))
    }

    /// Returns new tokens, or `None` if the issuer refuses the refresh token.
    async fn renew(
        &self,
        client: &Client,
        metadata: &Metadata,
        stored: &StoredTokens,
        refresh: &Secret,
    ) -> Result<Option<OidcTokens>, Error> {
        let secret = stored.client_secret.as_ref();
        let renewal = client.renew(metadata, secret, refresh).await?;
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
        refused.is_some_and(|(token, at)| token == refresh && at.elapsed() < REFUSAL_TTL)
    }

    /// Returns the last credential, unless another process has stored another ID token.
    async fn check_stored(&self, last: &Credential) -> Result<Credential, Error> {
        let read = self.blocking(TokenStorage::read).await;
        let unsaved = self.state().unsaved;
        let other = match read {
            Ok(stored) if !unsaved => self.if_valid(&stored.tokens)?,
            _ => None,
        };
        Ok(other.unwrap_or_else(|| last.clone()))
    }

    /// Reads the stored tokens. Returns those known before if that fails.
    async fn read(&self) -> Result<StoredTokens, Error> {
        if self.state().unsaved {
            return Ok(self.state().tokens.clone());
        }
        match self.blocking(TokenStorage::read).await {
            Ok(stored) => {
                let mut state = self.state();
                state.tokens = stored;
                state.unreadable = false;
            }
            // The tokens known before are not for this cluster either.
            Err(error) if is_bound_elsewhere(&error) => return Err(error),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                if !std::mem::replace(&mut self.state().unreadable, true) {
                    tracing::warn!(error, "the tokens that were read before are used");
                }
            }
        }
        Ok(self.state().tokens.clone())
    }

    /// Returns the credential if the ID token is valid and was not returned before.
    fn if_valid(&self, tokens: &OidcTokens) -> Result<Option<Credential>, Error> {
        let Some(token) = &tokens.id_token else {
            return Ok(None);
        };
        let claims = jwt::claims(token.expose());
        let holds = claims.is_some_and(|claims| {
            let refreshable = tokens.refresh_token.is_some();
            claims.is_valid(SystemTime::now(), refreshable)
        });
        if !holds || self.state().returned.as_ref() == Some(token) {
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
        self.state().returned = Some(token.clone());
        Ok(credential)
    }

    fn refresh_token(&self, tokens: &OidcTokens) -> Result<Secret, Error> {
        tokens
            .refresh_token
            .clone()
            .ok_or_else(|| self.login_needed("there is no valid ID token and no refresh token"))
    }

    async fn lock(&self) -> Result<Option<RenewalLock>, Error> {
        self.blocking(TokenStorage::lock).await
    }

    /// Stores new tokens and uses them. If they cannot be stored, they are kept in memory, since the
    /// refresh token that they were obtained with may be used up.
    async fn store(&self, mut new: OidcTokens) -> Result<Credential, Error> {
        {
            let state = self.state();
            if state.unsaved && new.refresh_token.is_none() {
                let before = &state.tokens.tokens.refresh_token;
                new.refresh_token.clone_from(before);
            }
        }
        let written = new.clone();
        let saved = self.blocking(move |storage| storage.write(&written)).await;
        if let Err(error) = &saved
            && !self.state().unsaved
        {
            let (file, error) = (self.storage.name(), error as &dyn std::error::Error);
            tracing::warn!(error, file, "renewed tokens are kept in memory only");
        }
        let token = new.id_token.clone().unwrap_or_else(|| Secret::new(""));
        {
            let mut state = self.state();
            state.unsaved = saved.is_err();
            state.tokens.tokens.id_token = new.id_token;
            if new.refresh_token.is_some() {
                state.tokens.tokens.refresh_token = new.refresh_token;
            }
        }
        self.credential(&token)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&TokenStorage) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let storage = Arc::clone(&self.storage);
        blocking(|| self.subject(), move || work(&storage)).await?
    }

    fn login_needed(&self, problem: &'static str) -> Error {
        Error::LoginNeeded {
            subject: self.subject(),
            problem: problem.into(),
            remedy: self.storage.remedy(),
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
        Box::pin(self.check_stored(last))
    }

    fn files(&self) -> Vec<PathBuf> {
        self.storage.files()
    }
}

fn is_bound_elsewhere(error: &Error) -> bool {
    matches!(error, Error::Store(error) if matches!(**error, store::Error::OtherBinding { .. }))
}
