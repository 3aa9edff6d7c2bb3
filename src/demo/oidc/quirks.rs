//! How issuers differ from each other and from the specifications.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How an issuer differs from the others; not at all at first.
// Independent quirks; every combination is possible.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    /// `scopes_supported` in place of the usual ones.
    pub scopes_supported: Option<Vec<&'static str>>,
    /// Whether `scopes_supported` is left out.
    pub hides_scopes: bool,
    /// A query that every endpoint has and requires (Azure AD B2C).
    pub endpoint_query: Option<&'static str>,
    /// Whether a refresh gives an ID token only for the scope `openid` (Okta).
    pub id_token_needs_scope: bool,
    /// Whether a refresh gives no ID token at all.
    pub no_id_token_on_refresh: bool,
    /// Whether a refresh for scopes is refused as `invalid_scope`.
    pub refuses_scopes_on_refresh: bool,
    /// Whether a refresh token is given for `access_type=offline` with `prompt=consent` (Google).
    pub offline_by_access_type: bool,
    /// The nonce of ID tokens in place of the one that was sent.
    pub nonce: Option<&'static str>,
}

/// The quirks, and what clients sent.
#[derive(Debug, Default)]
pub(super) struct QuirkState(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    quirks: Quirks,
    authorization_queries: Vec<String>,
    refresh_scopes: Vec<Option<String>>,
}

impl QuirkState {
    pub(super) fn set(&self, quirks: Quirks) {
        self.state().quirks = quirks;
    }

    pub(super) fn get(&self) -> Quirks {
        self.state().quirks.clone()
    }

    pub(super) fn note_authorization(&self, query: &str) {
        self.state().authorization_queries.push(query.to_owned());
    }

    pub(super) fn authorization_queries(&self) -> Vec<String> {
        self.state().authorization_queries.clone()
    }

    pub(super) fn note_refresh(&self, scope: Option<&str>) {
        self.state().refresh_scopes.push(scope.map(str::to_owned));
    }

    pub(super) fn refresh_scopes(&self) -> Vec<Option<String>> {
        self.state().refresh_scopes.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
