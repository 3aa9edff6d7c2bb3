//! A login is kept as a whole or not at all: what is saved, and the context that leads to it.

use std::path::Path;

use super::Error;
use crate::credential::{
    self,
    store::{LoginBinding, Saved, Store},
};

/// Saves a login under its name, then does the rest of it; where that fails, what rested there
/// before is put back. It belongs to `place`, and to the API servers that a login of the same
/// issuer was begun for under that name. `file` is the kubeconfig that is to name it.
///
/// # Errors
/// What `rest` says; a state folder that cannot be written.
pub async fn keep<T>(
    store: &Store,
    place: LoginBinding,
    login: &str,
    saved: &Saved,
    file: Option<&Path>,
    rest: impl AsyncFnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    // One that is broken is no reason not to log in again.
    let before = store.read(login);
    let mut saved = saved.clone();
    if let Ok(Some(before)) = &before
        && before.issuer.is_some()
        && place.is_issuer_of(before)
    {
        saved.servers.clone_from(&before.servers);
    }
    write(&store.bound_to(place), login, &saved).map_err(credential::Error::store)?;
    let done = rest().await;
    if done.is_err() {
        let restored = before.and_then(|before| match before {
            Some(before) => write(store, login, &before),
            None => store.remove(login).map(drop),
        });
        if let Err(error) = restored {
            // What counts is the first error.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                login,
                "the unfinished login stays in the state folder"
            );
        }
    } else if let Some(file) = file
        && let Err(error) = store.note_kubeconfig(login, file)
    {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(
            error,
            login,
            "it is not noted which kubeconfig uses the login"
        );
    }
    done
}

/// Other kubegates may be renewing the login that is there.
fn write(store: &Store, login: &str, saved: &Saved) -> Result<(), credential::store::Error> {
    let _turn = store.turn(login)?;
    store.write(login, saved)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::secret::Secret;

    fn saved(token: &str) -> Saved {
        Saved {
            token: Some(Secret::new(token)),
            ..Saved::default()
        }
    }

    fn token(store: &Store) -> Option<Secret> {
        store.read("a").unwrap().and_then(|saved| saved.token)
    }

    #[tokio::test]
    async fn what_rested_there_is_back_where_the_login_fails_and_gone_where_it_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().as_os_str().to_owned();
        let store = Store::of_user(&|_| Some(state.clone())).unwrap();
        let (one, other) = (saved("one"), saved("other"));
        let fails = async || -> Result<(), Error> {
            assert!(token(&store).is_some());
            Err(Error::NoServer)
        };
        keep(&store, LoginBinding::default(), "a", &one, None, fails)
            .await
            .unwrap_err();
        assert_eq!(token(&store), None);
        keep(
            &store,
            LoginBinding::default(),
            "a",
            &one,
            None,
            async || Ok(()),
        )
        .await
        .unwrap();
        keep(&store, LoginBinding::default(), "a", &other, None, fails)
            .await
            .unwrap_err();
        assert_eq!(token(&store), one.token);
        keep(
            &store,
            LoginBinding::default(),
            "a",
            &other,
            None,
            async || Ok(()),
        )
        .await
        .unwrap();
        assert_eq!(token(&store), other.token);
        fs::write(store.path("a"), "broken").unwrap();
        keep(
            &store,
            LoginBinding::default(),
            "a",
            &one,
            None,
            async || Ok(()),
        )
        .await
        .unwrap();
        assert_eq!(token(&store), one.token);
    }
}
