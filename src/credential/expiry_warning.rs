//! A credential that only a human can follow by another is announced before it ends: in the log
//! once, and on every answer.

use std::{
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use http::HeaderValue;
use tokio::time::sleep;

use super::{Credential, protocol::exec_credential::timestamp};
use crate::printable::printable;

/// What is announced no later, where the lifetime allows it.
const AT_LEAST: Duration = Duration::from_secs(60);
/// How often the wall clock is looked at: timers stop while a machine sleeps.
const LOOK: Duration = Duration::from_secs(5);

/// What is said in the last tenth of a credential's life, ready to be sent.
#[derive(Debug)]
pub struct ExpiryWarning {
    from: SystemTime,
    text: String,
    header: HeaderValue,
}

impl ExpiryWarning {
    /// `None` for what renews itself, has no end that is known, or has ended. `subject` says
    /// whose end it is.
    pub(super) fn of(credential: &Credential, subject: &str, now: SystemTime) -> Option<Arc<Self>> {
        let command = credential.renewed_by.as_ref()?;
        let end = credential.expires_at?;
        let left = end
            .duration_since(now)
            .ok()
            .filter(|left| !left.is_zero())?;
        let lifetime = credential
            .issued_at
            .and_then(|begin| end.duration_since(begin).ok())
            .map_or(left, |whole| whole.max(left));
        let ahead = (lifetime / 10).max(AT_LEAST).min(lifetime / 2);
        let text = format!("{subject} ends at {}; run `{command}`", timestamp(end));
        Some(Arc::new(Self {
            from: end.checked_sub(ahead)?,
            header: warning(&text)?,
            text,
        }))
    }

    /// The value of a `Warning` header, from the time on at which it is due.
    #[must_use]
    pub fn header(&self, now: SystemTime) -> Option<&HeaderValue> {
        (now >= self.from).then_some(&self.header)
    }
}

/// `299 - "TEXT"` (RFC 7234, section 5.5), which kubectl shows to its user.
fn warning(text: &str) -> Option<HeaderValue> {
    let quoted = printable(text).replace(['"', '\\'], "'");
    HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()).ok()
}

/// Says it in the log, once it is due and if the credential is still in use then.
pub(super) async fn log(credential: Weak<Credential>, clock: super::cache::Clock) {
    loop {
        let Some(credential) = credential.upgrade() else {
            return;
        };
        let Some(expiry_warning) = &credential.expiry_warning else {
            return;
        };
        let left = expiry_warning.from.duration_since(clock());
        let Some(left) = left.ok().filter(|left| !left.is_zero()) else {
            tracing::warn!("{}", expiry_warning.text);
            return;
        };
        drop(credential);
        sleep(left.min(LOOK)).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn expiry_warning(issued: Option<u64>, end: u64, now: u64) -> Option<Arc<ExpiryWarning>> {
        let credential = Credential {
            issued_at: issued.map(at),
            expires_at: Some(at(end)),
            renewed_by: Some("oc login https://a".into()),
            ..Credential::default()
        };
        ExpiryWarning::of(&credential, "the session", at(now))
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_last_tenth_is_announced_and_a_minute_at_least_of_a_life_that_has_two() {
        for (issued, end, now, from) in [
            (Some(0), 86_400, 0, 77_760),
            // Begun long before it was seen.
            (Some(0), 86_400, 80_000, 77_760),
            (None, 86_400, 80_000, 85_760),
            (Some(0), 300, 0, 240),
            (Some(0), 60, 0, 30),
            (Some(0), 4, 0, 2),
        ] {
            let expiry_warning = expiry_warning(issued, end, now).unwrap();
            assert_eq!(expiry_warning.from, at(from), "{issued:?} {end} {now}");
            assert!(expiry_warning.header(at(from - 1)).is_none());
            assert!(expiry_warning.header(at(from)).is_some());
        }
        assert!(expiry_warning(None, 10, 10).is_none());
    }

    #[test]
    fn it_says_when_and_what_to_run_in_a_form_that_kubectl_reads() {
        let header = expiry_warning(Some(0), 86_400, 0).unwrap().header.clone();
        let expected =
            "299 - \"the session ends at 1970-01-02T00:00:00Z; run `oc login https://a`\"";
        assert_eq!(header, expected);
        assert_eq!(warning("a\"b\\c").unwrap(), "299 - \"a'b'c\"");
        for (text, shown) in [("größe", "größe"), ("a\r\nb\u{9b}c", "a  b\u{fffd}c")] {
            let header = warning(text).unwrap();
            assert_eq!(header.as_bytes(), format!("299 - \"{shown}\"").as_bytes());
        }
    }

    #[test]
    fn what_renews_itself_is_not_announced() {
        let credential = Credential {
            expires_at: Some(at(10)),
            ..Credential::default()
        };
        assert!(ExpiryWarning::of(&credential, "x", at(0)).is_none());
    }
}
