//! Sessions that begin without a human: user name and password stand in files, read anew for
//! each session, and the next one begins before the last one ends.
//!
//! Where sessions end for lack of use, that is not counted: use keeps them, and the first
//! request after a long rest, refused, begins another.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Access, Session, SessionEnd, SessionExpiry, challenge::WRONG_PASSWORD};
use crate::{
    credential::{
        Credential, Error, Fetch, Source,
        blocking::blocking,
        protocol::authorization::bearer,
        secret_file,
        store::{SavedLogin, Store},
    },
    secret::Secret,
};

/// How long requests that were sent with the last session may take to be let in.
const AFTERMATH: Duration = Duration::from_secs(60);

/// See the module.
pub(in crate::credential) struct PasswordFileSession {
    access: Access,
    username_file: PathBuf,
    password_file: PathBuf,
    /// Where sessions rest for the next process: `kubegate credential` lives for one only.
    saved: Option<(Store, String)>,
    last: Mutex<Option<Session>>,
}

impl PasswordFileSession {
    /// `saved` is where sessions rest between processes, and under which name.
    pub(in crate::credential) fn new(
        access: Access,
        username_file: &Path,
        password_file: &Path,
        saved: Option<(Store, String)>,
    ) -> Self {
        Self {
            access,
            username_file: username_file.to_owned(),
            password_file: password_file.to_owned(),
            saved,
            last: Mutex::default(),
        }
    }

    async fn obtain(&self) -> Result<Credential, Error> {
        if let Some(session) = self.rested().await? {
            return self.keep(session);
        }
        let (user, password) = self.read().await?;
        let session = self.access.challenge_login(user.expose(), &password).await;
        let mut session = session.map_err(|error| self.with_files(error))?;
        if session.ends == SessionEnd::Unknown {
            session.ends = self.learn(&session).await;
        }
        self.save(&session).await?;
        self.keep(session)
    }

    /// The session that another process left, unless it is due.
    async fn rested(&self) -> Result<Option<Session>, Error> {
        let Some((store, login)) = self.saved.clone() else {
            return Ok(None);
        };
        let saved = self.blocking(move || store.read(&login)).await?;
        let saved = saved.map_err(Error::store)?;
        let session = saved.and_then(|saved| {
            Some(Session {
                token: saved.token?,
                issued_at: saved.issued_at?,
                ends: saved.expires_at.map_or(SessionEnd::Never, SessionEnd::At),
            })
        });
        // To be asked again for what was handed out means that it will not do any more.
        let is_last = |session: &Session| {
            let last = self.last();
            last.is_some_and(|last| last.token == session.token)
        };
        Ok(session.filter(|session| !session.is_due(SystemTime::now()) && !is_last(session)))
    }

    /// User name and password as they stand in their files now.
    async fn read(&self) -> Result<(Secret, Secret), Error> {
        let (user, password) = (self.username_file.clone(), self.password_file.clone());
        self.blocking(move || {
            Ok((
                secret_file::read("user name", &user)?,
                secret_file::read("password", &password)?,
            ))
        })
        .await?
    }

    /// A token that comes without its end is asked about; that this fails is no reason not to
    /// use it.
    async fn learn(&self, session: &Session) -> SessionEnd {
        match self.access.expiry(&session.token).await {
            Ok(SessionExpiry::Valid {
                ends_at: Some(end),
                by_inactivity: false,
                ..
            }) => SessionEnd::At(end),
            Ok(SessionExpiry::Valid { .. }) => SessionEnd::Never,
            Ok(SessionExpiry::Ended(_) | SessionExpiry::Unknown) => SessionEnd::Unknown,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "when the session ends is not known");
                SessionEnd::Unknown
            }
        }
    }

    async fn save(&self, session: &Session) -> Result<(), Error> {
        let Some((store, login)) = self.saved.clone() else {
            return Ok(());
        };
        let saved = SavedLogin {
            token: Some(session.token.clone()),
            issued_at: Some(session.issued_at),
            expires_at: session.ends.at(),
            ..SavedLogin::default()
        };
        let written = self.blocking(move || store.write(&login, &saved)).await?;
        written.map_err(Error::store)
    }

    fn keep(&self, session: Session) -> Result<Credential, Error> {
        let credential = Credential {
            authorization: Some(bearer(session.token.expose())?),
            issued_at: Some(session.issued_at),
            expires_at: session.ends.at(),
            ..Credential::default()
        };
        let mut place = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = place.replace(session);
        drop(place);
        // Other processes may use what was saved; nobody else knows of what was not.
        if let Some(replaced) = replaced.filter(|_| self.saved.is_none()) {
            tokio::spawn(end(self.access.clone(), replaced, AFTERMATH));
        }
        Ok(credential)
    }

    fn last(&self) -> Option<Session> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// What a human must correct where the password was wrong.
    fn with_files(&self, error: Error) -> Error {
        let (subject, problem) = match error {
            Error::LoginNeeded {
                subject, problem, ..
            } if problem == WRONG_PASSWORD => (subject, problem),
            error => return error,
        };
        let (user, password) = (self.username_file.display(), self.password_file.display());
        Error::LoginNeeded {
            subject,
            problem,
            remedy: format!("correct the user name in {user} or the password in {password}"),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        blocking(|| self.subject(), work).await
    }
}

impl Source for PasswordFileSession {
    fn subject(&self) -> String {
        format!("the OpenShift login at {}", self.access.server())
    }

    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.obtain())
    }

    fn files(&self) -> Vec<PathBuf> {
        let saved = self.saved.as_ref().map(|(store, login)| store.path(login));
        let own = [self.username_file.clone(), self.password_file.clone()];
        own.into_iter().chain(saved).collect()
    }
}

impl Session {
    /// Whether its last fifth has begun.
    fn is_due(&self, now: SystemTime) -> bool {
        let Some(end) = self.ends.at() else {
            return false;
        };
        let lifetime = end.duration_since(self.issued_at).unwrap_or_default();
        end.duration_since(now).unwrap_or_default() <= lifetime / 5
    }
}

/// SessionEnd a session that was replaced, once what was sent with it was let in. Running watches go
/// on: they are not asked for their credential again.
async fn end(access: Access, session: Session, after: Duration) {
    tokio::time::sleep(after).await;
    if session
        .ends
        .at()
        .is_some_and(|end| end <= SystemTime::now())
    {
        return;
    }
    if let Err(error) = access.revoke(&session.token).await {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(error, "a replaced session stays until it ends by itself");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        demo::openshift::{OpenShift, Options},
        kubeconfig::{self, Overrides},
    };

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_that_was_replaced_is_ended_and_one_that_ended_is_left_alone() {
        let shift = OpenShift::start(Options::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, shift.api().ca_pem()).unwrap();
        let flags = Overrides {
            server: Some(shift.api().url()),
            certificate_authority: Some(ca),
            ..Overrides::default()
        };
        let cluster = kubeconfig::resolve(None, &flags, &|_| None)
            .unwrap()
            .cluster;
        let now = SystemTime::now();
        for (ends, is_left) in [
            (SessionEnd::Never, false),
            (SessionEnd::At(now + Duration::from_secs(60)), false),
            (SessionEnd::At(now), true),
        ] {
            let session = Session {
                token: shift.issue_session("developer").unwrap(),
                issued_at: now,
                ends,
            };
            let token = session.token.clone();
            end(Access::new(&cluster, None), session, Duration::ZERO).await;
            assert_eq!(shift.revoke(token.expose()), is_left, "{ends:?}");
        }
    }
}
