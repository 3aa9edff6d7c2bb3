//! Bearer tokens that expire: JWTs signed with a key that only this process knows.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{error::Unspecified, hmac, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::demo::kubernetes::authentication::user_info::Identity;
use crate::secret::Secret;

/// Issues tokens and knows its own again.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: hmac::Key,
    time_to_live: Duration,
    /// Seconds that a token for a service account must hold at least.
    shortest: AtomicU64,
    /// How many tokens service accounts were given.
    accounts: AtomicU64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    /// Whole seconds since 1970, rounded down, for clients that read it.
    exp: u64,
    /// Milliseconds since 1970: what is enforced, so that short-lived tokens are exact.
    exp_ms: u128,
    iat: u64,
    jti: String,
}

/// The shortest life of a service account's token that real servers grant, in seconds.
const SHORTEST: u64 = 600;

const ADMIN: &str = "demo-admin";

/// Longer lives are cut to this, a century, so that no clock runs over.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Tokens {
    pub(crate) fn new(time_to_live: Duration) -> Result<Self, Unspecified> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes)?;
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
            time_to_live: time_to_live.min(LONGEST),
            shortest: AtomicU64::new(SHORTEST),
            accounts: AtomicU64::new(0),
        })
    }

    /// The shortest life of a token for a service account that is granted, in seconds.
    pub(crate) fn shortest(&self) -> u64 {
        self.shortest.load(Ordering::Relaxed)
    }

    /// How many tokens service accounts were given so far.
    pub(crate) fn account_tokens(&self) -> u64 {
        self.accounts.load(Ordering::Relaxed)
    }

    /// Changes what [`Self::shortest`] says.
    pub(crate) fn allow_from(&self, shortest: Duration) {
        self.shortest.store(shortest.as_secs(), Ordering::Relaxed);
    }

    /// A token for `demo-admin` and when it ends.
    pub(crate) fn issue_admin(&self) -> (Secret, SystemTime) {
        self.issue(ADMIN, self.time_to_live)
    }

    /// A token for a service account and when it ends.
    pub(crate) fn issue_for_account(
        &self,
        namespace: &str,
        name: &str,
        time_to_live: Duration,
    ) -> (Secret, SystemTime) {
        self.accounts.fetch_add(1, Ordering::Relaxed);
        let subject = format!("system:serviceaccount:{namespace}:{name}");
        self.issue(&subject, time_to_live)
    }

    /// A token for a service account that does not end.
    pub(crate) fn issue_lasting(&self, namespace: &str, name: &str) -> Secret {
        self.issue_for_account(namespace, name, LONGEST).0
    }

    /// Whose token this is; `None` if it is not ours, was altered or has ended.
    pub(crate) fn identify(&self, token: &str, now: SystemTime) -> Option<Identity> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &signature).ok()?;
        let (_, claims) = signed.split_once('.')?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        if since_epoch(now).as_millis() >= claims.exp_ms {
            return None;
        }
        match claims.sub.strip_prefix("system:serviceaccount:") {
            Some(account) => {
                let (namespace, name) = account.split_once(':')?;
                Some(Identity::service_account(namespace, name))
            }
            None => Some(Identity::admin()),
        }
    }

    fn issue(&self, subject: &str, time_to_live: Duration) -> (Secret, SystemTime) {
        let now = SystemTime::now();
        let expires_at = now + time_to_live;
        let claims = serde_json::json!(Claims {
            sub: subject.to_owned(),
            exp: since_epoch(expires_at).as_secs(),
            exp_ms: since_epoch(expires_at).as_millis(),
            iat: since_epoch(now).as_secs(),
            jti: crate::demo::random::new_uid(),
        });
        let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, signed.as_bytes()));
        (Secret::new(format!("{signed}.{signature}")), expires_at)
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_until_the_moment_it_ends() {
        let tokens = Tokens::new(Duration::from_millis(1500)).unwrap();
        let (token, expires_at) = tokens.issue_admin();
        let just_before = expires_at - Duration::from_millis(2);
        assert_eq!(
            tokens.identify(token.expose(), just_before),
            Some(Identity::admin())
        );
        assert_eq!(tokens.identify(token.expose(), expires_at), None);
    }

    #[test]
    fn a_life_without_end_is_cut_to_what_clocks_can_hold() {
        let tokens = Tokens::new(Duration::MAX).unwrap();
        let (_, expires_at) = tokens.issue_admin();
        assert!(expires_at > SystemTime::now() + LONGEST - Duration::from_secs(60));
    }

    #[test]
    fn an_altered_token_is_refused() {
        let tokens = Tokens::new(Duration::from_secs(60)).unwrap();
        let (token, _) = tokens.issue_for_account("default", "robot", Duration::from_secs(600));
        let now = SystemTime::now();
        let identity = tokens.identify(token.expose(), now).unwrap();
        assert_eq!(identity.username, "system:serviceaccount:default:robot");
        let mut parts: Vec<_> = token.expose().split('.').collect();
        let claims = URL_SAFE_NO_PAD.encode(
            r#"{"sub":"demo-admin","exp":9999999999,"exp_ms":9999999999999,"iat":0,"jti":""}"#,
        );
        parts[1] = &claims;
        assert_eq!(tokens.identify(&parts.join("."), now), None);
    }
}
