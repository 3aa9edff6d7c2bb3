//! [`SavedSession`]: the source for a session that a user started: saved by `kubegate login openshift`, or
//! written to the kubeconfig by `oc login`. The token is used at once, and its end is asked for in the
//! background. The credential names the command for the next login.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{Access, SessionExpiry};
use crate::{
    credential::{
        Credential, Error, Fetch, Need, RefreshPolicy, Source, blocking::blocking,
        protocol::authorization, store::Store,
    },
    secret::Secret,
    shell::quoted,
};

/// The longest and the shortest time between two requests for a session's end. Between these it is a
/// twentieth of the time that is left.
const MAX_INTERVAL: Duration = Duration::from_secs(30);
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Ends that differ by less than this are equal, since they are computed from whole seconds.
const TOLERANCE: Duration = Duration::from_secs(5);
/// The least time that is left of a session that the server still accepts.
const MIN_LEFT: Duration = Duration::from_secs(2);

/// See the module.
pub(in crate::credential) struct SavedSession(Arc<Inner>);

struct Inner {
    access: Access,
    origin: TokenOrigin,
    /// The command for the next login.
    command: Arc<str>,
    /// What is known about the token that was returned last.
    last: Mutex<Option<LastToken>>,
    /// What was read from the store last, and the version of its file then.
    read: Mutex<Option<(FileVersion, StoredToken)>>,
}

type FileVersion = Option<(SystemTime, u64)>;

/// Where the token comes from.
enum TokenOrigin {
    Kubeconfig(Secret),
    Store { store: Store, login: String },
}

/// A token of the kubeconfig or the store.
#[derive(Clone)]
struct StoredToken {
    token: Secret,
    ends_at: Option<SystemTime>,
}

/// The token that was returned last.
#[derive(Clone)]
struct LastToken {
    token: Secret,
    /// `None` before the first response about it.
    expiry: Option<SessionExpiry>,
    /// When it was returned first.
    first_returned_at: SystemTime,
    /// When its end was asked for last.
    asked_at: Instant,
}

impl SavedSession {
    /// Creates the source for a token of the kubeconfig.
    pub(in crate::credential) fn of_kubeconfig(
        access: Access,
        token: &Secret,
    ) -> Result<Self, Error> {
        authorization::bearer(token.expose())?;
        let command = format!("oc login {}", quoted(&access.server()));
        Ok(Self::new(
            access,
            TokenOrigin::Kubeconfig(token.clone()),
            &command,
        ))
    }

    /// Creates the source for a login in the state folder. `command` logs in again.
    pub(in crate::credential) fn of_store(
        access: Access,
        store: Store,
        login: &str,
        command: Option<String>,
    ) -> Self {
        let server = access.server();
        let command = command
            .unwrap_or_else(|| format!("kubegate login openshift --server {}", quoted(&server)));
        let login = login.to_owned();
        Self::new(access, TokenOrigin::Store { store, login }, &command)
    }

    fn new(access: Access, origin: TokenOrigin, command: &str) -> Self {
        Self(Arc::new(Inner {
            access,
            origin,
            command: command.into(),
            last: Mutex::default(),
            read: Mutex::default(),
        }))
    }
}

impl Source for SavedSession {
    fn subject(&self) -> String {
        self.0.subject()
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(async {
            let stored = self.0.read().await?;
            let ended = stored.ends_at.is_some_and(|end| end <= SystemTime::now());
            match self.0.last_if(&stored.token) {
                None if !ended => self.0.accept_new(&stored),
                Some(last) if last.is_recent(SystemTime::now()) => {
                    self.0.credential(&stored, last.expiry)
                }
                _ => {
                    let expiry = self.0.ask_expiry(&stored).await?;
                    self.0.credential(&stored, Some(expiry))
                }
            }
        })
    }

