//! Logins by device code that are under way (RFC 8628).

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use crate::demo::random::new_uuid;

/// What a client adds to its interval when it is told to slow down (RFC 8628, section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// A client that polls this much earlier than its interval is not told to slow down.
const TOLERANCE: Duration = Duration::from_millis(100);

/// The logins by device code.
#[derive(Debug, Default)]
pub(super) struct Devices(HashMap<String, Device>);

#[derive(Debug)]
struct Device {
    user_code: String,
    scopes: String,
    expires_at: SystemTime,
    interval: Duration,
    polled_at: Option<SystemTime>,
    /// Whether the user has allowed the login, once that is decided.
    allowed: Option<bool>,
}

/// The answer to a poll.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// The user has logged in. These are the scopes.
    Granted(String),
    /// An error code of RFC 8628, section 3.5.
    Error(&'static str),
}

impl Devices {
    /// Begins a login, and returns its device code and its user code.
    pub(super) fn begin(
        &mut self,
        scopes: &str,
        expires_at: SystemTime,
        interval: Duration,
    ) -> (String, String) {
        let device_code = format!("oidc-device-{}", new_uuid());
        let user_code = new_user_code();
        let device = Device {
            user_code: user_code.clone(),
            scopes: scopes.to_owned(),
            expires_at,
            interval,
            polled_at: None,
            allowed: None,
        };
        self.0.insert(device_code.clone(), device);
        (device_code, user_code)
    }

    /// The user codes of the logins that the user has not decided about.
    pub(super) fn pending(&self) -> Vec<String> {
        let pending = self.0.values().filter(|device| device.allowed.is_none());
        pending.map(|device| device.user_code.clone()).collect()
    }

    /// Allows or denies the login with this user code. Returns false if there is none.
    pub(super) fn decide(&mut self, user_code: &str, allow: bool, now: SystemTime) -> bool {
        let mut devices = self.0.values_mut();
        let device = devices.find(|one| one.user_code == user_code && now < one.expires_at);
        let Some(device) = device else {
            return false;
        };
        device.allowed = Some(allow);
        true
    }

    /// Answers a poll. A login that is granted or denied is over.
    pub(super) fn poll(&mut self, device_code: &str, now: SystemTime) -> Poll {
        let Some(device) = self.0.get_mut(device_code) else {
            return Poll::Error("invalid_grant");
        };
        if now >= device.expires_at {
            return Poll::Error("expired_token");
        }
        let earliest = device.polled_at.map(|at| at + device.interval);
        device.polled_at = Some(now);
        if earliest.is_some_and(|earliest| now + TOLERANCE < earliest) {
            device.interval += SLOW_DOWN;
            return Poll::Error("slow_down");
        }
        let answer = match device.allowed {
            None => return Poll::Error("authorization_pending"),
            Some(true) => Poll::Granted(std::mem::take(&mut device.scopes)),
            Some(false) => Poll::Error("access_denied"),
        };
        self.0.remove(device_code);
        answer
    }
}

/// Returns a code of consonants, which form no words: `WDJB-MJHT`.
fn new_user_code() -> String {
    const LETTERS: &[u8; 16] = b"BCDFGHJKLMNPQRST";
    let uuid = new_uuid();
    let digits = uuid.chars().filter_map(|char| char.to_digit(16)).take(8);
    let mut code: String = digits
        .filter_map(|digit| LETTERS.get(usize::try_from(digit).ok()?))
        .map(|letter| char::from(*letter))
        .collect();
    code.insert(4, '-');
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_granted_once_and_polled_no_sooner_than_its_interval() {
        let mut devices = Devices::default();
        let now = SystemTime::UNIX_EPOCH;
        let at = |seconds| now + Duration::from_secs(seconds);
        let (code, user_code) = devices.begin("openid", at(600), Duration::from_secs(5));
        assert_eq!((user_code.len(), &user_code[4..5]), (9, "-"));
        assert_eq!(
            devices.poll(&code, at(1)),
            Poll::Error("authorization_pending")
        );
        assert_eq!(devices.poll(&code, at(2)), Poll::Error("slow_down"));
        // The interval is 10 s now.
        assert_eq!(devices.poll(&code, at(8)), Poll::Error("slow_down"));
        assert!(!devices.decide("x", true, at(9)) && devices.decide(&user_code, true, at(9)));
        assert_eq!(
            devices.poll(&code, at(23)),
            Poll::Granted("openid".to_owned())
        );
        assert_eq!(devices.poll(&code, at(40)), Poll::Error("invalid_grant"));
    }

    #[test]
    fn a_login_is_denied_or_expires() {
        let mut devices = Devices::default();
        let now = SystemTime::UNIX_EPOCH;
        let end = now + Duration::from_secs(60);
        let (denied, user_code) = devices.begin("openid", end, Duration::ZERO);
        let (expired, _) = devices.begin("openid", end, Duration::ZERO);
        assert_eq!(devices.pending().len(), 2);
        assert!(devices.decide(&user_code, false, now));
        assert_eq!(devices.pending().len(), 1);
        assert_eq!(devices.poll(&denied, now), Poll::Error("access_denied"));
        assert_eq!(devices.poll(&expired, end), Poll::Error("expired_token"));
    }
}
