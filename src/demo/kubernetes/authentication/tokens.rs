//! Bearer tokens that expire: JWTs signed with a secret key of this process (HS256).

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{error::Unspecified, hmac, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::demo::kubernetes::authentication::user_info::UserInfo;
use crate::secret::Secret;

/// Issues and authenticates tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: hmac::Key,
    time_to_live: Duration,
    /// The shortest lifetime of a service account's token, in seconds.
    shortest: AtomicU64,
    /// How many tokens of service accounts were issued.
    issued_to_accounts: AtomicU64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    /// Seconds since 1970, rounded down, for clients that read it.
    exp: u64,
    /// Milliseconds since 1970. This is the time that counts, so that short lifetimes are exact.
    exp_ms: u128,
    iat: u64,
    jti: String,
}

/// The shortest lifetime that real servers allow for a service account's token, in seconds.
const SHORTEST: u64 = 600;

const ADMIN: &str = "demo-admin";

/// The longest lifetime, a century, so that the time of expiry does not overflow.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Tokens {
    pub(crate) fn new(time_to_live: Duration) -> Result<Self, Unspecified> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes)?;
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
            time_to_live: time_to_live.min(LONGEST),
            shortest: AtomicU64::new(SHORTEST),
            issued_to_accounts: AtomicU64::new(0),
        })
    }

    /// The shortest lifetime of a service account's token that is allowed, in seconds.
    pub(crate) fn shortest(&self) -> u64 {
        self.shortest.load(Ordering::Relaxed)
    }

    /// How many tokens of service accounts were issued so far.
    pub(crate) fn account_tokens(&self) -> u64 {
        self.issued_to_accounts.load(Ordering::Relaxed)
    }

    /// Changes the lifetime that [`Self::shortest`] returns.
    pub(crate) fn allow_from(&self, shortest: Duration) {
        self.shortest.store(shortest.as_secs(), Ordering::Relaxed);
    }

    /// Issues a token of `demo-admin`. Returns it with its time of expiry.
    pub(crate) fn issue_admin(&self) -> (Secret, SystemTime) {
        self.issue(ADMIN, self.time_to_live)
    }

    /// Issues a token of a service account. Returns it with its time of expiry.
    pub(crate) fn issue_for_account(
        &self,
        namespace: &str,
        name: &str,
        time_to_live: Duration,
    ) -> (Secret, SystemTime) {
        self.issued_to_accounts.fetch_add(1, Ordering::Relaxed);
        let subject = format!("system:serviceaccount:{namespace}:{name}");
        self.issue(&subject, time_to_live)
    }

    /// Issues a token of a service account that does not expire.
    pub(crate) fn issue_unexpiring(&self, namespace: &str, name: &str) -> Secret {
        self.issue_for_account(namespace, name, LONGEST).0
    }

    /// The user of a token; `None` if it was not issued here, was altered or has expired.
    pub(crate) fn authenticate(&self, token: &str, now: SystemTime) -> Option<UserInfo> {
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
                Some(UserInfo::service_account(namespace, name))
            }
            None => Some(UserInfo::admin()),
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
            jti: crate::demo::random::new_uuid(),
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
    fn a_token_is_valid_until_the_moment_it_expires() {
        let tokens = Tokens::new(Duration::from_millis(1500)).unwrap();
        let (token, expires_at) = tokens.issue_admin();
        let just_before = expires_at - Duration::from_millis(2);
        assert_eq!(
            tokens.authenticate(token.expose(), just_before),
            Some(UserInfo::admin())
        );
        assert_eq!(tokens.authenticate(token.expose(), expires_at), None);
    }

    #[test]
    fn a_lifetime_without_end_is_limited_to_a_century() {
        let tokens = Tokens::new(Duration::MAX).unwrap();
        let (_, expires_at) = tokens.issue_admin();
        assert!(expires_at > SystemTime::now() + LONGEST - Duration::from_secs(60));
    }

    #[test]
    fn an_altered_token_is_refused() {
        let tokens = Tokens::new(Duration::from_secs(60)).unwrap();
        let (token, _) = tokens.issue_for_account("default", "robot", Duration::from_secs(600));
        let now = SystemTime::now();
        let user = tokens.authenticate(token.expose(), now).unwrap();
        assert_eq!(user.username, "system:serviceaccount:default:robot");
        let mut parts: Vec<_> = token.expose().split('.').collect();
        let claims = URL_SAFE_NO_PAD.encode(
            r#"{"sub":"demo-admin","exp":9999999999,"exp_ms":9999999999999,"iat":0,"jti":""}"#,
        );
        parts[1] = &claims;
        assert_eq!(tokens.authenticate(&parts.join("."), now), None);
    }
}
