//! Asks whether a saved session was revoked, for a command that hands it out and then ends. Such a command
//! cannot see a 401 of the API server, and another login would help. The question costs a connection, and
//! kubectl runs its plugin for each of its commands, so it is asked once a minute.

use std::time::{Duration, SystemTime};

use super::{Access, Session, SessionExpiry, object_name};
use crate::credential::{blocking::blocking, store::Store};

/// How long a session counts as valid after its start and after each answer. Also, a server that refuses
/// each session gets no login for each command.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// How long the API server has to answer.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

impl Access {
    /// Returns whether the session that `login` has in `store` was revoked. A session is used unless the
    /// API server says so.
    pub(in crate::credential) async fn was_revoked(
        &self,
        session: &Session,
        store: Store,
        login: String,
    ) -> bool {
        let subject = || format!("the OpenShift login at {}", self.server());
        let last = {
            let (store, login) = (store.clone(), login.clone());
            blocking(subject, move || store.checked_at(&login)).await
        };
        let now = SystemTime::now();
        if !is_due(now, session.issued_at, last.ok().flatten()) {
            return false;
        }
        let Some(name) = object_name(&session.token) else {
            return false;
        };
        let asked = self.expiry_of_object(&session.token, &name);
        let answer = tokio::time::timeout(CHECK_LIMIT, asked).await;
        if matches!(answer, Ok(Ok(Some(SessionExpiry::Ended(_))))) {
            return true;
        }
        // A server that does not answer is not waited for by each command either.
        let noted = blocking(subject, move || store.note_checked(&login)).await;
        if let Ok(Err(error)) = noted {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "the next command asks about the session again");
        }
        false
    }
}

/// Returns whether the session began, and was asked about, at least [`CHECK_INTERVAL`] ago. A time in the
/// future, after which the clock was set back, does not count.
fn is_due(now: SystemTime, issued_at: SystemTime, checked_at: Option<SystemTime>) -> bool {
    let is_recent = |time: SystemTime| {
        let age = now.duration_since(time);
        age.is_ok_and(|age| age < CHECK_INTERVAL)
    };
    !is_recent(issued_at) && !checked_at.is_some_and(is_recent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_asked_about_once_a_minute() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        let ago = |seconds| now - Duration::from_secs(seconds);
        for (issued_at, checked_at, due) in [
            (ago(59), None, false),
            (ago(60), None, true),
            (ago(3600), Some(ago(59)), false),
            (ago(3600), Some(ago(60)), true),
            // The answer was about the session before.
            (ago(10), Some(ago(3600)), false),
            // The clock was set back.
            (ago(3600), Some(now + Duration::from_secs(3600)), true),
        ] {
            assert_eq!(is_due(now, issued_at, checked_at), due, "{issued_at:?}");
        }
    }
}
