//! [`Oidc`]: the source that reads the stored tokens, renews them and stores them.

mod renewal;
mod stored;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use super::{
    Client,
    issuer_config::IssuerConfig,
    token_storage::{Lifetime, RefusedToken, StoredTokens, TokenStorage},
};
use crate::{
    credential::{
        CommandContext, Credential, Error, Fetch, Need, Source,
        blocking::blocking,
        login_command::LoginCommand,
        protocol::{authorization, jwt},
        renewals,
        store::{LoginBinding, Store},
    },
    kubeconfig::{Cluster, OidcConfig, OidcTokens, edit::RenewalLock},
    secret::Secret,
    settings::OidcFlags,
    shell,
};

/// See the module.
pub(in crate::credential) struct Oidc {
    config: IssuerConfig,
    client: Mutex<Arc<Client>>,
    storage: Arc<TokenStorage>,
    /// The scopes to request besides `openid`, if the configuration of the login has them.
    extra_scopes: Option<Vec<String>>,
    state: Mutex<State>,
}

/// Why the user must log in.
const REFUSED: &str = "the refresh token was refused by the issuer";

/// The kind of login, as `kubegate login` names it.
const KIND: &str = "oidc";

/// The scope without which some issuers give no ID token.
const OPENID: &str = "openid";

#[derive(Default)]
struct State {
    /// The tokens that were read last, or newer ones that could not be stored.
    tokens: StoredTokens,
    /// The stored tokens that `tokens` are to replace, as far as that failed.
    replaces: Option<OidcTokens>,
    /// Whether the last read failed.
    unreadable: bool,
    /// The refresh token that was refused last.
    refused: Option<RefusedToken>,
    /// The ID token that was returned last. A further fetch means that it is no longer accepted.
    returned: Option<Secret>,
}

/// The result of redeeming a refresh token.
enum Outcome {
    Renewed(OidcTokens),
    /// With the issuer's words after a colon, or nothing.
    Refused(String),
}

impl Oidc {
    pub(in crate::credential) fn new(
        config: OidcConfig,
        context: CommandContext,
    ) -> Result<Self, Error> {
        let issuer = IssuerConfig::of_config(&config);
        // kubectl sends no scopes, which suits most issuers of such tokens.
        let extra_scopes = config.extra_scopes;
        let scope =
            (!extra_scopes.is_empty()).then(|| format!("{OPENID} {}", extra_scopes.join(" ")));
        let storage = TokenStorage::Kubeconfig {
            file: config.file,
            user: config.user,
            client_secret: config.client_secret.clone(),
            scope: scope.clone(),
            command: LoginCommand {
                kind: KIND,
                context,
                otherwise: None,
            },
            refusals: Store::of_user(&|name| std::env::var_os(name)).ok(),
        };
        let tokens = StoredTokens {
            tokens: config.tokens,
            client_secret: config.client_secret,
            scope,
            ..StoredTokens::default()
        };
        Self::with_storage(issuer, storage, tokens, None)
    }

    /// Creates the source for a kubegate login, which is not read before a credential is needed.
    pub(in crate::credential) fn of_login(
        flags: &OidcFlags,
        cluster: &Cluster,
        context: CommandContext,
    ) -> Result<Self, Error> {
        let store = Store::of_user(&|name| std::env::var_os(name));
        let store = store.map_err(Error::store)?;
        let binding = LoginBinding::of_cluster(cluster)
            .with_issuer(&flags.oidc_issuer_url)
            .with_client(&flags.oidc_client_id);
        let storage = TokenStorage::Saved {
            store: store.bound_to(binding),
            login: flags.login.clone(),
            secret_file: flags.oidc_client_secret_file.clone(),
            command: LoginCommand {
                kind: KIND,
                context,
                otherwise: Some(login_command(flags)),
            },
        };
        let issuer = IssuerConfig::of_flags(flags)?;
        let scopes = Some(flags.oidc_extra_scope.clone());
        Self::with_storage(issuer, storage, StoredTokens::default(), scopes)
    }

