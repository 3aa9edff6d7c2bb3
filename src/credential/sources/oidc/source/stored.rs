//! Reads and stores the tokens. Keeps in memory what could not be stored.

use super::{
    super::token_storage::{StoredTokens, TokenStorage},
    Oidc,
};
use crate::{
    credential::{Error, store},
    kubeconfig::OidcTokens,
};

impl Oidc {
    /// Returns the newer ones that could not be stored in place of what was read, unless the user has
    /// logged out or in again since.
    pub(super) fn newest(&self, stored: StoredTokens) -> StoredTokens {
        let mut state = self.state();
        state.unreadable = false;
        if state.replaces.as_ref() != Some(&stored.tokens) {
            state.replaces = None;
            state.tokens = stored;
        }
        state.tokens.clone()
    }

    /// Reads the stored tokens. Returns those known before if that fails.
    pub(super) async fn read(&self) -> Result<StoredTokens, Error> {
        match self.blocking(TokenStorage::read).await {
            Ok(stored) => return Ok(self.newest(stored)),
            // The tokens known before are not for this cluster either.
            Err(error) if is_bound_elsewhere(&error) => return Err(error),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                if !std::mem::replace(&mut self.state().unreadable, true) {
                    tracing::warn!(error, "the tokens that were read before are used");
                }
            }
        }
        Ok(self.state().tokens.clone())
    }

    /// Stores new tokens; one that is `None` is left unchanged. If they cannot be stored, they are kept in
    /// memory, since the refresh token that they were obtained with may be used up.
    pub(super) async fn save(&self, mut new: OidcTokens) {
        {
            let state = self.state();
            if state.replaces.is_some() && new.refresh_token.is_none() {
                let before = &state.tokens.tokens.refresh_token;
                new.refresh_token.clone_from(before);
            }
        }
        let written = new.clone();
        let saved = self.blocking(move |storage| storage.write(&written)).await;
        if let Err(error) = &saved
            && self.state().replaces.is_none()
        {
            let (file, error) = (self.storage.name(), error as &dyn std::error::Error);
            tracing::warn!(error, file, "renewed tokens are kept in memory only");
        }
        let mut state = self.state();
        let before = state.replaces.take();
        state.replaces = match saved {
            Ok(()) => None,
            Err(_) => before.or_else(|| Some(state.tokens.tokens.clone())),
        };
        if new.id_token.is_some() {
            state.tokens.tokens.id_token = new.id_token;
        }
        if new.refresh_token.is_some() {
            state.tokens.tokens.refresh_token = new.refresh_token;
        }
    }
}

fn is_bound_elsewhere(error: &Error) -> bool {
    matches!(error, Error::Store(error) if matches!(**error, store::Error::OtherBinding { .. }))
}
