//! What of the chain rests in the state folder, for other runs and other kubegates.

use std::time::SystemTime;

use super::{Chain, ChainState};
use crate::{
    credential::{
        Error,
        protocol::jwt,
        sources::ibm_iam::RootCredential,
        store::{self, Saved, Store},
    },
    kubeconfig::{self, edit::RenewalLock},
    secret::Secret,
};

impl Chain {
    /// The token that another run, or another kubegate, saved; where it holds and was not handed
    /// out before.
    pub(super) async fn saved_token(&self, links: &ChainState) -> Result<Option<Secret>, Error> {
        let Some((store, login)) = self.store() else {
            return Ok(None);
        };
        let read = self.blocking(move || store.read(&login)).await?;
        let token = read.map_err(Error::store)?.and_then(|saved| saved.token);
        Ok(token.filter(|token| {
            let claims = jwt::claims(token.expose());
            claims.is_some_and(|claims| claims.holds(SystemTime::now(), true))
                && links.used.as_ref() != Some(token)
        }))
    }

    /// Changes the saved login, if there is one; it is this process's turn. What cannot be saved
    /// is kept in memory.
    pub(super) async fn save(&self, change: impl FnOnce(&mut Saved) + Send + 'static) -> bool {
        let Some((store, login)) = self.store() else {
            return true;
        };
        let name = login.clone();
        let written = self.blocking(move || {
            // One that was removed meanwhile, by a logout, stays away.
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

    /// Our turn among kubegates on the saved login, where there is one: a refresh token may work
    /// once.
    pub(super) async fn turn(&self) -> Result<Option<RenewalLock>, Error> {
        let Some((store, login)) = self.store() else {
            return Ok(None);
        };
        match self.blocking(move || store.turn(&login)).await? {
            Ok(turn) => Ok(Some(turn)),
            Err(error) if is_locked(&error) => Err(Error::store(error)),
            // A folder that cannot be written to holds what nobody can replace.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "tokens are renewed without a lock");
                Ok(None)
            }
        }
    }
}

fn is_locked(error: &store::Error) -> bool {
    matches!(error, store::Error::Turn(kubeconfig::Error::Locked { .. }))
}