    fn with_storage(
        config: IssuerConfig,
        storage: TokenStorage,
        tokens: StoredTokens,
        extra_scopes: Option<Vec<String>>,
    ) -> Result<Self, Error> {
        Ok(Self {
            client: Mutex::new(Arc::new(config.client()?)),
            config,
            extra_scopes,
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

    async fn obtain(&self, lifetime: Lifetime) -> Result<Credential, Error> {
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
        if let Some(words) = self.refusal_of(&refresh, &stored) {
            return Err(self.refused(&words));
        }
        self.blocking(move |storage| storage.check_editable(lifetime))
            .await?;
        let client = self.client().await?;
        let metadata = client.metadata().await?;
        let issuer = (&*client, &metadata);
        let _renewal = renewals::begin();
        let words = match self.renew(issuer, &stored, &refresh).await? {
            Outcome::Renewed(new) => return self.store(new).await,
            Outcome::Refused(words) => words,
        };
        // kubectl renews without a lock, and the user may have logged in. The stored tokens are used now,
        // even if newer ones could not be stored before.
        self.state().replaces = None;
        stored = self.read().await?;
        if let Some(credential) = self.if_valid(&stored.tokens)? {
            return Ok(credential);
        }
        let newer = self.refresh_token(&stored.tokens)?;
        if newer != refresh
            && self.refusal_of(&newer, &stored).is_none()
            && let Outcome::Renewed(new) = self.renew(issuer, &stored, &newer).await?
        {
            return self.store(new).await;
        }
        Err(self.refused(&words))
    }

    /// Renews the stored tokens, even if they are valid.
    async fn obtain_new(&self) -> Result<Credential, Error> {
        let stored = self.read().await?;
        if stored.tokens.refresh_token.is_none() {
            return Err(self.login_needed("there is no refresh token to renew the ID token with"));
        }
        // As if it were no longer accepted. A newer one of another process is used.
        self.state().returned = stored.tokens.id_token;
        self.obtain(Lifetime::Command).await
    }

    /// Returns the last credential, unless another process has stored another ID token.
    async fn check_stored(&self, last: &Credential) -> Result<Credential, Error> {
        let other = match self.blocking(TokenStorage::read).await {
            Ok(stored) => self.if_valid(&self.newest(stored).tokens)?,
            Err(_) => None,
        };
        Ok(other.unwrap_or_else(|| last.clone()))
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

    /// Stores new tokens and uses them.
    async fn store(&self, new: OidcTokens) -> Result<Credential, Error> {
        let token = new.id_token.clone().unwrap_or_else(|| Secret::new(""));
        self.save(new).await;
        self.credential(&token)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&TokenStorage) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let storage = Arc::clone(&self.storage);
        blocking(|| self.subject(), move || work(&storage)).await?
    }

    fn refused(&self, words: &str) -> Error {
        if words.is_empty() || words.starts_with(':') {
            return self.login_needed(&format!("{REFUSED}{words}"));
        }
        self.no_id_token(words)
    }

    fn no_id_token(&self, problem: &str) -> Error {
        Error::LoginNeeded {
            subject: self.subject(),
            problem: format!("{problem} when the login is renewed").into(),
            remedy: format!(
                "{}; if that does not help, have the issuer return ID tokens for refresh tokens",
                self.storage.remedy()
            ),
        }
    }

    fn login_needed(&self, problem: &str) -> Error {
        Error::LoginNeeded {
            subject: self.subject(),
            problem: problem.to_owned().into(),
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
        Box::pin(self.obtain(Lifetime::Server))
    }

    fn fetch_once(&self, need: Need) -> Fetch<'_> {
        match need {
            Need::Current | Need::WithExpiry => Box::pin(self.obtain(Lifetime::Command)),
            Need::Renewed => Box::pin(self.obtain_new()),
        }
    }

    fn recheck<'a>(&'a self, last: &'a Credential) -> Fetch<'a> {
        Box::pin(self.check_stored(last))
    }

    fn files(&self) -> Vec<PathBuf> {
        self.storage.files()
    }
}

/// Returns the command that logs in again with every flag of an entry, whose context is not known.
fn login_command(flags: &OidcFlags) -> String {
    let args = flags.to_args();
    // The command has flags of these names for the API server.
    let of_issuer = |arg: &String| match arg.strip_prefix("--certificate-authority") {
        Some(rest) => format!("--oidc-certificate-authority{rest}"),
        None => arg.clone(),
    };
    let args: Vec<String> = args.iter().skip(2).map(of_issuer).collect();
    let words = ["kubegate", "login", KIND].into_iter();
    shell::line(words.chain(args.iter().map(String::as_str)))
}
