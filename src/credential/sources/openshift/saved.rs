//! A session that a human began: saved by `kubegate login openshift`, or standing in the
//! kubeconfig after an `oc login`. It serves at once; when it ends is learnt beside the first
//! requests, and what a human must run for the next one is known from the beginning.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{Access, SessionExpiry};
use crate::{
    credential::{
        Credential, Error, Fetch, RefreshPolicy, Source, blocking::blocking,
        protocol::authorization, store::Store,
    },
    secret::Secret,
    shell::quoted,
};

/// Between two questions about one session, at most and at least; a twentieth of what is left
/// of it lies between.
const SELDOM: Duration = Duration::from_secs(30);
const OFTEN: Duration = Duration::from_secs(1);
/// Two answers about one end may differ by this much: they count in seconds.
const BLUR: Duration = Duration::from_secs(5);
/// What is left, at least, of a session that its server takes.
const GRACE: Duration = Duration::from_secs(2);

/// See the module.
pub(in crate::credential) struct SavedSession(Arc<Inner>);

struct Inner {
    access: Access,
    place: Place,
    /// What a human runs for the next session.
    command: Arc<str>,
    known: Mutex<Option<Known>>,
    /// What the store said last, and of which state of its file.
    read: Mutex<Option<(Stamp, Written)>>,
}

type Stamp = Option<(SystemTime, u64)>;

/// Where the token stands.
enum Place {
    Given(Secret),
    Saved { store: Store, login: String },
}

/// A token as it stands there.
#[derive(Clone)]
struct Written {
    token: Secret,
    ends_at: Option<SystemTime>,
}

/// What is known of the token handed out last.
#[derive(Clone)]
struct Known {
    token: Secret,
    finding: Option<SessionExpiry>,
    /// When it was handed out first.
    seen_at: SystemTime,
    /// When it was asked about last.
    asked_at: Instant,
}

impl SavedSession {
    /// For a token that stands in the kubeconfig.
    pub(in crate::credential) fn given(access: Access, token: &Secret) -> Result<Self, Error> {
        authorization::bearer(token.expose())?;
        let command = format!("oc login {}", quoted(&access.server()));
        Ok(Self::new(access, Place::Given(token.clone()), &command))
    }

    /// For a login in the state folder.
    pub(in crate::credential) fn saved(access: Access, store: Store, login: &str) -> Self {
        let server = access.server();
        let command = format!("kubegate login openshift --server {}", quoted(&server));
        let login = login.to_owned();
        Self::new(access, Place::Saved { store, login }, &command)
    }

    fn new(access: Access, place: Place, command: &str) -> Self {
        Self(Arc::new(Inner {
            access,
            place,
            command: command.into(),
            known: Mutex::default(),
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
            let written = self.0.read().await?;
            let ended = written.ends_at.is_some_and(|end| end <= SystemTime::now());
            match self.0.known_of(&written.token) {
                None if !ended => self.0.first_sight(&written),
                Some(known) if known.will_do(SystemTime::now()) => {
                    self.0.credential(&written, known.finding)
                }
                _ => {
                    let finding = self.0.ask(&written).await?;
                    self.0.credential(&written, Some(finding))
                }
            }
        })
    }

    /// Looks for another token, and whether its end was learnt meanwhile.
    fn recheck<'a>(&'a self, _last: &'a Credential) -> Fetch<'a> {
        Box::pin(async {
            let written = self.0.read().await?;
            let Some(known) = self.0.known_of(&written.token) else {
                return self.0.first_sight(&written);
            };
            if known.finding.is_none() && known.asked_at.elapsed() > SELDOM {
                return self.0.first_sight(&written);
            }
            if let Some(SessionExpiry::Ended(_)) = known.finding {
                // No longer to be used; to be asked for, it says why.
                let mut credential = self.0.credential(&written, None)?;
                credential.expires_at = Some(SystemTime::UNIX_EPOCH);
                return Ok(credential);
            }
            self.0.credential(&written, known.finding)
        })
    }

    fn refresh_policy(&self) -> RefreshPolicy {
        RefreshPolicy::FILE
    }

    fn login_files(&self) -> Vec<PathBuf> {
        match &self.0.place {
            Place::Given(_) => Vec::new(),
            Place::Saved { store, login } => vec![store.path(login)],
        }
    }
}

impl Inner {
    fn subject(&self) -> String {
        format!("the OpenShift session at {}", self.access.server())
    }

