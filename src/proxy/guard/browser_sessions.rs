//! [`BrowserSessions`]: lets browsers in, which cannot send a token by themselves.
//!
//! A client with a token of `--require-token-file` gets a one-use address
//! ([`invite`](BrowserSessions::invite)). The browser that opens it gets a cookie
//! ([`enter`](BrowserSessions::enter)), which counts as that token
//! ([`token_of`](BrowserSessions::token_of)). The address and the cookie are good at one host and port
//! alone, so each origin has cookies of its own.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::{
    host::Host,
    secret_hash::{Hash, hash},
};
use crate::{credential::random_text, secret::Secret};

/// How long a one-use address is good.
pub const INVITATION_TTL: Duration = Duration::from_secs(60);
/// How long a cookie is good.
pub const SESSION_TTL: Duration = Duration::from_secs(12 * 60 * 60);
/// How many invitations are kept. One more ends the oldest.
const MAX_INVITATIONS: usize = 64;
/// How many sessions are kept. One more ends the one that expires first.
const MAX_SESSIONS: usize = 512;

/// The host and port of an origin, as a browser's `Host` header has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedHost {
    name: Box<str>,
    port: Option<u16>,
}

impl OwnedHost {
    /// Parses `host[:port]`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Host::parse(text).map(|host| Self::of(&host))
    }

    pub(super) fn of(host: &Host<'_>) -> Self {
        Self {
            name: host.name.as_ref().into(),
            port: host.port,
        }
    }

    fn is(&self, host: &Host<'_>) -> bool {
        *self.name == *host.name && self.port == host.port
    }
}

/// A one-use address that was handed out.
struct Invitation {
    code: Hash,
    grant: Grant,
    /// The path that the browser goes on to.
    path: String,
}

/// What a code or a cookie stands for.
#[derive(Clone)]
struct Grant {
    token: Hash,
    host: OwnedHost,
    expires_at: SystemTime,
}

/// The one-use addresses and the cookies of browsers. They end with the process.
#[derive(Default)]
pub(super) struct BrowserSessions {
    invitations: Mutex<Vec<Invitation>>,
    /// By the hash of the cookie. How long a lookup takes says nothing of a cookie: nobody can choose a
    /// cookie by its hash.
    sessions: ArcSwap<HashMap<Hash, Grant>>,
}

/// A browser that has come in.
pub(super) struct Entered {
    /// The value of its cookie.
    pub(super) cookie: Secret,
    /// The path that it goes on to.
    pub(super) path: String,
}

impl BrowserSessions {
    /// Returns the code of a one-use address at `host`, on behalf of a token. A browser that comes with
    /// it is sent on to `path`. `None` if the system has no random bytes.
    pub(super) fn invite(
        &self,
        token: Hash,
        host: OwnedHost,
        path: String,
        now: SystemTime,
    ) -> Option<Secret> {
        let code = random_text().ok()?;
        let invitation = Invitation {
            code: hash(code.as_bytes()),
            grant: Grant {
                token,
                host,
                expires_at: now + INVITATION_TTL,
            },
            path,
        };
        let invitations = self.invitations.lock();
        let mut invitations = invitations.unwrap_or_else(PoisonError::into_inner);
        invitations.retain(|invitation| invitation.grant.expires_at > now);
        if invitations.len() >= MAX_INVITATIONS {
            invitations.remove(0);
        }
        invitations.push(invitation);
        Some(Secret::new(code.as_str()))
    }

    /// Redeems a code, once, and returns a cookie. `None` for a code that is unknown, used, expired or
    /// made for another host.
    pub(super) fn enter(&self, code: &[u8], host: &Host<'_>, now: SystemTime) -> Option<Entered> {
        let code = hash(code);
        let invitation = {
            let invitations = self.invitations.lock();
            let mut invitations = invitations.unwrap_or_else(PoisonError::into_inner);
            let found = invitations
                .iter()
                .position(|invitation| verify_slices_are_equal(&invitation.code, &code).is_ok())?;
            if !invitations.get(found)?.grant.host.is(host) {
                return None;
            }
            invitations.remove(found)
        };
        if invitation.grant.expires_at <= now {
            return None;
        }
        let cookie = random_text().ok()?;
        let grant = Grant {
            expires_at: now + SESSION_TTL,
            ..invitation.grant
        };
        let hash = hash(cookie.as_bytes());
        self.sessions
            .rcu(|sessions| with_session(sessions, hash, &grant, now));
        Some(Entered {
            cookie: Secret::new(cookie.as_str()),
            path: invitation.path,
        })
    }

    /// Returns the hash of the token that a cookie counts as at `host`.
    pub(super) fn token_of(&self, cookie: &[u8], host: &Host<'_>, now: SystemTime) -> Option<Hash> {
        let sessions = self.sessions.load();
        let grant = sessions.get(&hash(cookie))?;
        (grant.expires_at > now && grant.host.is(host)).then_some(grant.token)
    }
}

