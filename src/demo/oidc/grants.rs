//! The authorization codes, device codes and refresh tokens that can be redeemed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::{
    devices::{Devices, Poll},
    options::ClientAuthentication,
};
use crate::demo::random::new_uuid;

/// The grants of an issuer, and how many were redeemed.
#[derive(Debug, Default)]
pub(super) struct Grants(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Logins by authorization code.
    codes: HashMap<String, Login>,
    devices: Devices,
    /// When each refresh token expires.
    refresh_tokens: HashMap<String, SystemTime>,
    refuses_logins: bool,
    client_authentication: ClientAuthentication,
    counts: Counts,
}

/// A login whose authorization code was not redeemed yet.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) redirect_uri: String,
    /// The PKCE challenge, which a public client must send.
    pub(super) code_challenge: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) scopes: String,
    pub(super) expires_at: SystemTime,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) refreshes: usize,
    pub(super) logins: usize,
    pub(super) refused: usize,
    pub(super) device_polls: usize,
    pub(super) machine_logins: usize,
    pub(super) wrong_passwords: usize,
}

impl Grants {
    pub(super) fn new_refresh_token(&self, expires_at: SystemTime) -> String {
        let token = format!("oidc-refresh-{}", new_uuid());
        self.state()
            .refresh_tokens
            .insert(token.clone(), expires_at);
        token
    }

    /// Whether a refresh token is valid at `now`. It is invalid afterwards, unless it is
    /// `reusable`.
    pub(super) fn redeem_refresh_token(
        &self,
        token: &str,
        reusable: bool,
        now: SystemTime,
    ) -> bool {
        let mut state = self.state();
        let expires_at = if reusable {
            state.refresh_tokens.get(token).copied()
        } else {
            state.refresh_tokens.remove(token)
        };
        let is_valid = expires_at.is_some_and(|expires_at| now < expires_at);
        if is_valid {
            state.counts.refreshes += 1;
        } else {
            state.counts.refused += 1;
        }
        is_valid
    }

    /// Whether a refresh token is valid at `now`, without redeeming it.
    pub(super) fn accepts(&self, token: &str, now: SystemTime) -> bool {
        let state = self.state();
        let expires_at = state.refresh_tokens.get(token);
        expires_at.is_some_and(|expires_at| now < *expires_at)
    }

    pub(super) fn new_code(&self, login: Login) -> String {
        let code = format!("oidc-code-{}", new_uuid());
        self.state().codes.insert(code.clone(), login);
        code
    }

    /// The login of a code, if `is_acceptable` accepts it. A code works once, even if it is
    /// refused.
    pub(super) fn redeem_code(
        &self,
        code: &str,
        is_acceptable: impl FnOnce(&Login) -> bool,
    ) -> Option<Login> {
        let mut state = self.state();
        let login = state.codes.remove(code).filter(is_acceptable);
        if login.is_some() {
            state.counts.logins += 1;
        } else {
            state.counts.refused += 1;
        }
        login
    }

    /// Begins a login by device code, and returns its device code and its user code.
    pub(super) fn begin_device_login(
        &self,
        scopes: &str,
        expires_at: SystemTime,
        interval: Duration,
    ) -> (String, String) {
        self.state().devices.begin(scopes, expires_at, interval)
    }

    pub(super) fn decide_device_login(
        &self,
        user_code: &str,
        allow: bool,
        now: SystemTime,
    ) -> bool {
        self.state().devices.decide(user_code, allow, now)
    }

    pub(super) fn pending_user_codes(&self) -> Vec<String> {
        self.state().devices.pending()
    }

    pub(super) fn poll_device(&self, device_code: &str, now: SystemTime) -> Poll {
        let mut state = self.state();
        let poll = state.devices.poll(device_code, now);
        state.counts.device_polls += 1;
        if let Poll::Granted(_) = poll {
            state.counts.logins += 1;
        }
        poll
    }

    pub(super) fn note_machine_login(&self) {
        self.state().counts.machine_logins += 1;
    }

    pub(super) fn note_wrong_password(&self) {
        self.state().counts.wrong_passwords += 1;
    }

    pub(super) fn revoke(&self) {
        self.state().refresh_tokens.clear();
    }

    pub(super) fn refuse_logins(&self, refuse: bool) {
        self.state().refuses_logins = refuse;
    }

    pub(super) fn refuses_logins(&self) -> bool {
        self.state().refuses_logins
    }

    pub(super) fn restrict_client_authentication(&self, to: ClientAuthentication) {
        self.state().client_authentication = to;
    }

    pub(super) fn client_authentication(&self) -> ClientAuthentication {
        self.state().client_authentication
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