    /// The token as it stands there now.
    async fn read(self: &Arc<Self>) -> Result<Written, Error> {
        let (store, login) = match &self.place {
            Place::Saved { store, login } => (store.clone(), login.clone()),
            Place::Given(token) => {
                return Ok(Written {
                    token: token.clone(),
                    ends_at: None,
                });
            }
        };
        let inner = Arc::clone(self);
        let read = move || inner.read_store(&store, &login);
        blocking(|| self.subject(), read).await?
    }

    /// Reads the store where its file was written since it was read last: that is looked at
    /// every second, and the keyring should not be.
    fn read_store(&self, store: &Store, login: &str) -> Result<Written, Error> {
        let stamp = store.version(login);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, written)) = read.as_ref().filter(|(before, _)| *before == stamp) {
            return Ok(written.clone());
        }
        let saved = store.read(login).map_err(Error::store)?;
        let saved = saved.and_then(|saved| Some((saved.token?, saved.expires_at)));
        let (token, ends_at) = saved.ok_or_else(|| self.login_needed("nobody is logged in"))?;
        let written = Written { token, ends_at };
        *read = Some((stamp, written.clone()));
        Ok(written)
    }

    fn known_of(&self, token: &Secret) -> Option<Known> {
        self.known()
            .as_ref()
            .filter(|known| known.token == *token)
            .cloned()
    }

    /// Hands the token out as it is, and learns of its end meanwhile: no request waits for that.
    fn first_sight(self: &Arc<Self>, written: &Written) -> Result<Credential, Error> {
        *self.known() = Some(Known {
            token: written.token.clone(),
            finding: None,
            seen_at: SystemTime::now(),
            asked_at: Instant::now(),
        });
        let credential = self.credential(written, None);
        let (inner, written) = (Arc::clone(self), written.clone());
        tokio::spawn(async move {
            if let Err(error) = inner.ask(&written).await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "when the session ends is not known yet");
            }
        });
        credential
    }

    async fn ask(&self, written: &Written) -> Result<SessionExpiry, Error> {
        let mut finding = self.access.expiry(&written.token).await?;
        let mut known = self.known();
        let same = known.as_ref().filter(|known| known.token == written.token);
        let before = same.and_then(|known| known.finding);
        let seen_at = same.map_or_else(SystemTime::now, |known| known.seen_at);
        finding.settle(before.and_then(SessionExpiry::end).or(written.ends_at));
        finding.is_taken(SystemTime::now());
        *known = Some(Known {
            token: written.token.clone(),
            finding: Some(finding),
            seen_at,
            asked_at: Instant::now(),
        });
        Ok(finding)
    }

    fn credential(
        &self,
        written: &Written,
        finding: Option<SessionExpiry>,
    ) -> Result<Credential, Error> {
        let (issued_at, expires_at, by_inactivity) = match finding {
            Some(SessionExpiry::Valid {
                issued_at,
                ends_at,
                by_inactivity,
            }) => (issued_at, ends_at, by_inactivity),
            Some(SessionExpiry::Ended(why)) => return Err(self.login_needed(why)),
            Some(SessionExpiry::Unknown) | None => (None, written.ends_at, false),
        };
        Ok(Credential {
            authorization: Some(authorization::bearer(written.token.expose())?),
            issued_at,
            expires_at,
            // To go on using it is enough for an end by idleness to move.
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

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Whether what was learnt last will do where a new credential is wanted.
    fn will_do(&self, now: SystemTime) -> bool {
        let asked = self.asked_at.elapsed();
        match self.finding {
            None | Some(SessionExpiry::Unknown | SessionExpiry::Valid { ends_at: None, .. }) => {
                false
            }
            Some(SessionExpiry::Ended(_)) => asked < SELDOM,
            Some(SessionExpiry::Valid {
                ends_at: Some(end), ..
            }) => {
                let left = end.duration_since(now).unwrap_or_default();
                let whole = end.duration_since(self.seen_at).unwrap_or_default();
                // Before that it is no renewal: the API server refused the token.
                let is_renewal = !left.is_zero() && left < whole / 4;
                is_renewal && asked < (left / 20).clamp(OFTEN, SELDOM)
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

    /// Keeps the end that was known before, where this one says the same.
    fn settle(&mut self, before: Option<SystemTime>) {
        let (
            Self::Valid {
                ends_at: Some(end), ..
            },
            Some(before),
        ) = (self, before)
        else {
            return;
        };
        let apart = end.duration_since(before).unwrap_or_else(|e| e.duration());
        if apart < BLUR {
            *end = before;
        }
    }

    /// Objects count in seconds: the server takes a session that has ended by its object.
    fn is_taken(&mut self, now: SystemTime) {
        if let Self::Valid {
            ends_at: Some(end), ..
        } = self
            && *end <= now
        {
            *end = now + GRACE;
        }
    }
}
