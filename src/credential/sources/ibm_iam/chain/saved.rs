//! The part of a [`Chain`] that is saved in the state folder, for later runs and other kubegates.

use std::time::SystemTime;

use super::{Chain, ChainState};
use crate::{
    credential::{
        Error,
        protocol::jwt,
        sources::ibm_iam::RootCredential,
        store::{self, SavedLogin, Store},
    },
    kubeconfig::{self, edit::RenewalLock},
    secret::Secret,
};

impl Chain {
    /// Returns the saved token if it is valid and was not returned before. It may come from an
    /// earlier run or from another kubegate.
    pub(super) async fn saved_token(&self, state: &ChainState) -> Result<Option<Secret>, Error> {
        let Some((store, login)) = self.store() else {
            return Ok(None);
        };
        let read = self.blocking(move || store.read(&login)).await?;
        let token = read.map_err(Error::store)?.and_then(|saved| saved.token);
        Ok(token.filter(|token| {
            let claims = jwt::claims(token.expose());
            claims.is_some_and(|claims| claims.is_valid(SystemTime::now(), true))
                && state.returned.as_ref() != Some(token)
        }))
    }

    /// Changes the saved login, if there is one. The caller holds the lock of the login. Returns
    /// whether that succeeded; otherwise the tokens are kept in memory only.
    pub(super) async fn save(&self, change: impl FnOnce(&mut SavedLogin) + Send + 'static) -> bool {
        let Some((store, login)) = self.store() else {
            return true;
        };
        let name = login.clone();
        let written = self.blocking(move || {
            // A login that was removed by a logout must not be created again.
            let Some(mut saved) = store.read(&login)? else {
                return Ok(());
            };
            change(&mut saved);
            store.write(&login, &saved)
        });
        let written = written.await.and_then(|done| done.map_err(Error::store));
        if let Err(error) = &written {
            let error = error as &dyn std::error::Error;
            tracing::warn!(
                error,
                login = name,
                "renewed tokens are kept in memory only"
            );
        }
        written.is_ok()
    }

    fn store(&self) -> Option<(Store, String)> {
        match &self.root {
            RootCredential::Saved { store, login } => Some((store.clone(), login.clone())),
            _ => None,
        }
    }

    /// Locks the saved login, if there is one, against other kubegates: a refresh token may work only
    /// once.
    pub(super) async fn lock_login(&self) -> Result<Option<RenewalLock>, Error> {
        let Some((store, login)) = self.store() else {
            return Ok(None);
        };
        match self
            .blocking(move || store.lock_for_renewal(&login))
            .await?
        {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if is_locked(&error) => Err(Error::store(error)),
            // In a folder that cannot be written to, no process can replace the tokens.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "tokens are renewed without a lock");
                Ok(None)
            }
        }
    }
}

fn is_locked(error: &store::Error) -> bool {
    matches!(error, store::Error::Lock(kubeconfig::Error::Locked { .. }))
}
