//! Secret text becomes the value of an `Authorization` header.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::credential::Error;

/// `Bearer TOKEN` (RFC 6750), marked sensitive.
///
/// # Errors
/// [`Error::Unsendable`], without the token, if it has characters that no header can carry.
pub fn bearer(token: &str) -> Result<HeaderValue, Error> {
    bearer_of(token, || "the token".to_owned())
}

/// As [`bearer`]; `subject` names the token in the error.
pub(in crate::credential) fn bearer_of(
    token: &str,
    subject: impl FnOnce() -> String,
) -> Result<HeaderValue, Error> {
    value("Bearer ", token, subject)
}

/// `Basic CREDENTIALS` (RFC 7617), marked sensitive. The caller sees to it that `user` has no
/// colon, which would end it.
pub(in crate::credential) fn basic(
    user: &str,
    password: &str,
    subject: impl FnOnce() -> String,
) -> Result<HeaderValue, Error> {
    let pair = Zeroizing::new(format!("{user}:{password}"));
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
    value("Basic ", &encoded, subject)
}

fn value(
    scheme: &str,
    secret: &str,
    subject: impl FnOnce() -> String,
) -> Result<HeaderValue, Error> {
    let mut text = Zeroizing::new(String::with_capacity(scheme.len() + secret.len()));
    text.push_str(scheme);
    text.push_str(secret);
    let value = HeaderValue::from_str(&text).ok();
    // Go lets 0x80 and above pass; but no token has it (RFC 6750, section 2.1), and it would
    // not mean the same everywhere.
    let value = value.filter(|_| secret.is_ascii());
    let mut value = value.ok_or_else(|| Error::Unsendable { subject: subject() })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_header_is_sensitive() {
        let value = bearer("abc").unwrap();
        assert_eq!(value, "Bearer abc");
        assert!(value.is_sensitive());
    }

    #[test]
    fn what_no_header_can_carry_is_refused_without_showing_it() {
        for token in ["hunter2\nx", "hunter2\0", "hunter2é", "hunter2\u{7f}"] {
            let error = bearer(token).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("the token"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