/// Returns the sessions that are still good, and one more.
fn with_session(
    sessions: &HashMap<Hash, Grant>,
    hash: Hash,
    grant: &Grant,
    now: SystemTime,
) -> HashMap<Hash, Grant> {
    let good = sessions.iter().filter(|(_, grant)| grant.expires_at > now);
    let mut good: Vec<_> = good.map(|(hash, grant)| (*hash, grant.clone())).collect();
    good.sort_by_key(|(_, grant)| grant.expires_at);
    let too_many = (good.len() + 1).saturating_sub(MAX_SESSIONS);
    let mut sessions: HashMap<_, _> = good.into_iter().skip(too_many).collect();
    sessions.insert(hash, grant.clone());
    sessions
}

/// Shows how many there are, and none of them.
impl std::fmt::Debug for BrowserSessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sessions = self.sessions.load().len();
        f.debug_struct("BrowserSessions")
            .field("sessions", &sessions)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TOKEN: Hash = [7; size_of::<Hash>()];

    fn host(text: &str) -> Host<'_> {
        Host::parse(text).unwrap()
    }

    fn invite(sessions: &BrowserSessions, now: SystemTime) -> Secret {
        let host = OwnedHost::parse("localhost:8001").unwrap();
        sessions.invite(TOKEN, host, "/a".to_owned(), now).unwrap()
    }

    fn enter(sessions: &BrowserSessions, now: SystemTime) -> Secret {
        let code = invite(sessions, now);
        let code = code.expose().as_bytes();
        let entered = sessions.enter(code, &host("localhost:8001"), now).unwrap();
        assert_eq!(entered.path, "/a");
        entered.cookie
    }

    fn is_good(sessions: &BrowserSessions, cookie: &Secret, at: &str, now: SystemTime) -> bool {
        let token = sessions.token_of(cookie.expose().as_bytes(), &host(at), now);
        assert!(token.is_none_or(|token| token == TOKEN));
        token.is_some()
    }

    #[test]
    fn an_address_is_good_once_and_for_a_minute() {
        let sessions = BrowserSessions::default();
        let start = SystemTime::now();
        let try_enter = |code: &Secret, at: &str, now| {
            let code = code.expose().as_bytes();
            sessions.enter(code, &host(at), now).is_some()
        };
        let code = invite(&sessions, start);
        let late = start + INVITATION_TTL;
        for other in ["localhost", "localhost:8002", "127.0.0.1:8001"] {
            assert!(!try_enter(&code, other, start), "{other}");
        }
        assert!(try_enter(&code, "LocalHost:8001", start));
        assert!(!try_enter(&code, "localhost:8001", start));
        let code = invite(&sessions, start);
        assert!(!try_enter(&code, "localhost:8001", late));
        let code = invite(&sessions, start);
        let just = late - Duration::from_millis(1);
        assert!(try_enter(&code, "localhost:8001", just));
        assert!(!try_enter(&Secret::new(""), "localhost:8001", start));
    }

    #[test]
    fn a_cookie_is_good_at_its_site_and_until_it_expires() {
        let sessions = BrowserSessions::default();
        let start = SystemTime::now();
        let cookie = enter(&sessions, start);
        assert!(is_good(&sessions, &cookie, "localhost:8001", start));
        assert!(!is_good(
            &sessions,
            &cookie,
            "app.ns.svc.localhost:8001",
            start
        ));
        assert!(!is_good(&sessions, &cookie, "localhost:8002", start));
        let end = start + SESSION_TTL;
        assert!(!is_good(&sessions, &cookie, "localhost:8001", end));
        assert!(!is_good(
            &sessions,
            &Secret::new("x"),
            "localhost:8001",
            start
        ));
    }

    #[test]
    fn the_oldest_of_too_many_end() {
        let sessions = BrowserSessions::default();
        let start = SystemTime::now();
        let at = |second: usize| start + Duration::from_secs(second.try_into().unwrap());
        let first = enter(&sessions, start);
        let second = enter(&sessions, at(1));
        for later in 2..=MAX_SESSIONS {
            enter(&sessions, at(later));
        }
        let now = at(MAX_SESSIONS);
        assert!(!is_good(&sessions, &first, "localhost:8001", now));
        assert!(is_good(&sessions, &second, "localhost:8001", now));
        assert_eq!(sessions.sessions.load().len(), MAX_SESSIONS);
        let oldest = invite(&sessions, start);
        for _ in 0..MAX_INVITATIONS {
            invite(&sessions, start);
        }
        let oldest = oldest.expose().as_bytes();
        let entered = sessions.enter(oldest, &host("localhost:8001"), start);
        assert!(entered.is_none());
    }

    #[test]
    fn debug_output_has_no_secret() {
        let sessions = BrowserSessions::default();
        enter(&sessions, SystemTime::now());
        let shown = format!("{sessions:?}");
        assert_eq!(shown, "BrowserSessions { sessions: 1, .. }");
    }
}
