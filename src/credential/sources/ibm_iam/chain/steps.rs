//! The steps of a [`Chain`] that ask IAM for tokens.

use std::time::SystemTime;

use super::{Chain, ChainState, Session};
use crate::{
    credential::{
        Error,
        sources::ibm_iam::{
            error::ibm_error,
            iam::{Client, Failure, Grant, Tokens},
            root_credential::RootSecret,
        },
    },
    printable::printable,
    secret::Secret,
};

impl Chain {
    /// Starts a session from the root credential.
    pub(super) async fn start_session(
        &self,
        state: &mut ChainState,
        secret: &RootSecret,
    ) -> Result<Tokens, Error> {
        let granted = self.grant_root(Client::Bx, secret).await;
        let tokens = granted.map_err(|failure| self.error(failure))?;
        let actual = tokens.holder().account.bss;
        if let (Some(wanted), Some(actual)) = (&self.account, actual)
            && *wanted != actual
        {
            return Err(Error::LoginNeeded {
                subject: self.subject.clone(),
                problem: format!(
                    "{} belongs to account {}, and API keys cannot switch to account {wanted}",
                    self.root.subject(),
                    printable(&actual)
                )
                .into(),
                remedy: format!("use an API key of account {wanted}, or choose no account"),
            });
        }
        state.session = tokens.refresh.clone().map(|refresh| Session {
            refresh,
            renew_at: tokens.renew_at,
        });
        Ok(tokens)
    }

    /// Refreshes a saved session, and saves its new refresh token.
    pub(super) async fn refresh_session(
        &self,
        state: &mut ChainState,
        saved: &Secret,
    ) -> Result<Tokens, Error> {
        let token = latest_refresh(state, saved);
        let grant = Grant::Refresh {
            token: &token,
            account: None,
        };
        let granted = self.iam.grant(Client::Bx, &grant).await;
        let tokens = granted.map_err(|failure| self.error(failure))?;
        let refresh = tokens.refresh.clone().unwrap_or(token);
        let written = refresh.clone();
        let is_saved = self
            .save(move |saved| saved.refresh_token = Some(written))
            .await;
        state.outdated = (!is_saved).then(|| saved.clone());
        state.session = Some(Session {
            refresh,
            renew_at: tokens.renew_at,
        });
        Ok(tokens)
    }

    /// Obtains the cluster's token from the session, which is started or refreshed if needed.
    pub(super) async fn cluster_token_of_session(
        &self,
        state: &mut ChainState,
    ) -> Result<Tokens, Error> {
        let secret = self.root_secret().await?;
        if let RootSecret::Session(saved) = &secret {
            let latest = latest_refresh(state, saved);
            let session = state.session.as_ref();
            if !session.is_some_and(|s| s.refresh == latest && SystemTime::now() < s.renew_at) {
                self.refresh_session(state, saved).await?;
            }
        }
        if let Some(session) = &state.session {
            match self.delegate_to_cluster(&session.refresh).await {
                Ok(tokens) => return Ok(tokens),
                Err(Failure::Refused(refusal)) => {
                    state.session = None;
                    if matches!(secret, RootSecret::Session(_)) {
                        return Err(self.refused(&refusal));
                    }
                }
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        let started = self.start_session(state, &secret).await?;
        let tokens = match &started.refresh {
            Some(refresh) => self.delegate_to_cluster(refresh).await,
            // Without a refresh token there is nothing to delegate: client `kube` gets its token
            // for the root credential itself.
            None => self.grant_root(Client::Kube, &secret).await,
        };
        tokens.map_err(|failure| self.error(failure))
    }

    /// Refreshes the cluster's token. Returns `None` if its refresh token is missing or refused.
    pub(super) async fn refresh_cluster_token(
        &self,
        state: &mut ChainState,
    ) -> Result<Option<Tokens>, Error> {
        let Some(token) = state.cluster_refresh.take() else {
            return Ok(None);
        };
        let grant = Grant::Refresh {
            token: &token,
            account: None,
        };
        match self.iam.grant(Client::Kube, &grant).await {
            Ok(tokens) => Ok(tokens.id.is_some().then_some(tokens)),
            Err(Failure::Refused(_)) => Ok(None),
            Err(Failure::Other(error)) => {
                state.cluster_refresh = Some(token);
                Err(error)
            }
        }
    }

    /// Delegates a session's refresh token to client `kube`, and redeems it for the cluster's token.
    async fn delegate_to_cluster(&self, refresh: &Secret) -> Result<Tokens, Failure> {
        let delegated = self.iam.delegate(refresh).await?;
        let tokens = self
            .iam
            .grant(Client::Kube, &Grant::Delegated(&delegated))
            .await?;
        if tokens.id.is_none() {
            let problem = "gave no id_token for the cluster";
            return Err(ibm_error(format!("{} {problem}", self.subject)).into());
        }
        Ok(tokens)
    }

    async fn grant_root(&self, client: Client, secret: &RootSecret) -> Result<Tokens, Failure> {
        let grant = match secret {
            RootSecret::ApiKey(key) => Grant::ApiKey(key),
            RootSecret::Pod {
                token,
                profile: (field, profile),
            } => Grant::ComputeResource {
                token,
                profile: (field, profile),
            },
            RootSecret::Vpc(identity) => return identity.grant(client, &self.iam).await,
            RootSecret::Session(token) => Grant::Refresh {
                token,
                account: None,
            },
        };
        self.iam.grant(client, &grant).await
    }
}

/// Returns the newest refresh token of the session: the saved one, unless its successor could not be
/// saved.
fn latest_refresh(state: &ChainState, saved: &Secret) -> Secret {
    let session = state.session.as_ref();
    match (&state.outdated, session) {
        (Some(outdated), Some(session)) if outdated == saved => session.refresh.clone(),
        _ => saved.clone(),
    }
}
