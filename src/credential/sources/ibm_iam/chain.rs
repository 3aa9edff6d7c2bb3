//! The chain from a root credential to what a cluster takes, each link made from the one before:
//! root, session (`bx`), delegated token, the cluster's token and its refresh token (`kube`).
//!
//! A renewal begins at the deepest link that still lives. A session that cannot be begun again
//! by itself, for it came from a passcode or password, is kept alive: refreshed in the last
//! fifth of its access token's life, and saved before it is used, as its token may work once.

mod saved;

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use tokio::sync::Mutex;

use super::error::ibm_error;
use super::{
    Endpoints, RootCredential,
    iam::{Client, Failure, Grant, Holder, Iam, Tokens},
    refusal::Refusal,
    root_credential::RootSecret,
};
use crate::{
    credential::{
        Credential, Error, Fetch, Source,
        blocking::blocking,
        protocol::{authorization, issuer::Issuer, jwt},
    },
    printable::printable,
    secret::Secret,
};

/// A way to a cluster's token.
pub struct Chain {
    iam: Iam,
    /// Names IAM in errors.
    subject: String,
    root: RootCredential,
    /// The account that an API key must belong to.
    account: Option<String>,
    /// The command that logs in again.
    login: String,
    links: Mutex<ChainState>,
}

/// What lives of the chain below its root.
#[derive(Default)]
struct ChainState {
    session: Option<Session>,
    /// The refresh token that came with the cluster's token.
    kube: Option<Secret>,
    /// The token handed out last. To be asked again means that it will not do any more.
    used: Option<Secret>,
    /// The refresh token in the store, where the one after it could not be saved.
    spent: Option<Secret>,
}

struct Session {
    refresh: Secret,
    renew_at: SystemTime,
}

/// An access token for IBM Cloud's own services, and whose it is.
pub(super) struct Access {
    pub(super) token: Secret,
    pub(super) holder: Holder,
}

