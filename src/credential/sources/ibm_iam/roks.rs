//! [`Roks`]: the source for Red Hat `OpenShift` on IBM Cloud. The OAuth server of such a cluster takes
//! an API key as the password of the user `apikey`. A session lasts a day and cannot be renewed, so
//! each one starts with the API key.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use super::{RootCredential, root_credential::RootSecret};
use crate::{
    credential::{
        Credential, Error, Fetch, Need, Source,
        blocking::blocking,
        protocol::{authorization, jwt},
        sources::openshift::{Access, Session, SessionEnd},
        store::{LoginBinding, Store},
    },
    kubeconfig::{Cluster, edit::RenewalLock},
    secret::Secret,
};

/// The user whose password is an API key.
const USER: &str = "apikey";

/// See the module.
pub(super) struct Roks {
    access: Access,
    /// The cluster's API server as it is in saved logins.
    server: Option<String>,
    root: RootCredential,
    /// The command that logs in again.
    login: String,
    /// The token that was returned last. A further fetch means that it is no longer accepted.
    returned: Mutex<Option<Secret>>,
}

impl Roks {
    pub(super) fn new(cluster: &Cluster, root: RootCredential, login: String) -> Self {
        Self {
            access: Access::new(cluster, None),
            server: LoginBinding::of_cluster(cluster)
                .server()
                .map(str::to_owned),
            root,
            login,
            returned: Mutex::default(),
        }
    }

    async fn obtain(&self) -> Result<Credential, Error> {
        if let Some(session) = self.saved().await? {
            return self.credential(session);
        }
        let turn = self.turn().await;
        // Another process may have begun a session while this one waited for its turn.
        if let Some(session) = self.saved().await? {
            return self.credential(session);
        }
        let key = self.key().await?;
        let session = self.access.challenge_login(USER, &key).await;
        let session = session.map_err(|error| self.with_root(error))?;
        if let Some(turn) = turn {
            self.save(turn, &session).await;
        }
        self.credential(session)
    }

    /// Waits until no other process begins a session for the saved login. Without the state folder, the
    /// session is kept in memory.
    async fn turn(&self) -> Option<Turn> {
        let RootCredential::Saved { store, login } = self.root.clone() else {
            return None;
        };
        let taken = self.blocking(move || {
            let lock = store.lock_for_renewal(&login)?;
            Ok(Turn { store, login, lock })
        });
        let taken = taken.await.and_then(|done| done.map_err(Error::store));
        taken.inspect_err(warn_of_unsaved).ok()
    }

    /// Starts a session even if the saved one is valid.
    async fn obtain_new(&self) -> Result<Credential, Error> {
        if let Some(session) = self.saved().await? {
            let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
            // As if it were no longer accepted.
            *returned = Some(session.token);
        }
        self.obtain().await
    }

    /// Obtains a session for a command that hands it out and then ends. It cannot see a 401 of the API
    /// server, so a saved session that was revoked is found by asking now and then.
    async fn obtain_valid(&self) -> Result<Credential, Error> {
        if let Some(session) = self.saved().await?
            && let RootCredential::Saved { store, login } = self.root.clone()
            && self.access.was_revoked(&session, store, login).await
        {
            let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
            *returned = Some(session.token);
        }
        self.obtain().await
    }

    fn credential(&self, session: Session) -> Result<Credential, Error> {
        let subject = || format!("the session token of {}", self.subject());
        let credential = Credential {
            authorization: Some(authorization::bearer_of(session.token.expose(), subject)?),
            issued_at: Some(session.issued_at),
            expires_at: session.ends.at(),
            ..Credential::default()
        };
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.token);
        Ok(credential)
    }

    /// Returns the session that an earlier run saved, unless less than a fifth of its lifetime is left.
    /// A saved login may also hold the token of an IKS cluster, which is a JWT.
    async fn saved(&self) -> Result<Option<Session>, Error> {
        let RootCredential::Saved { store, login } = self.root.clone() else {
            return Ok(None);
        };
        let read = self.blocking(move || store.read(&login)).await?;
        let Some(saved) = read.map_err(Error::store)? else {
            return Ok(None);
        };
        // The login may hold the session of another cluster.
        if saved.token_of != self.server {
            return Ok(None);
        }
        let (Some(token), Some(issued_at)) = (saved.token, saved.issued_at) else {
            return Ok(None);
        };
        let ends_at = saved.expires_at;
        let holds = ends_at.is_some_and(|end| {
            let life = end.duration_since(issued_at).unwrap_or_default();
            let left = end.duration_since(SystemTime::now()).unwrap_or_default();
            left > life / 5
        });
        let returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = returned.as_ref() != Some(&token);
        let session =
            (holds && is_new && jwt::claims(token.expose()).is_none()).then_some(Session {
                token,
                issued_at,
                ends: ends_at.map_or(SessionEnd::Never, SessionEnd::At),
            });
        Ok(session)
    }

    /// Saves a session for later runs. It is used even if that fails.
    async fn save(&self, turn: Turn, session: &Session) {
        let server = self.server.clone();
        let (token, issued_at) = (session.token.clone(), session.issued_at);
        let expires_at = session.ends.at();
        let written = self.blocking(move || {
            let Turn {
                store,
                login,
                lock: _lock,
            } = turn;
            let Some(mut saved) = store.read(&login)? else {
                return Ok(());
            };
            saved.token = Some(token);
            saved.token_of = server;
            saved.issued_at = Some(issued_at);
            saved.expires_at = expires_at;
            store.write(&login, &saved)
        });
        let written = written.await.and_then(|done| done.map_err(Error::store));
        if let Err(error) = &written {
            warn_of_unsaved(error);
        }
    }

    async fn key(&self) -> Result<Secret, Error> {
        let root = self.root.clone();
        match self.blocking(move || root.read()).await?? {
            Some(RootSecret::ApiKey(key)) => Ok(key),
            _ => Err(Error::LoginNeeded {
                subject: self.subject(),
                problem: format!("{} is no API key", self.root.subject()).into(),
                remedy: format!(
                    "run `{} --apikey-file FILE`: OpenShift clusters of IBM Cloud take API keys",
                    self.login
                ),
            }),
        }
    }

    /// Adds the root credential to the error of a refused key.
    fn with_root(&self, error: Error) -> Error {
        match error {
            Error::LoginNeeded {
                subject, problem, ..
            } => Error::LoginNeeded {
                subject,
                problem: format!("{} was refused: {problem}", self.root.subject()).into(),
                remedy: self.root.remedy(&self.login),
            },
            error => error,
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        blocking(|| self.subject(), work).await
    }
}

/// The right of this process alone to begin a session for a saved login.
struct Turn {
    store: Store,
    login: String,
    lock: RenewalLock,
}

fn warn_of_unsaved(error: &Error) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "the session is kept in memory only");
}

impl Source for Roks {
    fn subject(&self) -> String {
        format!("the OpenShift login at {}", self.access.server())
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.obtain())
    }

    fn fetch_once(&self, need: Need) -> Fetch<'_> {
        match need {
            Need::Current | Need::WithExpiry => Box::pin(self.obtain_valid()),
            Need::Renewed => Box::pin(self.obtain_new()),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.root.files()
    }
}

/// Returns the source for a cluster of either kind.
pub(super) fn source_of_kind(
    chain: super::Chain,
    is_openshift: bool,
    cluster: &Cluster,
) -> Arc<dyn Source> {
    if is_openshift {
        let (root, login) = chain.into_root();
        Arc::new(Roks::new(cluster, root, login))
    } else {
        Arc::new(chain)
    }
}