    /// A session cannot be renewed, but a new one may have been saved.
    fn fetch_once(&self, need: Need) -> Fetch<'_> {
        Box::pin(async move {
            let stored = self.0.read().await?;
            let ended = stored.ends_at.is_some_and(|end| end <= SystemTime::now());
            if need == Need::Current && !ended {
                return self.0.credential(&stored, None);
            }
            match self.0.ask_expiry(&stored).await {
                Ok(expiry) => self.0.credential(&stored, Some(expiry)),
                Err(error) if ended => Err(error),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "cannot find out when the session ends");
                    self.0.credential(&stored, None)
                }
            }
        })
    }

    /// Reads the token again, and returns it with its end if that is known by now.
    fn recheck<'a>(&'a self, _last: &'a Credential) -> Fetch<'a> {
        Box::pin(async {
            let stored = self.0.read().await?;
            let Some(last) = self.0.last_if(&stored.token) else {
                return self.0.accept_new(&stored);
            };
            if last.expiry.is_none() && last.asked_at.elapsed() > MAX_INTERVAL {
                return self.0.accept_new(&stored);
            }
            if let Some(SessionExpiry::Ended(_)) = last.expiry {
                // Marked as expired, so that the next fetch returns the reason as its error.
                let mut credential = self.0.credential(&stored, None)?;
                credential.expires_at = Some(SystemTime::UNIX_EPOCH);
                return Ok(credential);
            }
            self.0.credential(&stored, last.expiry)
        })
    }

    fn refresh_policy(&self) -> RefreshPolicy {
        RefreshPolicy::FILE
    }

    fn login_files(&self) -> Vec<PathBuf> {
        match &self.0.origin {
            TokenOrigin::Kubeconfig(_) => Vec::new(),
            TokenOrigin::Store { store, login } => vec![store.path(login)],
        }
    }
}

impl Inner {
    fn subject(&self) -> String {
        format!("the OpenShift session at {}", self.access.server())
    }

    /// Reads the current token.
    async fn read(self: &Arc<Self>) -> Result<StoredToken, Error> {
        let (store, login) = match &self.origin {
            TokenOrigin::Store { store, login } => (store.clone(), login.clone()),
            TokenOrigin::Kubeconfig(token) => {
                return Ok(StoredToken {
                    token: token.clone(),
                    ends_at: None,
                });
            }
        };
        let inner = Arc::clone(self);
        let read = move || inner.read_store(&store, &login);
        blocking(|| self.subject(), read).await?
    }

