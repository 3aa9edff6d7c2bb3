//! What IAM has granted and may still be redeemed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{Options, grant::Client, refusal::Refusal};
use crate::demo::random::new_uid;

/// A way to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grant {
    /// User name and password.
    Password,
    /// An API key.
    ApiKey,
    /// A one-time passcode.
    Passcode,
    /// The token of a pod, for a trusted profile.
    ComputeResource,
    /// A refresh token, for new tokens.
    Refresh,
    /// A delegated refresh token was issued.
    Delegate,
    /// A delegated refresh token was redeemed.
    Redeem,
}

/// Who logged in, and how.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) grant: Grant,
    /// `None` where the user has not chosen one yet.
    pub(super) account: Option<&'static str>,
    pub(super) last_active: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Refresh(Client),
    Delegated,
}

#[derive(Debug)]
struct Ticket {
    session: usize,
    kind: Kind,
    ends: SystemTime,
    spent: bool,
}

/// Sessions, tokens and counts.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    sessions: Vec<Session>,
    tickets: HashMap<String, Ticket>,
    /// When each passcode ends.
    passcodes: HashMap<String, SystemTime>,
    granted: HashMap<Grant, usize>,
    refused: usize,
    /// How often a cluster was asked whether it knows the caller's role.
    asked_for_role: usize,
    key_revoked: bool,
    suspended: bool,
    mfa: bool,
}

impl Book {
    pub(super) fn open(&self, session: Session) -> usize {
        let mut pages = self.pages();
        pages.sessions.push(session);
        pages.sessions.len() - 1
    }

    pub(super) fn session(&self, number: usize) -> Option<Session> {
        self.pages().sessions.get(number).cloned()
    }

    pub(super) fn choose_account(&self, number: usize, account: &'static str) {
        if let Some(session) = self.pages().sessions.get_mut(number) {
            session.account = Some(account);
        }
    }

    pub(super) fn issue(&self, session: usize, kind: Kind, ends: SystemTime) -> String {
        let prefix = match kind {
            Kind::Refresh(_) => "ibm-refresh",
            Kind::Delegated => "ibm-delegated",
        };
        let token = format!("{prefix}-{}", new_uid());
        let ticket = Ticket {
            session,
            kind,
            ends,
            spent: false,
        };
        self.pages().tickets.insert(token.clone(), ticket);
        token
    }

    /// The session of a token that is good at `now`. With `spend` it was used: where tokens work
    /// once, this one has.
    pub(super) fn redeem(
        &self,
        token: &str,
        kind: Kind,
        spend: bool,
        options: &Options,
        now: SystemTime,
    ) -> Result<usize, Refusal> {
        let mut pages = self.pages();
        if pages.suspended {
            return Err(Refusal::Suspended);
        }
        let Pages {
            sessions, tickets, ..
        } = &mut *pages;
        let ticket = tickets.get_mut(token).ok_or(Refusal::InvalidToken)?;
        if ticket.spent || ticket.kind != kind {
            return Err(Refusal::InvalidToken);
        }
        if now >= ticket.ends {
            return Err(Refusal::RefreshTokenEnded);
        }
        let session = sessions.get_mut(ticket.session);
        let session = session.ok_or(Refusal::InvalidToken)?;
        let alone = now.duration_since(session.last_active);
        if alone.unwrap_or(Duration::ZERO) > options.inactivity {
            return Err(Refusal::Inactive);
        }
        session.last_active = now;
        ticket.spent = spend && !options.reusable;
        Ok(ticket.session)
    }

    pub(super) fn new_passcode(&self, ends: SystemTime) -> String {
        let passcode: String = new_uid().chars().filter(|c| *c != '-').take(10).collect();
        self.pages().passcodes.insert(passcode.clone(), ends);
        passcode
    }

    /// Whether a passcode is good, which it is once.
    pub(super) fn redeem_passcode(&self, passcode: &str, now: SystemTime) -> bool {
        let ends = self.pages().passcodes.remove(passcode);
        ends.is_some_and(|ends| now < ends)
    }

    /// Whether the caller's role has reached a cluster, which takes so many questions.
    pub(super) fn knows_role(&self, after: usize) -> bool {
        let mut pages = self.pages();
        pages.asked_for_role += 1;
        pages.asked_for_role > after
    }

    pub(super) fn count(&self, grant: Grant) {
        *self.pages().granted.entry(grant).or_default() += 1;
    }

    pub(super) fn count_refusal(&self) {
        self.pages().refused += 1;
    }

    pub(super) fn granted(&self, grant: Grant) -> usize {
        self.pages().granted.get(&grant).copied().unwrap_or(0)
    }

    pub(super) fn refused(&self) -> usize {
        self.pages().refused
    }

    pub(super) fn revoke_api_key(&self) {
        self.pages().key_revoked = true;
    }

    pub(super) fn is_key_revoked(&self) -> bool {
        self.pages().key_revoked
    }

    pub(super) fn suspend_user(&self, suspended: bool) {
        self.pages().suspended = suspended;
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.pages().suspended
    }

    pub(super) fn require_mfa(&self, required: bool) {
        self.pages().mfa = required;
    }

    pub(super) fn requires_mfa(&self) -> bool {
        self.pages().mfa
    }

    pub(super) fn end_sessions(&self) {
        self.pages().tickets.clear();
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
