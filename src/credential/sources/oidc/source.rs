//! The source: looks at the tokens that rest, renews and keeps them.

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

/// A user's tokens and the issuer that renews them.
pub(in crate::credential) struct Oidc {
    known: IssuerConfig,
    client: Mutex<Arc<Client>>,
    rest: Arc<TokenStorage>,
    state: Mutex<State>,
}

/// Why a human is needed.
const REFUSED: &str = "the refresh token was refused by the issuer";

/// For so long a refresh token that the issuer refused is not sent again: it is dead, unless the
/// issuer has lost its memory for a while.
const REFUSAL: Duration = Duration::from_secs(600);

#[derive(Default)]
struct State {
    /// What rested there last, or what should but could not be made to.
    held: StoredTokens,
    /// Whether `held` is newer than what rests there.
    unsaved: bool,
    /// Whether what rests there could not be read last time.
    unreadable: bool,
    /// The refresh token that was refused last, and when.
    refused: Option<(Secret, Instant)>,
    /// The ID token handed out last. To be asked again means that it will not do any more.
    used: Option<Secret>,
}

impl Oidc {
    pub(in crate::credential) fn new(config: OidcConfig) -> Result<Self, Error> {
        let known = IssuerConfig::of_config(&config);
        let rest = TokenStorage::Kubeconfig {
            file: config.file,
            user: config.user,
            client_secret: config.client_secret.clone(),
        };
        let held = StoredTokens {
            tokens: config.tokens,
            client_secret: config.client_secret,
        };
        Self::resting(known, rest, held)
    }

    /// For a login of our own. That it rests in the state folder is not looked for before a
    /// credential is needed.
    pub(in crate::credential) fn of_login(
        flags: &OidcFlags,
        cluster: &Cluster,
    ) -> Result<Self, Error> {
        let store = Store::of_user(&|name| std::env::var_os(name));
        let store = store.map_err(Error::store)?;
        let binding = LoginBinding::of_cluster(cluster).with_issuer(&flags.oidc_issuer_url);
        let rest = TokenStorage::Saved {
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
        Self::resting(
            IssuerConfig::of_flags(flags)?,
            rest,
            StoredTokens::default(),
        )
    }

    fn resting(known: IssuerConfig, rest: TokenStorage, held: StoredTokens) -> Result<Self, Error> {
        Ok(Self {
            client: Mutex::new(Arc::new(known.client()?)),
            known,
            rest: Arc::new(rest),
            state: Mutex::new(State {
                held,
                ..State::default()
            }),
        })
    }

    /// The client, by the issuer's authority as its file holds it now; where that cannot be
    /// used, as it held it before.
    async fn client(&self) -> Result<Arc<Client>, Error> {
        let known = self.known.clone();
        let made = blocking(|| self.subject(), move || known.client()).await?;
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
        if let Some(credential) = self.ready(&self.look().await?.tokens)? {
            return Ok(credential);
        }
        let _turn = self.turn().await?;
        // Another kubegate may have renewed while we waited.
        let mut held = self.look().await?;
        if let Some(credential) = self.ready(&held.tokens)? {
            return Ok(credential);
        }
        let refresh = self.refresh_token(&held.tokens)?;
        if self.was_refused(&refresh) {
            return Err(self.login_needed(REFUSED));
        }
        self.blocking(TokenStorage::check).await?;
        let client = self.client().await?;
        let metadata = client.metadata().await?;
        if let Some(new) = self.renew(&client, &metadata, &held, &refresh).await? {
            return self.keep(new).await;
        }
        // kubectl renews without a lock, and a human may have logged in: what rests there now
        // counts, even where ours could not be saved.
        self.state().unsaved = false;
        held = self.look().await?;
        if let Some(credential) = self.ready(&held.tokens)? {
            return Ok(credential);
        }
        let newer = self.refresh_token(&held.tokens)?;
        if newer != refresh
            && let Some(new) = self.renew(&client, &metadata, &held, &newer).await?
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
        held: &StoredTokens,
        refresh: &Secret,
    ) -> Result<Option<OidcTokens>, Error> {
        let secret = held.client_secret.as_ref();
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
        refused.is_some_and(|(token, at)| token == refresh && at.elapsed() < REFUSAL)
    }

    /// The last credential, unless somebody else left another ID token there.
    async fn stands(&self, last: &Credential) -> Result<Credential, Error> {
        let read = self.blocking(TokenStorage::read).await;
        let unsaved = self.state().unsaved;
        let other = match read {
            Ok(held) if !unsaved => self.ready(&held.tokens)?,
            _ => None,
        };
        Ok(other.unwrap_or_else(|| last.clone()))
    }

    /// What rests there now; where that cannot be read, what was known before.
    async fn look(&self) -> Result<StoredTokens, Error> {
        if self.state().unsaved {
            return Ok(self.state().held.clone());
        }
        match self.blocking(TokenStorage::read).await {
            Ok(held) => {
                let mut state = self.state();
                state.held = held;
                state.unreadable = false;
            }
            // What was known before is not for this place either.
            Err(error) if is_elsewhere(&error) => return Err(error),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                if !std::mem::replace(&mut self.state().unreadable, true) {
                    tracing::warn!(error, "the tokens known before are used");
                }
            }
        }
        Ok(self.state().held.clone())
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
            self.login_needed("there is no ID token that holds, and no refresh token")
        })
    }

    async fn turn(&self) -> Result<Option<RenewalLock>, Error> {
        self.blocking(TokenStorage::turn).await
    }

    /// Keeps new tokens where they rest, then uses them. That they cannot be kept there is no
    /// reason to throw away what cannot be had again.
    async fn keep(&self, mut new: OidcTokens) -> Result<Credential, Error> {
        {
            let state = self.state();
            if state.unsaved && new.refresh_token.is_none() {
                let known = &state.held.tokens.refresh_token;
                new.refresh_token.clone_from(known);
            }
        }
        let written = new.clone();
        let saved = self.blocking(move |rest| rest.write(&written)).await;
        if let Err(error) = &saved
            && !self.state().unsaved
        {
            let (binding, error) = (self.rest.name(), error as &dyn std::error::Error);
            tracing::warn!(
                error,
                file = binding,
                "renewed tokens are kept in memory only"
            );
        }
        let token = new.id_token.clone().unwrap_or_else(|| Secret::new(""));
        {
            let mut state = self.state();
            state.unsaved = saved.is_err();
            state.held.tokens.id_token = new.id_token;
            if new.refresh_token.is_some() {
                state.held.tokens.refresh_token = new.refresh_token;
            }
        }
        self.credential(&token)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&TokenStorage) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let rest = Arc::clone(&self.rest);
        blocking(|| self.subject(), move || work(&rest)).await?
    }

    fn login_needed(&self, problem: &'static str) -> Error {
        Error::LoginNeeded {
            subject: self.subject(),
            problem: problem.into(),
            remedy: self.rest.remedy(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Oidc {
    fn subject(&self) -> String {
        format!("OIDC issuer {}", self.known.issuer)
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.obtain())
    }

    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        Box::pin(self.stands(last))
    }

    fn files(&self) -> Vec<PathBuf> {
        self.rest.files()
    }
}

fn is_elsewhere(error: &Error) -> bool {
    matches!(error, Error::Store(error) if matches!(**error, store::Error::OtherBinding { .. }))
}
