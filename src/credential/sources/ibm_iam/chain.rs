//! [`Chain`]: the source of a cluster's token, obtained step by step from a root credential.
//!
//! Each step uses the result of the one before: the root credential, a session of client `bx`, a
//! delegated refresh token, and the cluster's token with a refresh token of client `kube`.
//!
//! A renewal starts at the last step that is still valid. A session from a passcode or password
//! cannot be started again without the user. It is kept alive: refreshed in the last fifth of its
//! access token's lifetime, and saved before it is used, since its refresh token may work only once.

mod saved;
mod steps;

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use tokio::sync::Mutex;

use super::{
    Endpoints, RootCredential,
    error::ibm_error,
    iam::{Failure, Holder, Iam, Tokens},
    refusal::Refusal,
    root_credential::RootSecret,
};
use crate::{
    credential::{
        Credential, Error, Fetch, Need, Source,
        blocking::blocking,
        protocol::{authorization, issuer::Issuer, jwt},
        renewals,
    },
    secret::Secret,
};

/// See the module.
pub struct Chain {
    iam: Iam,
    /// Names IAM in errors.
    subject: String,
    root: RootCredential,
    /// The account that an API key must belong to.
    account: Option<String>,
    /// The command that logs in again.
    login: String,
    state: Mutex<ChainState>,
}

/// The results of the steps that may still be valid.
#[derive(Default)]
struct ChainState {
    session: Option<Session>,
    /// The refresh token that came with the cluster's token.
    cluster_refresh: Option<Secret>,
    /// The cluster's token that was returned last. A further fetch means that it is no longer
    /// accepted.
    returned: Option<Secret>,
    /// The refresh token in the store, if it was used and its successor could not be saved.
    outdated: Option<Secret>,
}

struct Session {
    refresh: Secret,
    renew_at: SystemTime,
}

/// An access token for IBM Cloud's services, and its holder.
pub(super) struct Access {
    pub(super) token: Secret,
    pub(super) holder: Holder,
    /// The refresh token of a session that was started for this alone. That of a saved login may work
    /// only once, and is given to nobody.
    pub(super) refresh: Option<Secret>,
}

impl Chain {
    /// Creates a chain from `root`. `account` is the ID of the account that an API key must belong
    /// to; `login` is the command that logs in again.
    ///
    /// # Errors
    /// An endpoint is not a URL.
    pub fn new(
        issuer: Arc<Issuer>,
        endpoints: &Endpoints,
        root: RootCredential,
        account: Option<String>,
        login: String,
    ) -> Result<Self, Error> {
        Ok(Self {
            iam: Iam::new(issuer, endpoints)?,
            subject: format!("IBM Cloud IAM {}", endpoints.iam()),
            root,
            account,
            login,
            state: Mutex::default(),
        })
    }

    /// Returns the root credential, and the command that logs in again.
    pub(super) fn into_root(self) -> (RootCredential, String) {
        (self.root, self.login)
    }

    /// Checks by files and variables alone whether there is a root credential.
    ///
    /// # Errors
    /// It is missing or cannot be read.
    pub fn check_root(&self) -> Result<(), Error> {
        self.present(self.root.read()?).map(drop)
    }

    /// Starts a session, and returns its access token.
    pub(super) async fn access(&self) -> Result<Access, Error> {
        let mut state = self.state.lock().await;
        let _lock = self.lock_login().await?;
        let _renewal = renewals::begin();
        let secret = self.root_secret().await?;
        let is_saved = matches!(secret, RootSecret::Session(_));
        let tokens = match secret {
            RootSecret::Session(saved) => self.refresh_session(&mut state, &saved).await?,
            secret => self.start_session(&mut state, &secret).await?,
        };
        Ok(Access {
            holder: tokens.holder(),
            refresh: tokens.refresh.filter(|_| !is_saved),
            token: tokens.access,
        })
    }

