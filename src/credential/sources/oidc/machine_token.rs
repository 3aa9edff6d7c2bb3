//! [`MachineToken`]: the token of a login without a person.

use std::time::SystemTime;

use crate::{credential::store::SavedLogin, kubeconfig::OidcTokens, secret::Secret};

/// A token of a login without a person.
#[derive(Clone)]
pub struct MachineToken {
    pub(super) token: Secret,
    pub(super) issued_at: Option<SystemTime>,
    /// When it expires, if that is known.
    pub(super) expires_at: Option<SystemTime>,
    /// A digest of the user name or token, read from a file, that it was obtained for.
    pub(super) subject: Option<String>,
}

impl MachineToken {
    /// The token.
    #[must_use]
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// Sets the token in a saved login, with its lifetime, which an opaque token does not tell.
    pub fn note_in(&self, saved: &mut SavedLogin) {
        saved.take(&OidcTokens {
            id_token: Some(self.token.clone()),
            refresh_token: None,
        });
        saved.issued_at = self.issued_at;
        saved.expires_at = self.expires_at;
        saved.subject.clone_from(&self.subject);
    }
}