    /// Reads the store if its file was written since it was read last. The file is checked every
    /// second, which would be too often for the keyring.
    fn read_store(&self, store: &Store, login: &str) -> Result<StoredToken, Error> {
        let version = store.version(login);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, stored)) = read.as_ref().filter(|(before, _)| *before == version) {
            return Ok(stored.clone());
        }
        let saved = store.read(login).map_err(Error::store)?;
        let saved = saved.and_then(|saved| Some((saved.token?, saved.expires_at)));
        let (token, ends_at) =
            saved.ok_or_else(|| self.login_needed("there is no saved session"))?;
        let stored = StoredToken { token, ends_at };
        *read = Some((version, stored.clone()));
        Ok(stored)
    }

    fn last_if(&self, token: &Secret) -> Option<LastToken> {
        self.last()
            .as_ref()
            .filter(|last| last.token == *token)
            .cloned()
    }

    /// Returns a token that is new, and asks for its end in the background, so that no request waits
    /// for that.
    fn accept_new(self: &Arc<Self>, stored: &StoredToken) -> Result<Credential, Error> {
        *self.last() = Some(LastToken {
            token: stored.token.clone(),
            expiry: None,
            first_returned_at: SystemTime::now(),
            asked_at: Instant::now(),
        });
        let credential = self.credential(stored, None);
        let (inner, stored) = (Arc::clone(self), stored.clone());
        tokio::spawn(async move {
            if let Err(error) = inner.ask_expiry(&stored).await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "cannot find out yet when the session ends");
            }
        });
        credential
    }

    async fn ask_expiry(&self, stored: &StoredToken) -> Result<SessionExpiry, Error> {
        let mut expiry = self.access.expiry(&stored.token).await?;
        let mut last = self.last();
        let same = last.as_ref().filter(|last| last.token == stored.token);
        let before = same.and_then(|last| last.expiry);
        let first_returned_at = same.map_or_else(SystemTime::now, |last| last.first_returned_at);
        expiry.keep_equal_end(before.and_then(SessionExpiry::end).or(stored.ends_at));
        expiry.postpone_past_end(SystemTime::now());
        *last = Some(LastToken {
            token: stored.token.clone(),
            expiry: Some(expiry),
            first_returned_at,
            asked_at: Instant::now(),
        });
        Ok(expiry)
    }

    fn credential(
        &self,
        stored: &StoredToken,
        expiry: Option<SessionExpiry>,
    ) -> Result<Credential, Error> {
        let (issued_at, expires_at, by_inactivity) = match expiry {
            Some(SessionExpiry::Valid {
                issued_at,
                ends_at,
                by_inactivity,
            }) => (issued_at, ends_at, by_inactivity),
            Some(SessionExpiry::Ended(why)) => return Err(self.login_needed(why)),
            Some(SessionExpiry::Unknown) | None => (None, stored.ends_at, false),
        };
        Ok(Credential {
            authorization: Some(authorization::bearer(stored.token.expose())?),
            issued_at,
            expires_at,
            // An end by inactivity needs no login: each use postpones it.
            renewed_by: (!by_inactivity).then(|| Arc::clone(&self.command)),
            ..Credential::default()
        })
    }

    fn login_needed(&self, problem: &'static str) -> Error {
        Error::LoginNeeded {
            subject: self.subject(),
            problem: problem.into(),
            remedy: format!("run `{}`", self.command),
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<LastToken>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LastToken {
    /// Returns whether the last response about its end is recent enough for a fetch.
    fn is_recent(&self, now: SystemTime) -> bool {
        let asked = self.asked_at.elapsed();
        match self.expiry {
            None | Some(SessionExpiry::Unknown | SessionExpiry::Valid { ends_at: None, .. }) => {
                false
            }
            Some(SessionExpiry::Ended(_)) => asked < MAX_INTERVAL,
            Some(SessionExpiry::Valid {
                ends_at: Some(end), ..
            }) => {
                let left = end.duration_since(now).unwrap_or_default();
                let whole = end
                    .duration_since(self.first_returned_at)
                    .unwrap_or_default();
                // A fetch before that is no renewal: the API server refused the token.
                let is_renewal = !left.is_zero() && left < whole / 4;
                is_renewal && asked < (left / 20).clamp(MIN_INTERVAL, MAX_INTERVAL)
            }
        }
    }
}

impl SessionExpiry {
    fn end(self) -> Option<SystemTime> {
        match self {
            Self::Valid { ends_at, .. } => ends_at,
            Self::Ended(_) | Self::Unknown => None,
        }
    }

    /// Keeps the end `before` if this one is equal within [`TOLERANCE`].
    fn keep_equal_end(&mut self, before: Option<SystemTime>) {
        let (
            Self::Valid {
                ends_at: Some(end), ..
            },
            Some(before),
        ) = (self, before)
        else {
            return;
        };
        let difference = end.duration_since(before).unwrap_or_else(|e| e.duration());
        if difference < TOLERANCE {
            *end = before;
        }
    }

    /// Moves an end in the past to the near future: objects count in seconds, so the server may still
    /// accept a session that has expired by its object.
    fn postpone_past_end(&mut self, now: SystemTime) {
        if let Self::Valid {
            ends_at: Some(end), ..
        } = self
            && *end <= now
        {
            *end = now + MIN_LEFT;
        }
    }
}
