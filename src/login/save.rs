//! Saves a login and writes the context that uses it: both, or neither.

use super::{Error, uninterrupted::uninterrupted};
use crate::{
    credential::{
        self,
        store::{LoginBinding, SavedLogin, Store},
    },
    kubeconfig::{self, edit::Written},
    signals::Signals,
};

/// The login that was saved under a name before, if there was one.
type Previous = Result<Option<SavedLogin>, credential::store::Error>;

/// Handles the signals that end a process, which would leave a login half done.
///
/// # Errors
/// The system allows no handlers.
pub(super) fn handle_signals() -> Result<Signals, Error> {
    Signals::handle_all().map_err(Error::Signals)
}

/// Saves a login under its name, then runs `finish`, which writes the context. If that fails, also
/// because of a signal, the login that was saved under the name before is put back. Only the tokens of a
/// renewed login are kept if the kubeconfig cannot be written: its context works with them, and the
/// issuer may have ended the session of the former ones.
///
/// The login is bound to `binding`, and to the API servers of the previous login if that has the same
/// issuer. `may_renew` says that `finish` uses the login, which may renew its refresh token.
///
/// # Errors
/// The error of `finish`, where [`Error::ContextNotWritten`] says that the tokens are kept;
/// [`Error::Interrupted`] after a signal; a state folder that cannot be written.
pub(super) async fn save_login(
    store: &Store,
    binding: LoginBinding,
    login: &str,
    saved: &SavedLogin,
    may_renew: bool,
    signals: &mut Signals,
    finish: impl AsyncFnOnce(&mut Signals) -> Result<Option<Written>, Error>,
) -> Result<Option<Written>, Error> {
    let (shared, name, new) = (store.clone(), login.to_owned(), saved.clone());
    let bound_to = binding.clone();
    let replaced = uninterrupted(signals, move || replace(&shared, &bound_to, &name, &new)).await;
    let previous = replaced.map_err(credential::Error::store)?;
    let is_renewed = matches!(&previous, Ok(Some(previous)) if is_in_use(previous) && binding.is_issuer_of(previous));
    let outcome = if signals.have_come() {
        Err(Error::Interrupted)
    } else {
        finish(signals).await
    };
    match outcome {
        Ok(written) => {
            note_kubeconfig(store, login, written.as_ref(), signals).await;
            Ok(written)
        }
        Err(Error::Kubeconfig(error)) if is_renewed => {
            tracing::warn!(
                login,
                "the kubeconfig is as it was, and the new tokens are saved in place of the former \
                 ones, so that the contexts that use this login work with them"
            );
            Err(Error::ContextNotWritten(error))
        }
        Err(error) => {
            let failed = Failed {
                saved: saved.clone(),
                may_renew,
            };
            restore(store, login, (failed, previous), signals).await;
            Err(match error {
                Error::Kubeconfig(error @ kubeconfig::Error::Interrupted { .. }) => {
                    Error::InterruptedAtLock(error)
                }
                error => error,
            })
        }
    }
}

/// Saves a login, and returns the previous one as it was then: another kubegate may have renewed it just
/// before, and its former refresh token may work no longer. One that cannot be read does not prevent a new
/// one.
fn replace(
    store: &Store,
    binding: &LoginBinding,
    login: &str,
    saved: &SavedLogin,
) -> Result<Previous, credential::store::Error> {
    let _turn = store.lock_for_renewal(login)?;
    let previous = store.read(login);
    let mut saved = saved.clone();
    if let Ok(Some(previous)) = &previous
        && previous.issuer.is_some()
        && binding.is_issuer_of(previous)
    {
        saved.servers.clone_from(&previous.servers);
    }
    store.bound_to(binding.clone()).write(login, &saved)?;
    Ok(previous)
}

/// Notes which kubeconfig uses the login. An error is only logged: without the note, a logout in another
/// kubeconfig does not name this one.
async fn note_kubeconfig(
    store: &Store,
    login: &str,
    written: Option<&Written>,
    signals: &mut Signals,
) {
    let Some(written) = written else { return };
    let (store, name, file) = (store.clone(), login.to_owned(), written.user_file.clone());
    let noted = uninterrupted(signals, move || store.note_kubeconfig(&name, &file)).await;
    if let Err(error) = noted {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, login, "cannot note which kubeconfig uses the login");
    }
}

/// Whether a login has what a context can use.
fn is_in_use(saved: &SavedLogin) -> bool {
    saved.token.is_some() || saved.refresh_token.is_some() || saved.api_key.is_some()
}

/// Puts the login before `failed` back, also after a signal; another one ends the wait for its lock. An
/// error is only logged: the caller reports the one before it.
async fn restore(
    store: &Store,
    login: &str,
    (failed, previous): (Failed, Previous),
    signals: &mut Signals,
) {
    signals.await_another();
    let (store, name) = (store.clone(), login.to_owned());
    let restored = uninterrupted(signals, move || put_back(&store, &name, &failed, previous));
    if let Err(error) = restored.await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(
            error,
            login,
            "the unfinished login stays in the state folder"
        );
    }
}

