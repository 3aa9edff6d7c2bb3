//! What was issued and may still be redeemed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use crate::demo::random::new_uid;

/// Codes, refresh tokens and counts.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    codes: HashMap<String, Login>,
    /// When each refresh token ends.
    refresh_tokens: HashMap<String, SystemTime>,
    refuse_logins: bool,
    counts: Counts,
}

/// A login that waits for its code to be redeemed.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) redirect_uri: String,
    /// PKCE's; required of a public client.
    pub(super) code_challenge: Option<String>,
    pub(super) nonce: Option<String>,
    /// Whether a refresh token was asked for.
    pub(super) offline: bool,
    pub(super) ends: SystemTime,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) refreshes: usize,
    pub(super) logins: usize,
    pub(super) refused: usize,
}

impl Book {
    pub(super) fn new_refresh_token(&self, ends: SystemTime) -> String {
        let token = format!("oidc-refresh-{}", new_uid());
        self.pages().refresh_tokens.insert(token.clone(), ends);
        token
    }

    /// Whether a refresh token is good at `now`; it is not any more afterwards, unless it may be
    /// used again.
    pub(super) fn redeem_refresh_token(
        &self,
        token: &str,
        reusable: bool,
        now: SystemTime,
    ) -> bool {
        let mut pages = self.pages();
        let ends = if reusable {
            pages.refresh_tokens.get(token).copied()
        } else {
            pages.refresh_tokens.remove(token)
        };
        let good = ends.is_some_and(|ends| now < ends);
        if good {
            pages.counts.refreshes += 1;
        } else {
            pages.counts.refused += 1;
        }
        good
    }

    pub(super) fn new_code(&self, login: Login) -> String {
        let code = format!("oidc-code-{}", new_uid());
        self.pages().codes.insert(code.clone(), login);
        code
    }

    /// The login behind a code, if `fits`. A code works once, whether it fits or not.
    pub(super) fn redeem_code(
        &self,
        code: &str,
        fits: impl FnOnce(&Login) -> bool,
    ) -> Option<Login> {
        let mut pages = self.pages();
        let login = pages.codes.remove(code).filter(fits);
        if login.is_some() {
            pages.counts.logins += 1;
        } else {
            pages.counts.refused += 1;
        }
        login
    }

    pub(super) fn revoke(&self) {
        self.pages().refresh_tokens.clear();
    }

    pub(super) fn refuse_logins(&self, refuse: bool) {
        self.pages().refuse_logins = refuse;
    }

    pub(super) fn refuses_logins(&self) -> bool {
        self.pages().refuse_logins
    }

    pub(super) fn counts(&self) -> Counts {
        self.pages().counts
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
