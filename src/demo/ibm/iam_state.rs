//! The state of IAM: sessions, the tokens that can be redeemed, and injected faults.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use serde_json::Value;

use super::{client::Client, iam_error::IamError, options::Options};
use crate::demo::random::new_uuid;

/// A kind of grant.
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
    /// A refresh token of the command line or of no client, for new tokens.
    Refresh,
    /// A refresh token of the client `kube`, for a new ID token.
    ClusterRefresh,
    /// A delegated refresh token was issued.
    Delegate,
    /// A delegated refresh token was redeemed.
    Redeem,
}

/// A login, and the account that it is for.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) grant: Grant,
    /// `None` until the user has chosen one.
    pub(super) account: Option<&'static str>,
    pub(super) last_active: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefreshTokenKind {
    /// Can be redeemed by this client.
    Of(Client),
    Delegated,
}

#[derive(Debug)]
struct RefreshToken {
    session: usize,
    kind: RefreshTokenKind,
    expires_at: SystemTime,
    is_spent: bool,
}

#[derive(Debug, Default)]
pub(super) struct IamState(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sessions: Vec<Session>,
    refresh_tokens: HashMap<String, RefreshToken>,
    /// When each passcode expires.
    passcodes: HashMap<String, SystemTime>,
    granted: HashMap<Grant, usize>,
    refused: usize,
    /// How often the container service was asked whether a cluster knows the caller's role.
    role_queries: usize,
    is_key_revoked: bool,
    is_user_suspended: bool,
    requires_mfa: bool,
    /// Injected errors: HTTP status and code.
    errors: HashMap<Grant, (u16, &'static str)>,
    /// Injected fields of token responses.
    token_fields: HashMap<&'static str, Value>,
}

impl IamState {
    /// Begins a session and returns its index.
    pub(super) fn begin_session(&self, session: Session) -> usize {
        let mut state = self.state();
        state.sessions.push(session);
        state.sessions.len() - 1
    }

    pub(super) fn session(&self, index: usize) -> Option<Session> {
        self.state().sessions.get(index).cloned()
    }

    pub(super) fn choose_account(&self, session: usize, account: &'static str) {
        if let Some(session) = self.state().sessions.get_mut(session) {
            session.account = Some(account);
        }
    }

    pub(super) fn issue_refresh_token(
        &self,
        session: usize,
        kind: RefreshTokenKind,
        expires_at: SystemTime,
    ) -> String {
        let prefix = match kind {
            RefreshTokenKind::Of(_) => "ibm-refresh",
            RefreshTokenKind::Delegated => "ibm-delegated",
        };
        let text = format!("{prefix}-{}", new_uuid());
        let token = RefreshToken {
            session,
            kind,
            expires_at,
            is_spent: false,
        };
        self.state().refresh_tokens.insert(text.clone(), token);
        text
    }

    /// The session of a refresh token that is valid at `now`. If `spend` is set and tokens work
    /// only once, the token is invalid afterwards.
    pub(super) fn redeem(
        &self,
        token: &str,
        kind: RefreshTokenKind,
        spend: bool,
        options: &Options,
        now: SystemTime,
    ) -> Result<usize, IamError> {
        let mut state = self.state();
        if state.is_user_suspended {
            return Err(IamError::UserSuspended);
        }
        let State {
            sessions,
            refresh_tokens,
            ..
        } = &mut *state;
        let token = refresh_tokens.get_mut(token);
        let token = token.ok_or(IamError::InvalidToken)?;
        if token.is_spent || token.kind != kind {
            return Err(IamError::InvalidToken);
        }
        if now >= token.expires_at {
            return Err(IamError::RefreshTokenExpired);
        }
        let session = sessions.get_mut(token.session);
        let session = session.ok_or(IamError::InvalidToken)?;
        let unused_for = now.duration_since(session.last_active);
        if unused_for.unwrap_or(Duration::ZERO) > options.inactivity {
            return Err(IamError::SessionInactive);
        }
        session.last_active = now;
        token.is_spent = spend && !options.reusable;
        Ok(token.session)
    }

    /// Whether a refresh token is neither spent nor expired.
    pub(super) fn accepts(&self, token: &str, now: SystemTime) -> bool {
        let state = self.state();
        let token = state.refresh_tokens.get(token);
        token.is_some_and(|token| !token.is_spent && now < token.expires_at)
    }

    pub(super) fn new_passcode(&self, expires_at: SystemTime) -> String {
        let passcode: String = new_uuid().chars().filter(|c| *c != '-').take(10).collect();
        self.state().passcodes.insert(passcode.clone(), expires_at);
        passcode
    }

    /// Whether a passcode is valid. It is invalid afterwards.
    pub(super) fn redeem_passcode(&self, passcode: &str, now: SystemTime) -> bool {
        let expires_at = self.state().passcodes.remove(passcode);
        expires_at.is_some_and(|expires_at| now < expires_at)
    }

    /// Whether the caller's role has reached a cluster: not in the first `delay` queries.
    pub(super) fn is_role_known(&self, delay: usize) -> bool {
        let mut state = self.state();
        state.role_queries += 1;
        state.role_queries > delay
    }

    pub(super) fn count(&self, grant: Grant) {
        *self.state().granted.entry(grant).or_default() += 1;
    }

    pub(super) fn count_refusal(&self) {
        self.state().refused += 1;
    }

    pub(super) fn granted(&self, grant: Grant) -> usize {
        self.state().granted.get(&grant).copied().unwrap_or(0)
    }

    pub(super) fn refused(&self) -> usize {
        self.state().refused
    }

    pub(super) fn revoke_api_key(&self) {
        self.state().is_key_revoked = true;
    }

    pub(super) fn is_key_revoked(&self) -> bool {
        self.state().is_key_revoked
    }

    pub(super) fn suspend_user(&self, suspended: bool) {
        self.state().is_user_suspended = suspended;
    }

    pub(super) fn is_user_suspended(&self) -> bool {
        self.state().is_user_suspended
    }

    pub(super) fn require_mfa(&self, required: bool) {
        self.state().requires_mfa = required;
    }

    pub(super) fn requires_mfa(&self) -> bool {
        self.state().requires_mfa
    }

    pub(super) fn end_sessions(&self) {
        self.state().refresh_tokens.clear();
    }

    /// Injects the error with which a grant is refused, or removes it.
    pub(super) fn refuse(&self, grant: Grant, error: Option<(u16, &'static str)>) {
        let errors = &mut self.state().errors;
        match error {
            Some(error) => errors.insert(grant, error),
            None => errors.remove(&grant),
        };
    }

    /// The injected error of a grant.
    pub(super) fn injected_error(&self, grant: Grant) -> Result<(), IamError> {
        match self.state().errors.get(&grant) {
            Some((status, code)) => Err(IamError::Injected(*status, code)),
            None => Ok(()),
        }
    }

    /// Injects a field of token responses, or removes it.
    pub(super) fn replace_token_field(&self, field: &'static str, value: Option<Value>) {
        let fields = &mut self.state().token_fields;
        match value {
            Some(value) => fields.insert(field, value),
            None => fields.remove(field),
        };
    }

    /// Replaces the fields of `tokens` for which a value is injected.
    pub(super) fn apply_injected_fields(&self, tokens: &mut Value) {
        for (field, value) in &self.state().token_fields {
            if let Some(token_field) = tokens.get_mut(field) {
                *token_field = value.clone();
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
