//! [`Account`]: a user name and a password from files, of which no more than one wrong one is sent.

use std::{
    borrow::Cow,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use super::{
    machine_grant::{MachineAnswer, MachineRequest, MachineSecret},
    machine_token::MachineToken,
};
use crate::{
    credential::{
        Error,
        blocking::blocking,
        renewals,
        store::{self, AccountTurn, PasswordRefusal, Store},
        timestamp::timestamp,
    },
    kubeconfig,
    secret::Secret,
};

/// A user name and a password from files. Only one process at a time sends them.
pub(super) struct Account<'a> {
    pub(super) request: &'a MachineRequest<'a>,
    pub(super) subject: String,
    pub(super) username: Secret,
    pub(super) password: Secret,
    pub(super) remedy: String,
}

impl Account<'_> {
    /// Sends the password, unless it was refused before and that is not to be repeated yet.
    pub(super) async fn obtain(
        self,
        store: &Store,
        refused: RefusedPasswords<'_>,
    ) -> Result<MachineToken, Error> {
        let turn = self.turn(store).await?;
        if let RefusedPasswords::Withheld(here) = refused {
            let refusal = match &turn {
                Some(turn) => turn.refusal(&self.password),
                None => here.refusal(&self.username, &self.password),
            };
            if let Some(refusal) = refusal.filter(|one| one.forbids(SystemTime::now())) {
                return Err(self.withheld(refusal));
            }
        }
        let secret = MachineSecret::Password {
            username: self.username.clone(),
            password: self.password.clone(),
        };
        let (password, now) = (self.password.clone(), SystemTime::now());
        // A wrong password is sent once, and that is remembered.
        let _renewal = renewals::begin();
        match self.request.send(&secret).await? {
            MachineAnswer::Token(token) => {
                if let Some(turn) = turn {
                    self.note(turn, move |turn| turn.note_accepted(&password))
                        .await;
                }
                Ok(token)
            }
            MachineAnswer::Refused(words) => {
                let is_noted = match turn {
                    Some(turn) => {
                        self.note(turn, move |turn| turn.note_refused(&password, now))
                            .await
                    }
                    None => false,
                };
                if let (false, RefusedPasswords::Withheld(here)) = (is_noted, refused) {
                    here.note(&self.username, &self.password, now);
                }
                Err(self.refused(format!("the issuer refused the password{words}")))
            }
        }
    }

    fn withheld(&self, refusal: PasswordRefusal) -> Error {
        let (at, again) = (timestamp(refusal.at), timestamp(refusal.retry_at()));
        self.refused(format!(
            "the issuer refused the password at {at}; so that the account is not locked, it is not \
             sent again before {again}"
        ))
    }

    /// Waits until no other process sends the password. Returns `None` if the state folder cannot be
    /// written to.
    async fn turn(&self, store: &Store) -> Result<Option<AccountTurn>, Error> {
        let (store, username) = (store.clone(), self.username.clone());
        let realm = self.request.client.password_realm();
        let wait = move || store.turn_of_account(&realm, username.expose());
        match blocking(|| self.subject.clone(), wait).await? {
            Ok(turn) => Ok(Some(turn)),
            Err(error @ store::Error::Lock(kubeconfig::Error::Locked { .. })) => {
                Err(Error::store(error))
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "refused passwords are not remembered");
                Ok(None)
            }
        }
    }

    /// Changes what is remembered, and returns whether that was possible.
    async fn note(
        &self,
        mut turn: AccountTurn,
        change: impl FnOnce(&mut AccountTurn) -> Result<(), store::Error> + Send + 'static,
    ) -> bool {
        let changed = blocking(|| self.subject.clone(), move || change(&mut turn)).await;
        if let Ok(Err(error)) = &changed {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "cannot remember whether the password was refused");
        }
        matches!(changed, Ok(Ok(())))
    }

    fn refused(&self, problem: impl Into<Cow<'static, str>>) -> Error {
        Error::LoginNeeded {
            subject: self.subject.clone(),
            problem: problem.into(),
            remedy: self.remedy.clone(),
        }
    }
}

/// The user name and the password that were refused last, if the state folder cannot remember them.
#[derive(Default)]
pub(super) struct RefusedHere(Mutex<Option<(Secret, Secret, PasswordRefusal)>>);

/// Whether a password that was refused before is sent.
#[derive(Clone, Copy)]
pub(super) enum RefusedPasswords<'a> {
    /// It is sent, since its user asks for that.
    Sent,
    /// It is not sent for a while: directories lock an account after a few wrong ones.
    Withheld(&'a RefusedHere),
}

impl RefusedHere {
    fn refusal(&self, username: &Secret, password: &Secret) -> Option<PasswordRefusal> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (user, word, refusal) = refused.as_ref()?;
        (user == username && word == password).then_some(*refusal)
    }

    fn note(&self, username: &Secret, password: &Secret, now: SystemTime) {
        let refusal = PasswordRefusal::after(self.refusal(username, password), now);
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = Some((username.clone(), password.clone(), refusal));
    }
}
