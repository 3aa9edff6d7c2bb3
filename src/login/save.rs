//! Saves a login and writes the context that uses it: both, or neither.

use std::path::Path;

use super::Error;
use crate::credential::{
    self,
    store::{LoginBinding, SavedLogin, Store},
};

/// Saves a login under its name, then runs `finish`, which writes the context. If that fails, the
/// login that was saved under the name before is put back.
///
/// The login is bound to `binding`, and to the API servers of the previous login if that has the same
/// issuer. `file` is the kubeconfig that will name it.
///
/// # Errors
/// The error of `finish`; a state folder that cannot be written.
pub(super) async fn save_login<T>(
    store: &Store,
    binding: LoginBinding,
    login: &str,
    saved: &SavedLogin,
    file: Option<&Path>,
    finish: impl AsyncFnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    // A previous login that cannot be read does not prevent a new one.
    let previous = store.read(login);
    let mut saved = saved.clone();
    if let Ok(Some(previous)) = &previous
        && previous.issuer.is_some()
        && binding.is_issuer_of(previous)
    {
        saved.servers.clone_from(&previous.servers);
    }
    write(&store.bound_to(binding), login, &saved).map_err(credential::Error::store)?;
    let outcome = finish().await;
    if outcome.is_err() {
        restore(store, login, previous);
    } else if let Some(file) = file
        && let Err(error) = store.note_kubeconfig(login, file)
    {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, login, "cannot note which kubeconfig uses the login");
    }
    outcome
}

/// Puts the previous login back. An error is only logged: the caller reports the one before it.
fn restore(
    store: &Store,
    login: &str,
    previous: Result<Option<SavedLogin>, credential::store::Error>,
) {
    let restored = previous.and_then(|previous| match previous {
        Some(previous) => write(store, login, &previous),
        None => store.remove(login).map(drop),
    });
    if let Err(error) = restored {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(
            error,
            login,
            "the unfinished login stays in the state folder"
        );
    }
}

/// Writes under the lock that a kubegate holds while it renews the login.
fn write(store: &Store, login: &str, saved: &SavedLogin) -> Result<(), credential::store::Error> {
    let _turn = store.lock_for_renewal(login)?;
    store.write(login, saved)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::secret::Secret;

    fn saved(token: &str) -> SavedLogin {
        SavedLogin {
            token: Some(Secret::new(token)),
            ..SavedLogin::default()
        }
    }

    fn token(store: &Store) -> Option<Secret> {
        store.read("a").unwrap().and_then(|saved| saved.token)
    }

    #[tokio::test]
    async fn a_failed_login_restores_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().as_os_str().to_owned();
        let store = Store::of_user(&|_| Some(state.clone())).unwrap();
        let (one, other) = (saved("one"), saved("other"));
        let save = async |login: &SavedLogin, finishes: bool| {
            let finish = async || -> Result<(), Error> {
                assert!(token(&store).is_some());
                finishes.then_some(()).ok_or(Error::NoServer)
            };
            let binding = LoginBinding::default();
            save_login(&store, binding, "a", login, None, finish).await
        };
        save(&one, false).await.unwrap_err();
        assert_eq!(token(&store), None);
        save(&one, true).await.unwrap();
        save(&other, false).await.unwrap_err();
        assert_eq!(token(&store), one.token);
        save(&other, true).await.unwrap();
        assert_eq!(token(&store), other.token);
        fs::write(store.path("a"), "broken").unwrap();
        save(&one, true).await.unwrap();
        assert_eq!(token(&store), one.token);
    }
}
