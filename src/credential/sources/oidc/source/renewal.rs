//! Redeems refresh tokens, and remembers which one the issuer refused.

use std::time::{Duration, SystemTime};

use super::{
    super::{
        Client, Metadata, Renewal,
        token_storage::{RefusedToken, StoredTokens},
    },
    OPENID, Oidc, Outcome,
};
use crate::{credential::Error, kubeconfig::OidcTokens, secret::Secret};

/// How long a refused refresh token is not sent again. A refusal is final, unless the issuer has lost its
/// data for a while, or the user did there what it required.
const REFUSAL_TTL: Duration = Duration::from_secs(3600);

impl Oidc {
    /// Redeems a refresh token.
    pub(super) async fn renew(
        &self,
        (client, metadata): (&Client, &Metadata),
        stored: &StoredTokens,
        refresh: &Secret,
    ) -> Result<Outcome, Error> {
        let secret = stored.client_secret.as_ref();
        let mut refresh = refresh.clone();
        let mut scope = self.scope(metadata, stored);
        loop {
            match client
                .renew(metadata, secret, &refresh, scope.as_deref())
                .await?
            {
                Renewal::Granted(granted) => {
                    self.state().refused = None;
                    return Ok(Outcome::Renewed(granted.tokens));
                }
                Renewal::Refused(refusal) => {
                    let words = refusal.in_its_words();
                    self.note_refusal(&refresh, &words).await;
                    return Ok(Outcome::Refused(words));
                }
                Renewal::NoIdToken {
                    refresh_token,
                    problem,
                } => {
                    if let Some(rotated) = refresh_token {
                        refresh = rotated.clone();
                        self.save(OidcTokens {
                            id_token: None,
                            refresh_token: Some(rotated),
                        })
                        .await;
                    }
                    if scope.replace(OPENID.to_owned()).is_some() {
                        // Each process would use up another token.
                        self.note_refusal(&refresh, problem).await;
                        return Err(self.no_id_token(problem));
                    }
                }
            }
        }
    }

    /// Returns the scopes to send with the refresh token: those that were granted, or what the login
    /// requested if that is not known.
    fn scope(&self, metadata: &Metadata, stored: &StoredTokens) -> Option<String> {
        let requested = || Some(metadata.scopes(self.extra_scopes.as_deref()?));
        stored.scope.clone().or_else(requested)
    }

    /// Returns the issuer's words if it refused this refresh token lately, to this process or another.
    pub(super) fn refusal_of(&self, refresh: &Secret, stored: &StoredTokens) -> Option<String> {
        let state = self.state();
        let mut known = [&state.refused, &stored.refusal].into_iter().flatten();
        let known = known.find(|refused| {
            let age = refused.at.elapsed();
            refused.token == *refresh && age.is_ok_and(|age| age < REFUSAL_TTL)
        });
        known.map(|refused| refused.words.clone())
    }

    async fn note_refusal(&self, refresh: &Secret, words: &str) {
        let refused = RefusedToken {
            token: refresh.clone(),
            at: SystemTime::now(),
            words: words.to_owned(),
        };
        self.state().refused = Some(refused.clone());
        let noted = self
            .blocking(move |storage| storage.write_refusal(&refused))
            .await;
        if let Err(error) = &noted {
            let error = error as &dyn std::error::Error;
            tracing::debug!(
                error,
                "other processes do not learn that the issuer refused"
            );
        }
    }
}
