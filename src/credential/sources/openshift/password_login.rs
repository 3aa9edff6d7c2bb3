//! [`PasswordLogin`]: a login with user name and password from files. Only one process at a time logs in
//! to an account, and a password that was refused is not sent again for a while: directories lock an
//! account after a few wrong ones.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use super::{Access, Oauth, Session, SessionEnd, challenge::ChallengeError};
use crate::{
    credential::{
        Error,
        blocking::blocking,
        renewals, secret_file,
        store::{self, AccountTurn, PasswordRefusal, Store},
        timestamp::timestamp,
    },
    kubeconfig,
    secret::Secret,
    shell::quoted,
};

/// The files with user name and password, and what is known about passwords that were refused.
pub(super) struct PasswordFiles {
    username_file: PathBuf,
    password_file: PathBuf,
    /// The command to log in, if the context is known.
    command: Option<String>,
    /// The state folder, in which refused passwords are remembered.
    store: Option<Store>,
    /// The password that was refused last, if it cannot be remembered there.
    refused_here: Mutex<Option<(Secret, Secret, PasswordRefusal)>>,
}

/// User name and password, and the turn to send them.
pub(super) struct PasswordLogin<'a> {
    files: &'a PasswordFiles,
    access: &'a Access,
    oauth: Oauth,
    user: Secret,
    password: Secret,
    /// `None` if the state folder cannot be written to.
    turn: Option<AccountTurn>,
}

/// Begins a session for `kubegate login`. With `even_if_refused`, a password is sent that was refused
/// before.
///
/// # Errors
/// As for [`Oauth::challenge_login`]; a file that cannot be read; a password that was refused before.
pub async fn session_from_files(
    access: &Access,
    username_file: &Path,
    password_file: &Path,
    even_if_refused: bool,
) -> Result<Session, Error> {
    let files = PasswordFiles::new(username_file, password_file, None);
    let mut login = files.login(access).await?;
    if even_if_refused {
        return login.send().await;
    }
    login.send_unless_refused().await
}

impl PasswordFiles {
    /// `command` logs in as a person who may send a refused password again.
    pub(super) fn new(username_file: &Path, password_file: &Path, command: Option<String>) -> Self {
        Self {
            username_file: username_file.to_owned(),
            password_file: password_file.to_owned(),
            command,
            store: Store::of_user(&|name| std::env::var_os(name)).ok(),
            refused_here: Mutex::default(),
        }
    }

    /// Returns the paths of user name and password.
    pub(super) fn paths(&self) -> [PathBuf; 2] {
        [self.username_file.clone(), self.password_file.clone()]
    }

    /// Reads the files and the OAuth server's metadata, and waits until no other process logs in to the
    /// account.
    pub(super) async fn login<'a>(
        &'a self,
        access: &'a Access,
    ) -> Result<PasswordLogin<'a>, Error> {
        let (user, password) = self.read().await?;
        let oauth = access.discover().await?;
        let turn = self.turn(&oauth, &user).await?;
        Ok(PasswordLogin {
            files: self,
            access,
            oauth,
            user,
            password,
            turn,
        })
    }

    async fn read(&self) -> Result<(Secret, Secret), Error> {
        let [user, password] = self.paths();
        let read = move || {
            Ok((
                secret_file::read("user name", &user)?,
                secret_file::read("password", &password)?,
            ))
        };
        blocking(|| self.subject(), read).await?
    }

    async fn turn(&self, oauth: &Oauth, user: &Secret) -> Result<Option<AccountTurn>, Error> {
        let Some(store) = self.store.clone() else {
            return Ok(None);
        };
        let (issuer, user) = (oauth.issuer.clone(), user.clone());
        let wait = move || store.turn_of_account(&issuer, user.expose());
        match blocking(|| self.subject(), wait).await? {
            Ok(turn) => Ok(Some(turn)),
            Err(error @ store::Error::Lock(kubeconfig::Error::Locked { .. })) => {
                Err(Error::store(error))
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "refused passwords are remembered in memory only");
                Ok(None)
            }
        }
    }

    fn subject(&self) -> String {
        format!("the password file {}", self.password_file.display())
    }

    fn correction(&self) -> String {
        let (user, password) = (self.username_file.display(), self.password_file.display());
        format!("correct the user name in {user} or the password in {password}")
    }
}