    async fn obtain(&self) -> Result<Credential, Error> {
        let mut state = self.state.lock().await;
        if let Some(token) = self.saved_token(&state).await? {
            return self.credential(&mut state, &token);
        }
        let is_session_due =
            (state.session.as_ref()).is_some_and(|s| s.renew_at <= SystemTime::now());
        if !(is_session_due && self.is_kept_alive().await?)
            && let Some(tokens) = self.refresh_cluster_token(&mut state).await?
        {
            // Another kubegate may be replacing the refresh token in the saved login.
            return match self.lock_login().await {
                Ok(_lock) => self.accept_and_save(&mut state, tokens).await,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the renewed token is kept in memory only");
                    self.accept(&mut state, tokens)
                }
            };
        }
        let _lock = self.lock_login().await?;
        // Another kubegate may have renewed the token while this one waited for the lock.
        if let Some(token) = self.saved_token(&state).await? {
            return self.credential(&mut state, &token);
        }
        let _renewal = renewals::begin();
        let tokens = match self.cluster_token_of_session(&mut state).await {
            Err(error @ Error::LoginNeeded { .. }) => {
                match self.refresh_cluster_token(&mut state).await? {
                    Some(tokens) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "the cluster's own session is valid for a while");
                        tokens
                    }
                    None => return Err(error),
                }
            }
            other => other?,
        };
        self.accept_and_save(&mut state, tokens).await
    }

    /// Obtains a new token even if the saved one is valid.
    async fn obtain_new(&self) -> Result<Credential, Error> {
        {
            let mut state = self.state.lock().await;
            if let Some(token) = self.saved_token(&state).await? {
                // As if it were no longer accepted.
                state.returned = Some(token);
            }
        }
        self.obtain().await
    }

    /// Uses new tokens for the cluster.
    fn accept(&self, state: &mut ChainState, tokens: Tokens) -> Result<Credential, Error> {
        state.cluster_refresh = tokens.refresh;
        self.credential(state, &tokens.id.unwrap_or(tokens.access))
    }

    /// Uses new tokens for the cluster and saves them. The caller holds the lock of the login.
    async fn accept_and_save(
        &self,
        state: &mut ChainState,
        tokens: Tokens,
    ) -> Result<Credential, Error> {
        let token = tokens.id.as_ref().unwrap_or(&tokens.access).clone();
        let credential = self.accept(state, tokens)?;
        let expires_at = credential.expires_at;
        self.save(move |saved| {
            saved.token = Some(token);
            saved.expires_at = expires_at;
        })
        .await;
        Ok(credential)
    }

    fn credential(&self, state: &mut ChainState, token: &Secret) -> Result<Credential, Error> {
        let claims = jwt::claims(token.expose()).ok_or_else(|| {
            ibm_error(format!(
                "{} gave a token for the cluster that is not a JWT with an expiry; check the IAM \
                 endpoint (IBMCLOUD_IAM_API_ENDPOINT)",
                self.subject
            ))
        })?;
        let named = || format!("the token of {}", self.subject);
        let authorization = authorization::bearer_of(token.expose(), named)?;
        state.returned = Some(token.clone());
        Ok(Credential {
            authorization: Some(authorization),
            expires_at: Some(claims.expires_at),
            ..Credential::default()
        })
    }

    async fn is_kept_alive(&self) -> Result<bool, Error> {
        Ok(matches!(self.root_secret().await?, RootSecret::Session(_)))
    }

    async fn root_secret(&self) -> Result<RootSecret, Error> {
        let root = self.root.clone();
        let secret = self.blocking(move || root.read()).await??;
        self.present(secret)
    }

    fn present(&self, secret: Option<RootSecret>) -> Result<RootSecret, Error> {
        secret.ok_or_else(|| Error::LoginNeeded {
            subject: self.subject.clone(),
            problem: format!("{} is not there", self.root.subject()).into(),
            remedy: format!("run `{}`", self.login),
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        blocking(|| self.subject(), work).await
    }

    fn error(&self, failure: Failure) -> Error {
        match failure {
            Failure::Refused(refusal) => self.refused(&refusal),
            Failure::Other(error) => error,
        }
    }

    fn refused(&self, refusal: &Refusal) -> Error {
        // The general remedies are for users, not for pods and servers.
        let remedy = match self.root {
            RootCredential::Pod { .. } | RootCredential::Vpc(_) => None,
            _ => refusal.remedy().map(str::to_owned),
        };
        Error::LoginNeeded {
            subject: self.subject.clone(),
            problem: refusal.problem(&self.root.subject()).into(),
            remedy: remedy.unwrap_or_else(|| self.root.remedy(&self.login)),
        }
    }
}

impl Source for Chain {
    fn subject(&self) -> String {
        self.subject.clone()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.obtain())
    }

    fn fetch_once(&self, need: Need) -> Fetch<'_> {
        match need {
            Need::Current | Need::WithExpiry => Box::pin(self.obtain()),
            Need::Renewed => Box::pin(self.obtain_new()),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.root.files()
    }
}