/// Puts the login before `failed` back, unless another process has logged in, renewed the login or logged
/// out since.
fn put_back(
    store: &Store,
    login: &str,
    failed: &Failed,
    previous: Previous,
) -> Result<(), credential::store::Error> {
    let _turn = store.lock_for_renewal(login)?;
    if !store.read(login)?.is_some_and(|saved| failed.is(&saved)) {
        return Ok(());
    }
    match previous? {
        Some(previous) => store.write(login, &previous),
        None => store.remove(login).map(drop),
    }
}

/// A login that failed after it was saved.
struct Failed {
    saved: SavedLogin,
    may_renew: bool,
}

impl Failed {
    /// Whether a saved login is this one.
    fn is(&self, other: &SavedLogin) -> bool {
        let own = &self.saved;
        let is_as_saved = own.token == other.token && own.refresh_token == other.refresh_token;
        own.api_key == other.api_key && (self.may_renew || is_as_saved)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::{kubeconfig, secret::Secret};

    fn saved(token: &str) -> SavedLogin {
        SavedLogin {
            token: Some(Secret::new(token)),
            ..SavedLogin::default()
        }
    }

    fn token(store: &Store) -> Option<Secret> {
        store.read("a").unwrap().and_then(|saved| saved.token)
    }

    /// Saves a login of `token`, with `outcome` as the outcome of the write of its context.
    async fn save(store: &Store, token: &str, outcome: Result<(), Error>) -> bool {
        let finish = async |_: &mut Signals| outcome.map(|()| None);
        let (saved, binding) = (saved(token), LoginBinding::default());
        let mut signals = Signals::handle(&[]).unwrap();
        let done = save_login(store, binding, "a", &saved, false, &mut signals, finish).await;
        done.is_ok()
    }

    #[tokio::test]
    async fn a_failed_login_restores_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().as_os_str().to_owned();
        let store = Store::of_user(&|_| Some(state.clone())).unwrap();
        let of = |name: &str| Some(Secret::new(name));
        assert!(!save(&store, "one", Err(Error::NoServer)).await);
        assert_eq!(token(&store), None);
        assert!(save(&store, "one", Ok(())).await);
        assert!(!save(&store, "other", Err(Error::NoServer)).await);
        assert_eq!(token(&store), of("one"));
        assert!(save(&store, "other", Ok(())).await);
        assert_eq!(token(&store), of("other"));
        fs::write(store.path("a"), "broken").unwrap();
        assert!(save(&store, "one", Ok(())).await);
        assert_eq!(token(&store), of("one"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_login_restores_what_another_process_renewed_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().as_os_str().to_owned();
        let store = Store::of_user(&|_| Some(state.clone())).unwrap();
        assert!(save(&store, "one", Ok(())).await);
        let renewal = store.lock_for_renewal("a").unwrap();
        let failing = tokio::spawn({
            let store = store.clone();
            async move { save(&store, "other", Err(Error::NoServer)).await }
        });
        // It waits for the renewal, or has not begun yet.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        store.write("a", &saved("rotated")).unwrap();
        drop(renewal);
        assert!(!failing.await.unwrap());
        assert_eq!(token(&store), Some(Secret::new("rotated")));
    }

    #[tokio::test]
    async fn a_failed_login_leaves_what_another_process_has_saved_since() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().as_os_str().to_owned();
        let store = Store::of_user(&|_| Some(state.clone())).unwrap();
        for before in [None, Some("before")] {
            for since in [Some("of another"), None] {
                store.remove("a").unwrap();
                if let Some(before) = before {
                    assert!(save(&store, before, Ok(())).await);
                }
                let finish = async |_: &mut Signals| {
                    // A login or a logout of another process.
                    match since {
                        Some(token) => store.write("a", &saved(token)).unwrap(),
                        None => assert!(store.remove("a").unwrap()),
                    }
                    Err(Error::NoServer)
                };
                let (failing, binding) = (saved("failing"), LoginBinding::default());
                let mut signals = Signals::handle(&[]).unwrap();
                let done =
                    save_login(&store, binding, "a", &failing, false, &mut signals, finish).await;
                assert!(done.is_err());
                assert_eq!(token(&store), since.map(Secret::new), "{before:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_interrupted_login_restores_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().as_os_str().to_owned();
        let store = Store::of_user(&|_| Some(state.clone())).unwrap();
        assert!(save(&store, "one", Ok(())).await);
        assert!(!save(&store, "other", Err(Error::Interrupted)).await);
        assert_eq!(token(&store), Some(Secret::new("one")));
    }

    #[tokio::test]
    async fn new_tokens_of_a_renewed_login_are_kept_where_the_kubeconfig_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().as_os_str().to_owned();
        let store = Store::of_user(&|_| Some(state.clone())).unwrap();
        let unwritable = || {
            Err(Error::Kubeconfig(kubeconfig::Error::Write {
                path: "config".into(),
                source: std::io::ErrorKind::StorageFull.into(),
            }))
        };
        // A first login has no context that could use its tokens.
        assert!(!save(&store, "one", unwritable()).await);
        assert_eq!(token(&store), None);
        assert!(save(&store, "one", Ok(())).await);
        assert!(!save(&store, "other", unwritable()).await);
        assert_eq!(token(&store), Some(Secret::new("other")));
    }
}
