//! The value of an `Authorization` header.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::credential::Error;

/// Returns `Bearer TOKEN` (RFC 6750), marked sensitive.
///
/// # Errors
/// [`Error::Unsendable`], without the token, if it has characters that no header can have.
pub fn bearer(token: &str) -> Result<HeaderValue, Error> {
    bearer_of(token, || "the token".to_owned())
}

/// Does the same as [`bearer`]; `subject` names the token in the error.
pub(in crate::credential) fn bearer_of(
    token: &str,
    subject: impl FnOnce() -> String,
) -> Result<HeaderValue, Error> {
    value("Bearer ", token, subject)
}

/// Returns `Basic CREDENTIALS` (RFC 7617), marked sensitive. `user` must not have a colon, which
/// would end it.
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
    // Go accepts bytes from 0x80; but no token has them (RFC 6750, section 2.1), and servers decode
    // them differently.
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
    fn characters_that_no_header_can_have_are_refused() {
        for token in ["hunter2\nx", "hunter2\0", "hunter2é", "hunter2\u{7f}"] {
            let error = bearer(token).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("the token"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