impl PasswordLogin<'_> {
    /// Begins a session, unless the password was refused before.
    pub(super) async fn send_unless_refused(&mut self) -> Result<Session, Error> {
        let refusal = self.refusal();
        if let Some(refusal) = refusal.filter(|refusal| refusal.forbids(SystemTime::now())) {
            return Err(self.not_sent(refusal));
        }
        self.send().await
    }

    /// Begins a session, and remembers whether the password was refused.
    async fn send(&mut self) -> Result<Session, Error> {
        let before = self.refusal();
        let _renewal = renewals::begin();
        // This process may be killed before the response comes.
        self.note_sent(before).await;
        let (user, password) = (self.user.expose(), &self.password);
        match self.oauth.judged_challenge_login(user, password).await {
            Ok(mut session) => {
                self.note_accepted().await;
                if session.ends == SessionEnd::Unknown {
                    session.ends = self.ask_end(&session).await;
                }
                Ok(session)
            }
            Err(ChallengeError::Refused(error)) => {
                self.note_refused(before).await;
                Err(match error {
                    Error::LoginNeeded {
                        subject, problem, ..
                    } => Error::LoginNeeded {
                        subject,
                        problem,
                        remedy: self.files.correction(),
                    },
                    other => other,
                })
            }
            Err(ChallengeError::NotJudged(error)) => {
                self.note_not_judged(before).await;
                Err(error)
            }
            // As it was noted before.
            Err(ChallengeError::Unanswered(error)) => Err(error),
        }
    }

    /// Asks when a session ends, if its token came without that. The session is used even if this
    /// fails.
    async fn ask_end(&self, session: &Session) -> SessionEnd {
        match self.access.expiry(&session.token).await {
            Ok(expiry) => expiry.session_end(),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "cannot find out when the session ends");
                SessionEnd::Unknown
            }
        }
    }

    fn refusal(&self) -> Option<PasswordRefusal> {
        if let Some(refusal) = self
            .turn
            .as_ref()
            .and_then(|one| one.refusal(&self.password))
        {
            return Some(refusal);
        }
        let here = lock(&self.files.refused_here);
        let (user, password, refusal) = here.as_ref()?;
        (*user == self.user && *password == self.password).then_some(*refusal)
    }

    fn not_sent(&self, refusal: PasswordRefusal) -> Error {
        let (what, again) = (refusal.clause(), timestamp(refusal.retry_at()));
        let command = self.files.command.clone().unwrap_or_else(|| {
            let server = self.access.server();
            format!("kubegate login openshift --server {}", quoted(&server))
        });
        Error::LoginNeeded {
            subject: format!("OpenShift OAuth server {}", self.oauth.issuer),
            problem: format!(
                "the server {what}; so that the account is not locked, this password is not sent \
                 again before {again}"
            )
            .into(),
            remedy: format!("{}, or run `{command}`", self.files.correction()),
        }
    }

    async fn note_sent(&mut self, before: Option<PasswordRefusal>) {
        let (password, now) = (self.password.clone(), SystemTime::now());
        let is_noted = self.note(move |turn| turn.note_sent(&password, now)).await;
        let assumed = PasswordRefusal::unless_answered(before, now);
        self.remember_here((!is_noted).then_some(assumed));
    }

    async fn note_refused(&mut self, before: Option<PasswordRefusal>) {
        let (password, now) = (self.password.clone(), SystemTime::now());
        let is_noted = self
            .note(move |turn| turn.note_refused(&password, now))
            .await;
        let refusal = PasswordRefusal::after(before, now);
        self.remember_here((!is_noted).then_some(refusal));
    }

    async fn note_not_judged(&mut self, before: Option<PasswordRefusal>) {
        let password = self.password.clone();
        let is_noted = self.note(move |turn| turn.note_not_judged(&password)).await;
        self.remember_here(before.filter(|_| !is_noted));
    }

    async fn note_accepted(&mut self) {
        let password = self.password.clone();
        self.note(move |turn| turn.note_accepted(&password)).await;
        self.remember_here(None);
    }

    /// Remembers in this process alone what cannot be written.
    fn remember_here(&self, refusal: Option<PasswordRefusal>) {
        let pair = refusal.map(|refusal| (self.user.clone(), self.password.clone(), refusal));
        *lock(&self.files.refused_here) = pair;
    }

    /// Changes what is remembered, and returns whether that was possible.
    async fn note(
        &mut self,
        change: impl FnOnce(&mut AccountTurn) -> Result<(), store::Error> + Send + 'static,
    ) -> bool {
        let Some(mut turn) = self.turn.take() else {
            return false;
        };
        let changed = move || {
            let changed = change(&mut turn);
            (turn, changed)
        };
        let Ok((turn, changed)) = blocking(|| self.files.subject(), changed).await else {
            return false;
        };
        if let Err(error) = &changed {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "cannot remember whether the password was refused");
        }
        // Other processes wait all the same.
        self.turn = Some(turn);
        changed.is_ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
