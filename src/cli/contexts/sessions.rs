//! When the sessions end that `oc login` left in the kubeconfig: only the API server knows that.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::{
    credential::{
        Expiry,
        openshift::{Access, SessionExpiry, TOKEN_PREFIX},
    },
    kubeconfig::{Cluster, Context, Login, Target},
    secret::Secret,
};

/// How long the list waits for all servers together.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// The ends of sessions, by cluster and token. oc writes a context for each project of a session.
pub(super) struct SessionEnds(Vec<(Cluster, Secret, Option<Expiry>)>);

impl SessionEnds {
    /// Asks all servers at once. The end of a session whose server does not answer in time is unknown.
    pub(super) async fn ask(contexts: &[Context]) -> Self {
        let mut sessions: Vec<(Cluster, Secret, Option<Expiry>)> = Vec::new();
        for target in contexts.iter().flat_map(|context| &context.target) {
            if let Some((cluster, token)) = session(target)
                && !(sessions.iter()).any(|(other, one, _)| (other, one) == (cluster, token))
            {
                sessions.push((cluster.clone(), token.clone(), None));
            }
        }
        let mut questions = JoinSet::new();
        for (index, (cluster, token, _)) in sessions.iter().enumerate() {
            let (access, token) = (Access::new(cluster, None), token.clone());
            questions.spawn(async move { (index, access.expiry(&token).await) });
        }
        let answered = async {
            while let Some(Ok((index, answer))) = questions.join_next().await {
                sessions[index].2 = match answer {
                    Ok(SessionExpiry::Valid { ends_at, .. }) => ends_at.map(Expiry::At),
                    Ok(SessionExpiry::Ended(_)) => Some(Expiry::LoginNeeded),
                    Ok(SessionExpiry::Unknown) => None,
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::debug!(error, "cannot find out when a session ends");
                        None
                    }
                };
            }
        };
        if tokio::time::timeout(MAX_WAIT, answered).await.is_err() {
            tracing::debug!("some servers did not say in time when their sessions end");
        }
        Self(sessions)
    }

    /// Returns what the server said about the session of `target`.
    pub(super) fn of(&self, target: &Target) -> Option<Expiry> {
        let asked = session(target)?;
        let mut sessions = self.0.iter();
        let found = sessions.find(|(cluster, token, _)| (cluster, token) == asked)?;
        found.2
    }
}

fn session(target: &Target) -> Option<(&Cluster, &Secret)> {
    match &target.user.login {
        Login::Token(token) if token.expose().starts_with(TOKEN_PREFIX) => {
            Some((target.login_cluster(), token))
        }
        _ => None,
    }
}
