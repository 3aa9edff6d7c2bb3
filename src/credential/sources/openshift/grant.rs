//! Redeems an authorization code for a [`Session`].

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde::Deserialize;

use super::Oauth;
use crate::{
    credential::{
        Error, Pkce,
        protocol::{
            authorization,
            oauth::{Number, OauthError},
        },
    },
    secret::Secret,
};

/// The longest lifetime of a session: an OAuth client's `accessTokenMaxAgeSeconds` has 32 bits.
const MAX_LIFETIME: i64 = i32::MAX as i64;

/// A session that was just started.
#[derive(Clone, Debug)]
pub struct Session {
    /// The bearer token.
    pub token: Secret,
    /// When it was requested.
    pub issued_at: SystemTime,
    /// When it ends.
    pub ends: SessionEnd,
}

/// When a session ends, as its issuer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// At this time.
    At(SystemTime),
    /// It does not expire.
    Never,
    /// The issuer does not say.
    Unknown,
}

impl SessionEnd {
    /// Returns the end as a [`crate::credential::Credential`] has it.
    #[must_use]
    pub fn at(self) -> Option<SystemTime> {
        match self {
            Self::At(end) => Some(end),
            Self::Never | Self::Unknown => None,
        }
    }
}

/// The OAuth clients that every cluster has. They have no secret.
#[derive(Clone, Copy)]
pub(super) enum Client {
    /// For user names and passwords.
    Challenging,
    /// For browsers.
    Cli,
}

impl Client {
    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Challenging => "openshift-challenging-client",
            Self::Cli => "openshift-cli-client",
        }
    }
}

/// The response of the token endpoint (RFC 6749, section 5.1).
#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    expires_in: Option<Number>,
    token_type: Option<String>,
}

/// Redeems a code that was sent to `redirect_uri`.
pub(super) async fn redeem(
    oauth: &Oauth,
    client: Client,
    code: &Secret,
    pkce: Option<&Pkce>,
    redirect_uri: &str,
) -> Result<Session, Error> {
    let mut form = vec![("code", code.expose())];
    form.extend(pkce.map(|pkce| ("code_verifier", pkce.verifier())));
    form.push(("grant_type", "authorization_code"));
    form.push(("redirect_uri", redirect_uri));
    let proof = authorization::basic(client.id(), "", || "the OAuth client".to_owned())?;
    let issued_at = SystemTime::now();
    let response = oauth.client.post(&oauth.token, &form, Some(proof)).await?;
    if response.status != StatusCode::OK {
        let sent = [code.expose()];
        return Err(
            response.error(match OauthError::of_response(&response, &sent) {
                Some(error) => format!("it refused the code of this login: {error}; log in again"),
                None => format!("it answered {} to the code of this login", response.status),
            }),
        );
    }
    let granted: Granted = response.json("no token")?;
    let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
    if !granted.token_type.as_ref().is_none_or(is_bearer) {
        return Err(response.error("its token is not a bearer token"));
    }
    let seconds = granted.expires_in.map(Number::into_text);
    session(granted.access_token, seconds.as_deref(), issued_at)
        .map_err(|what| response.error(what))
}

/// Returns a session with the lifetime `expires_in`, or what is wrong with it.
pub(super) fn session(
    token: Secret,
    expires_in: Option<&str>,
    issued_at: SystemTime,
) -> Result<Session, &'static str> {
    if token.expose().is_empty() {
        return Err("its token is empty");
    }
    Ok(Session {
        token,
        issued_at,
        ends: match expires_in {
            Some(seconds) => session_end(seconds, issued_at)?,
            None => SessionEnd::Unknown,
        },
    })
}

fn session_end(seconds: &str, issued_at: SystemTime) -> Result<SessionEnd, &'static str> {
    let asked = match seconds.parse::<i64>() {
        Ok(seconds) => seconds,
        // More than 64 bits, or not an integer.
        Err(_) if seconds.parse::<f64>().is_ok_and(|seconds| seconds >= 1.0) => {
            seconds.parse().map_or(i64::MAX, whole)
        }
        Err(_) => return Err("its expires_in is not a number of seconds"),
    };
    let lifetime = match asked {
        0 => return Ok(SessionEnd::Never),
        ..0 => return Err("its expires_in is negative: the session ended before it began"),
        asked if asked > MAX_LIFETIME => {
            tracing::warn!(
                "the lifetime of a session is more than {MAX_LIFETIME} s; {MAX_LIFETIME} s are used"
            );
            MAX_LIFETIME
        }
        asked => asked,
    };
    let lifetime = Duration::from_secs(lifetime.unsigned_abs());
    let end = issued_at.checked_add(lifetime);
    Ok(end.map_or(SessionEnd::Unknown, SessionEnd::At))
}

/// Converts `86400.0`, as some servers write it. `as` saturates.
#[allow(clippy::cast_possible_truncation)]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lifetime_may_be_zero_huge_or_invalid() {
        let now = SystemTime::now();
        let after = |seconds| Ok(SessionEnd::At(now + Duration::from_secs(seconds)));
        for (text, expected) in [
            ("86400", after(86_400)),
            ("86400.0", after(86_400)),
            ("1", after(1)),
            ("0", Ok(SessionEnd::Never)),
            ("2147483648", after(2_147_483_647)),
            ("99999999999999999999999", after(2_147_483_647)),
            ("1e300", after(2_147_483_647)),
        ] {
            assert_eq!(session_end(text, now), expected, "{text}");
        }
        for (text, problem) in [
            ("-1", "negative"),
            ("soon", "not a number"),
            ("0.5", "not a number"),
        ] {
            assert!(
                session_end(text, now).unwrap_err().contains(problem),
                "{text}"
            );
        }
    }

    #[test]
    fn a_session_needs_a_token() {
        assert!(session(Secret::new(""), None, SystemTime::now()).is_err());
        let session = session(Secret::new("a"), None, SystemTime::now()).unwrap();
        assert_eq!(session.ends, SessionEnd::Unknown);
    }
}