impl Chain {
    /// A chain from `root`, not begun yet. `account` is the id of the account that an API key
    /// must belong to; `login` is the command that logs in again.
    ///
    /// # Errors
    /// An endpoint that is no URL.
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
            links: Mutex::default(),
        })
    }

    /// Its root, and the command that logs in again.
    pub(super) fn into_root(self) -> (RootCredential, String) {
        (self.root, self.login)
    }

    /// Begins the session, for IBM Cloud's own services.
    pub(super) async fn access(&self) -> Result<Access, Error> {
        let mut links = self.links.lock().await;
        let _turn = self.turn().await?;
        let tokens = match self.held().await? {
            RootSecret::Session(saved) => self.refresh(&mut links, &saved).await?,
            held => self.begin(&mut links, &held).await?,
        };
        Ok(Access {
            holder: tokens.holder(),
            token: tokens.access,
        })
    }

    async fn obtain(&self) -> Result<Credential, Error> {
        let mut links = self.links.lock().await;
        if let Some(token) = self.saved_token(&links).await? {
            return self.credential(&mut links, &token);
        }
        let session_ends =
            (links.session.as_ref()).is_some_and(|s| s.renew_at <= SystemTime::now());
        if !(session_ends && self.is_kept_alive().await?)
            && let Some(tokens) = self.by_kube(&mut links).await?
        {
            // Another kubegate may be about to replace the refresh token beside what is saved.
            return match self.turn().await {
                Ok(_turn) => self.keep(&mut links, tokens).await,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the renewed token is kept in memory only");
                    self.take(&mut links, tokens)
                }
            };
        }
        let _turn = self.turn().await?;
        // Another kubegate may have renewed while we waited.
        if let Some(token) = self.saved_token(&links).await? {
            return self.credential(&mut links, &token);
        }
        let tokens = match self.by_session(&mut links).await {
            Err(error @ Error::LoginNeeded { .. }) => match self.by_kube(&mut links).await? {
                Some(tokens) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the cluster's own session lives on for a while");
                    tokens
                }
                None => return Err(error),
            },
            other => other?,
        };
        self.keep(&mut links, tokens).await
    }

    /// Renews the cluster's token by what came with it; `None` where that lives no more.
    async fn by_kube(&self, links: &mut ChainState) -> Result<Option<Tokens>, Error> {
        let Some(token) = links.kube.take() else {
            return Ok(None);
        };
        let grant = Grant::Refresh {
            token: &token,
            account: None,
        };
        match self.iam.grant(Client::Kube, &grant).await {
            Ok(tokens) => Ok(tokens.id.is_some().then_some(tokens)),
            Err(Failure::Refused(_)) => Ok(None),
            Err(Failure::Other(error)) => {
                links.kube = Some(token);
                Err(error)
            }
        }
    }

    /// Has the cluster's token made by the session, which is begun, or kept alive, where needed.
    async fn by_session(&self, links: &mut ChainState) -> Result<Tokens, Error> {
        let held = self.held().await?;
        if let RootSecret::Session(saved) = &held {
            let current = current(links, saved);
            let session = links.session.as_ref();
            if !session.is_some_and(|s| s.refresh == current && SystemTime::now() < s.renew_at) {
                self.refresh(links, saved).await?;
            }
        }
        if let Some(session) = &links.session {
            match self.delegated(&session.refresh).await {
                Ok(tokens) => return Ok(tokens),
                Err(Failure::Refused(refusal)) => {
                    links.session = None;
                    if matches!(held, RootSecret::Session(_)) {
                        return Err(self.refused(&refusal));
                    }
                }
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        let begun = self.begin(links, &held).await?;
        let made = match &begun.refresh {
            Some(refresh) => self.delegated(refresh).await,
            // Nothing to delegate: `kube` shows the root itself.
            None => self.open(&held, Client::Kube).await,
        };
        made.map_err(|failure| self.error(failure))
    }

    /// Begins the session at the root.
    async fn begin(&self, links: &mut ChainState, held: &RootSecret) -> Result<Tokens, Error> {
        let opened = self.open(held, Client::Bx).await;
        let tokens = opened.map_err(|failure| self.error(failure))?;
        let holds = tokens.holder().account.bss;
        if let (Some(asked), Some(holds)) = (&self.account, holds)
            && *asked != holds
        {
            return Err(Error::LoginNeeded {
                subject: self.subject.clone(),
                problem: format!(
                    "{} belongs to account {}, and API keys cannot switch to account {asked}",
                    self.root.subject(),
                    printable(&holds)
                )
                .into(),
                remedy: format!("use an API key of account {asked}, or ask for no account"),
            });
        }
        links.session = tokens.refresh.clone().map(|refresh| Session {
            refresh,
            renew_at: tokens.renew_at,
        });
        Ok(tokens)
    }

    async fn open(&self, held: &RootSecret, client: Client) -> Result<Tokens, Failure> {
        let grant = match held {
            RootSecret::ApiKey(key) => Grant::ApiKey(key),
            RootSecret::Pod {
                token,
                profile: (field, profile),
            } => Grant::ComputeResource {
                token,
                profile: (field, profile),
            },
            RootSecret::Session(token) => Grant::Refresh {
                token,
                account: None,
            },
        };
        self.iam.grant(client, &grant).await
    }

    /// Has a saved session's refresh token replaced, and saves what replaces it.
    async fn refresh(&self, links: &mut ChainState, saved: &Secret) -> Result<Tokens, Error> {
        let token = current(links, saved);
        let grant = Grant::Refresh {
            token: &token,
            account: None,
        };
        let granted = self.iam.grant(Client::Bx, &grant).await;
        let tokens = granted.map_err(|failure| self.error(failure))?;
        let refresh = tokens.refresh.clone().unwrap_or(token);
        let written = refresh.clone();
        let is_saved = self
            .save(move |saved| saved.refresh_token = Some(written))
            .await;
        links.spent = (!is_saved).then(|| saved.clone());
        links.session = Some(Session {
            refresh,
            renew_at: tokens.renew_at,
        });
        Ok(tokens)
    }

    /// Delegates a session to `kube`.
    async fn delegated(&self, refresh: &Secret) -> Result<Tokens, Failure> {
        let delegated = self.iam.delegate(refresh).await?;
        let tokens = self
            .iam
            .grant(Client::Kube, &Grant::Delegated(&delegated))
            .await?;
        if tokens.id.is_none() {
            let problem = "gave no id_token for the cluster";
            return Err(ibm_error(format!("{} {problem}", self.subject)).into());
        }
        Ok(tokens)
    }

    /// Takes up new tokens for the cluster.
    fn take(&self, links: &mut ChainState, tokens: Tokens) -> Result<Credential, Error> {
        links.kube = tokens.refresh;
        self.credential(links, &tokens.id.unwrap_or(tokens.access))
    }

    /// The same, and saves the token. It is this process's turn.
    async fn keep(&self, links: &mut ChainState, tokens: Tokens) -> Result<Credential, Error> {
        let token = tokens.id.as_ref().unwrap_or(&tokens.access).clone();
        let credential = self.take(links, tokens)?;
        let expires_at = credential.expires_at;
        self.save(move |saved| {
            saved.token = Some(token);
            saved.expires_at = expires_at;
        })
        .await;
        Ok(credential)
    }

    fn credential(&self, links: &mut ChainState, token: &Secret) -> Result<Credential, Error> {
        let claims = jwt::claims(token.expose()).ok_or_else(|| {
            ibm_error(format!(
                "{} gave a token for the cluster that is no JWT with an expiry; check the IAM \
                 endpoint (IBMCLOUD_IAM_API_ENDPOINT)",
                self.subject
            ))
        })?;
        let named = || format!("the token of {}", self.subject);
        let authorization = authorization::bearer_of(token.expose(), named)?;
        links.used = Some(token.clone());
        Ok(Credential {
            authorization: Some(authorization),
            expires_at: Some(claims.expires_at),
            ..Credential::default()
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        blocking(|| self.subject(), work).await
    }

    async fn is_kept_alive(&self) -> Result<bool, Error> {
        Ok(matches!(self.held().await?, RootSecret::Session(_)))
    }

    async fn held(&self) -> Result<RootSecret, Error> {
        let root = self.root.clone();
        let held = self.blocking(move || root.read()).await??;
        self.present(held)
    }

    /// Whether there is something to begin with, by files and variables alone.
    ///
    /// # Errors
    /// What is missing, or cannot be read.
    pub fn check_root(&self) -> Result<(), Error> {
        self.present(self.root.read()?).map(drop)
    }

    fn present(&self, held: Option<RootSecret>) -> Result<RootSecret, Error> {
        held.ok_or_else(|| Error::LoginNeeded {
            subject: self.subject.clone(),
            problem: format!("{} is not there", self.root.subject()).into(),
            remedy: format!("run `{}`", self.login),
        })
    }

    fn error(&self, failure: Failure) -> Error {
        match failure {
            Failure::Refused(refusal) => self.refused(&refusal),
            Failure::Other(error) => error,
        }
    }

    fn refused(&self, refusal: &Refusal) -> Error {
        // What helps a user does not help a pod.
        let remedy = match self.root {
            RootCredential::Pod { .. } => None,
            _ => refusal.remedy().map(str::to_owned),
        };
        Error::LoginNeeded {
            subject: self.subject.clone(),
            problem: refusal.problem(&self.root.subject()).into(),
            remedy: remedy.unwrap_or_else(|| self.root.remedy(&self.login)),
        }
    }
}

/// The token to refresh: what is saved, unless that was spent and what replaced it could not be
/// saved.
fn current(links: &ChainState, saved: &Secret) -> Secret {
    let session = links.session.as_ref();
    match (&links.spent, session) {
        (Some(spent), Some(session)) if spent == saved => session.refresh.clone(),
        _ => saved.clone(),
    }
}

impl Source for Chain {
    fn subject(&self) -> String {
        self.subject.clone()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.obtain())
    }

    fn files(&self) -> Vec<PathBuf> {
        self.root.files()
    }
}
