//! The claims of a JWT about its lifetime. They are not verified: the API server does that.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;
use zeroize::Zeroizing;

/// How long before its expiry a token is renewed rather than used, because it could expire before
/// it arrives.
const LEEWAY: Duration = Duration::from_secs(2);
/// The same as a part of its lifetime, if that is shorter.
const LAST_PART: u32 = 5;

/// The times of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::credential) struct Claims {
    pub(in crate::credential) expires_at: SystemTime,
    pub(in crate::credential) issued_at: Option<SystemTime>,
    /// `kubernetes.io.warnafter` of a service account's token: after this time the API server warns
    /// that the token should have been renewed.
    pub(in crate::credential) warn_after: Option<SystemTime>,
}

impl Claims {
    /// Whether a token from a file is to be used at `now`. A token that can be renewed is not used
    /// just before it expires.
    pub(in crate::credential) fn is_valid(&self, now: SystemTime, renewable: bool) -> bool {
        let lifetime = self
            .issued_at
            .and_then(|issued| self.expires_at.duration_since(issued).ok());
        let leeway = match (renewable, lifetime) {
            (false, _) => Duration::ZERO,
            (true, Some(lifetime)) => LEEWAY.min(lifetime / LAST_PART),
            (true, None) => LEEWAY,
        };
        let left = self.expires_at.duration_since(now);
        left.is_ok_and(|left| left > leeway)
    }
}

/// Reads `exp` and `iat`; `None` if this is no JWT (RFC 7519) with a sensible `exp`.
pub(in crate::credential) fn claims(token: &str) -> Option<Claims> {
    #[derive(Deserialize)]
    struct Payload {
        exp: NumericDate,
        iat: Option<NumericDate>,
        #[serde(rename = "kubernetes.io")]
        kubernetes: Option<Value>,
    }
    let payload: Payload = payload(token)?;
    let warn_after = payload.kubernetes.as_ref();
    let warn_after = warn_after.and_then(|claim| match &claim["warnafter"] {
        Value::String(text) => serde_json::from_str(text).ok(),
        other => other.as_f64(),
    });
    Some(Claims {
        expires_at: payload.exp.time()?,
        issued_at: payload.iat.and_then(|issued| issued.time()),
        warn_after: warn_after.and_then(time),
    })
}

/// A number of seconds, which some issuers send as text. client-go accepts both (`json.Number`).
#[derive(Deserialize)]
#[serde(untagged)]
enum NumericDate {
    Number(f64),
    Text(String),
    /// A value that is ignored.
    Other(IgnoredAny),
}

impl NumericDate {
    fn time(&self) -> Option<SystemTime> {
        match self {
            Self::Number(seconds) => time(*seconds),
            Self::Text(text) => time(serde_json::from_str(text).ok()?),
            Self::Other(_) => None,
        }
    }
}

/// Reads the claims of a JWT; `None` if this is no JWT (RFC 7519) with such claims.
pub(in crate::credential) fn payload<T: DeserializeOwned>(token: &str) -> Option<T> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?);
    serde_json::from_slice(&payload).ok()
}

/// `NumericDate` of RFC 7519, which may have a fraction.
fn time(seconds: f64) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(payload))
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_renewable_token_is_not_used_just_before_it_expires() {
        let hour = claims(&jwt(r#"{"exp": 3600, "iat": 0}"#)).unwrap();
        assert_eq!(hour.expires_at, at(3600));
        assert!(hour.is_valid(at(3597), true) && !hour.is_valid(at(3598), true));
        assert!(hour.is_valid(at(3599), false) && !hour.is_valid(at(3600), false));
        let short = claims(&jwt(r#"{"exp": 100, "iat": 95}"#)).unwrap();
        assert!(short.is_valid(at(98), true) && !short.is_valid(at(99), true));
        let fraction = claims(&jwt(r#"{"exp": 100.5}"#)).unwrap();
        assert!(fraction.is_valid(at(100), false));
        assert!(fraction.is_valid(at(98), true) && !fraction.is_valid(at(99), true));
    }

    #[test]
    fn times_may_be_text() {
        let text = claims(&jwt(r#"{"exp": "3600", "iat": "0"}"#));
        assert_eq!(text, claims(&jwt(r#"{"exp": 3600, "iat": 0}"#)));
        assert_eq!(text.unwrap().expires_at, at(3600));
        let fraction = claims(&jwt(r#"{"exp": "36e2", "iat": "soon"}"#)).unwrap();
        assert_eq!((fraction.expires_at, fraction.issued_at), (at(3600), None));
    }

    #[test]
    fn a_service_accounts_token_has_a_time_for_its_renewal() {
        let token = jwt(r#"{"exp": 9000, "kubernetes.io": {"namespace": "a", "warnafter": 3607}}"#);
        assert_eq!(claims(&token).unwrap().warn_after, Some(at(3607)));
        let token = jwt(r#"{"exp": "9000", "kubernetes.io": {"warnafter": "3607"}}"#);
        assert_eq!(claims(&token).unwrap().warn_after, Some(at(3607)));
        for token in [
            r#"{"exp": 1, "kubernetes.io": {}}"#,
            r#"{"exp": 1, "kubernetes.io": 7}"#,
        ] {
            assert_eq!(claims(&jwt(token)).unwrap().warn_after, None, "{token}");
        }
    }

    #[test]
    fn a_text_that_is_no_jwt_with_an_expiry_has_no_claims() {
        for token in [
            String::new(),
            "opaque".to_owned(),
            "a.b".to_owned(),
            "a.b.c".to_owned(),
            jwt("{}"),
            jwt("[]"),
            jwt(r#"{"exp": "soon"}"#),
            jwt(r#"{"exp": ""}"#),
            jwt(r#"{"exp": "0x10"}"#),
            jwt(r#"{"exp": "-1"}"#),
            jwt(r#"{"exp": [3600]}"#),
            jwt(r#"{"exp": null}"#),
            jwt(r#"{"exp": -1}"#),
            jwt(r#"{"exp": 1e300}"#),
            format!("{}.more", jwt(r#"{"exp": 1}"#)),
        ] {
            assert_eq!(claims(&token), None, "{token}");
        }
    }
}
