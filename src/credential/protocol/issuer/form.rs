//! The encoding of forms.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

/// The characters that `application/x-www-form-urlencoded` does not encode.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*');

/// Encodes a text for a form (RFC 6749, appendix B).
#[must_use]
pub fn form_encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(utf8_percent_encode(text, FORM).to_string())
}

pub(super) fn encoded(form: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    let capacity = form
        .iter()
        .map(|(key, value)| 3 * (key.len() + value.len()) + 2);
    let mut body = Zeroizing::new(Vec::with_capacity(capacity.sum()));
    for (key, value) in form {
        if !body.is_empty() {
            body.push(b'&');
        }
        body.extend_from_slice(form_encoded(key).as_bytes());
        body.push(b'=');
        body.extend_from_slice(form_encoded(value).as_bytes());
    }
    body
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_characters_of_a_value_are_encoded() {
        let body = encoded(&[
            ("grant_type", "refresh_token"),
            ("client_secret", "a&b=ü +"),
        ]);
        let expected = "grant_type=refresh_token&client_secret=a%26b%3D%C3%BC%20%2B";
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
    }
}
