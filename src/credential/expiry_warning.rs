//! Warnings about a credential that only a human can replace: before it expires, which is logged once
//! and added to every response, and in the 401 that follows its end.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

use super::{Error, timestamp::timestamp};
use crate::printable::printable;

/// The warning is due this long before the expiry, or earlier, if the lifetime allows it.
const AT_LEAST: Duration = Duration::from_secs(60);

/// Characters that the text of a warning may have.
const MAX_LENGTH: usize = 2000;

/// The warning for the last tenth of a credential's lifetime, ready to be sent.
#[derive(Debug)]
pub struct ExpiryWarning {
    due_at: SystemTime,
    text: String,
    header: HeaderValue,
}

impl ExpiryWarning {
    /// For the credential of `subject`, which is replaced by running `command` and expires at
    /// `end`. `None` if it has expired.
    pub(super) fn new(
        subject: &str,
        command: &str,
        issued_at: Option<SystemTime>,
        end: SystemTime,
        now: SystemTime,
    ) -> Option<Self> {
        let left = end
            .duration_since(now)
            .ok()
            .filter(|left| !left.is_zero())?;
        let lifetime = issued_at
            .and_then(|begin| end.duration_since(begin).ok())
            .map_or(left, |whole| whole.max(left));
        let ahead = (lifetime / 10).max(AT_LEAST).min(lifetime / 2);
        let text = format!("{subject} ends at {}; run `{command}`", timestamp(end));
        Some(Self {
            due_at: end.checked_sub(ahead)?,
            header: warning(&text)?,
            text,
        })
    }

    /// The value of a `Warning` header, once the warning is due.
    #[must_use]
    pub fn header(&self, now: SystemTime) -> Option<&HeaderValue> {
        (now >= self.due_at).then_some(&self.header)
    }

    pub(super) fn due_at(&self) -> SystemTime {
        self.due_at
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl Error {
    /// Returns the value of a `Warning` header that says why a human must log in, and how; `None` if the
    /// error is another one.
    #[must_use]
    pub fn login_warning(&self) -> Option<HeaderValue> {
        match self {
            Self::LoginNeeded { .. } => warning(&self.to_string()),
            Self::Backoff(backoff) => backoff.cause.login_warning(),
            _ => None,
        }
    }
}

/// `299 - "TEXT"` (RFC 7234, section 5.5), which kubectl shows to its user.
pub(super) fn warning(text: &str) -> Option<HeaderValue> {
    let text: String = text.chars().take(MAX_LENGTH).collect();
    let quoted = printable(&text).replace(['"', '\\'], "'");
    HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn expiry_warning(issued: Option<u64>, end: u64, now: u64) -> Option<ExpiryWarning> {
        let command = "oc login https://a";
        ExpiryWarning::new("the session", command, issued.map(at), at(end), at(now))
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_warning_is_due_in_the_last_tenth_and_at_least_a_minute_before() {
        for (issued, end, now, from) in [
            (Some(0), 86_400, 0, 77_760),
            // The session began long before it was first seen.
            (Some(0), 86_400, 80_000, 77_760),
            (None, 86_400, 80_000, 85_760),
            (Some(0), 300, 0, 240),
            (Some(0), 60, 0, 30),
            (Some(0), 4, 0, 2),
        ] {
            let warning = expiry_warning(issued, end, now).unwrap();
            assert_eq!(warning.due_at, at(from), "{issued:?} {end} {now}");
            assert!(warning.header(at(from - 1)).is_none());
            assert!(warning.header(at(from)).is_some());
        }
        assert!(expiry_warning(None, 10, 10).is_none());
    }

    #[test]
    fn only_an_error_that_a_login_mends_is_a_warning() {
        let ended = Error::LoginNeeded {
            subject: "the session".to_owned(),
            problem: "it was revoked".into(),
            remedy: "run `oc login https://a`".to_owned(),
        };
        let expected = "299 - \"the session: it was revoked; run `oc login https://a`\"";
        assert_eq!(ended.login_warning().unwrap(), expected);
        let paused = Error::Backoff(crate::credential::Backoff {
            cause: std::sync::Arc::new(ended),
            retry_after: Duration::from_secs(7),
        });
        assert_eq!(paused.login_warning().unwrap(), expected);
        assert_eq!(Error::NoRandomness.login_warning(), None);
    }

    #[test]
    fn the_header_names_the_expiry_and_the_command_for_kubectl() {
        let header = expiry_warning(Some(0), 86_400, 0).unwrap().header.clone();
        let expected =
            "299 - \"the session ends at 1970-01-02T00:00:00Z; run `oc login https://a`\"";
        assert_eq!(header, expected);
        assert_eq!(warning("a\"b\\c").unwrap(), "299 - \"a'b'c\"");
        assert!(warning(&"a".repeat(1 << 20)).unwrap().len() < 3000);
        for (text, shown) in [("größe", "größe"), ("a\r\nb\u{9b}c", "a  b\u{fffd}c")] {
            let header = warning(text).unwrap();
            assert_eq!(header.as_bytes(), format!("299 - \"{shown}\"").as_bytes());
        }
    }
}
