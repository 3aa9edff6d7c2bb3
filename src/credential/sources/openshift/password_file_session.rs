//! [`PasswordFileSession`]: the source for sessions with user name and password from files. The files are
//! read for each session, and the next session starts before the last one ends.
//!
//! An end by inactivity is ignored: use postpones it, and when the first request after a long pause is
//! refused, another session is started.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Access, Session, SessionEnd, password_login::PasswordFiles};
use crate::credential::{
    Credential, Error, Fetch, Need, Source,
    blocking::blocking,
    protocol::authorization::bearer,
    store::{SavedLogin, Store},
};

/// How long a replaced session is kept for requests that were sent with it and are not authenticated yet.
const REVOKE_AFTER: Duration = Duration::from_secs(60);

/// See the module.
pub(in crate::credential) struct PasswordFileSession {
    access: Access,
    files: PasswordFiles,
    /// Store and name for later processes, since each `kubegate credential` obtains one session.
    saved: Option<(Store, String)>,
    last: Mutex<Option<Session>>,
}

impl PasswordFileSession {
    /// `saved` is the store for sessions, and the name of the login.
    pub(in crate::credential) fn new(
        access: Access,
        files: PasswordFiles,
        saved: Option<(Store, String)>,
    ) -> Self {
        Self {
            access,
            files,
            saved,
            last: Mutex::default(),
        }
    }

    async fn obtain(&self) -> Result<Credential, Error> {
        if let Some(session) = self.saved_session().await? {
            return self.accept(session);
        }
        let mut login = self.files.login(&self.access).await?;
        // Another process may have begun a session while this one waited for its turn.
        if let Some(session) = self.saved_session().await? {
            return self.accept(session);
        }
        let session = login.send_unless_refused().await?;
        self.save(&session).await?;
        drop(login);
        self.accept(session)
    }

    /// Starts a session even if the saved one is valid.
    async fn obtain_new(&self) -> Result<Credential, Error> {
        if let Some(session) = self.saved_session().await? {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            // As if it were no longer accepted.
            *last = Some(session);
        }
        self.obtain().await
    }

    /// Obtains a session for a command that hands it out and then ends. It cannot see a 401 of the API
    /// server, so a saved session that was revoked is found by asking now and then.
    async fn obtain_valid(&self) -> Result<Credential, Error> {
        if let Some(session) = self.saved_session().await?
            && let Some((store, login)) = self.saved.clone()
            && self.access.was_revoked(&session, store, login).await
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(session);
        }
        self.obtain().await
    }

    /// Returns the session that another process saved, unless it is due.
    async fn saved_session(&self) -> Result<Option<Session>, Error> {
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
        // A further fetch means that the session returned last is no longer accepted.
        let is_last = |session: &Session| {
            let last = self.last();
            last.is_some_and(|last| last.token == session.token)
        };
        Ok(session.filter(|session| !session.is_due(SystemTime::now()) && !is_last(session)))
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

    /// Returns the credential of a session, and ends the session that it replaces.
    fn accept(&self, session: Session) -> Result<Credential, Error> {
        let credential = Credential {
            authorization: Some(bearer(session.token.expose())?),
            issued_at: Some(session.issued_at),
            expires_at: session.ends.at(),
            ..Credential::default()
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = last.replace(session);
        drop(last);
        // A saved session may be in use by other processes.
        if let Some(replaced) = replaced.filter(|_| self.saved.is_none()) {
            tokio::spawn(revoke_later(self.access.clone(), replaced, REVOKE_AFTER));
        }
        Ok(credential)
    }

    fn last(&self) -> Option<Session> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
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

    fn fetch_once(&self, need: Need) -> Fetch<'_> {
        match need {
            Need::Current | Need::WithExpiry => Box::pin(self.obtain_valid()),
            Need::Renewed => Box::pin(self.obtain_new()),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let saved = self.saved.as_ref().map(|(store, login)| store.path(login));
        let own = self.files.paths();
        own.into_iter().chain(saved).collect()
    }
}

impl Session {
    /// Returns whether at most a fifth of its lifetime is left.
    fn is_due(&self, now: SystemTime) -> bool {
        let Some(end) = self.ends.at() else {
            return false;
        };
        let lifetime = end.duration_since(self.issued_at).unwrap_or_default();
        end.duration_since(now).unwrap_or_default() <= lifetime / 5
    }
}

/// Ends a replaced session after a while, unless it has expired. Watches in progress continue: the API
/// server authenticates a request only at its start.
async fn revoke_later(access: Access, session: Session, after: Duration) {
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
        tracing::debug!(
            error,
            "a replaced session cannot be revoked and will expire"
        );
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
    async fn a_replaced_session_is_revoked_unless_it_has_expired() {
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
            revoke_later(Access::new(&cluster, None), session, Duration::ZERO).await;
            assert_eq!(shift.revoke(token.expose()), is_left, "{ends:?}");
        }
    }
}
