//! Error codes of OAuth issuers, and the decoding of forms.

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::issuer::Response;

/// The error codes that an issuer may send (RFC 6749, sections 4.1.2.1 and 5.2; `OpenID` Connect
/// Core, section 3.1.2.6). Other texts in their place are never shown.
const CODES: [&str; 16] = [
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "login_required",
    "request_not_supported",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
];

/// Returns `code` if it is a known error code.
#[must_use]
pub fn known_error(code: &str) -> Option<&'static str> {
    CODES.into_iter().find(|known| *known == code)
}

/// The known error code of a response (RFC 6749, section 5.2).
pub(in crate::credential) fn error_of(response: &Response) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
    }
    let refused: Refused = serde_json::from_slice(&response.body).ok()?;
    known_error(&refused.error)
}

/// Returns the first value of `name` in form-encoded text, such as a query or a fragment.
#[must_use]
pub fn form_value(form: &str, name: &str) -> Option<Zeroizing<String>> {
    let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let value = Zeroizing::new(value.replace('+', " "));
    let decoded = percent_decode_str(&value).decode_utf8().ok()?;
    Some(Zeroizing::new(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_name_and_decoded() {
        let form = "xcode=1&code=sha256~a%2Fb+c&code=2&state=";
        assert_eq!(form_value(form, "code").unwrap().as_str(), "sha256~a/b c");
        assert_eq!(form_value(form, "state").unwrap().as_str(), "");
        assert!(form_value(form, "ode").is_none());
    }

    #[test]
    fn an_unknown_error_code_is_dropped() {
        assert_eq!(known_error("access_denied"), Some("access_denied"));
        assert_eq!(known_error("hunter2"), None);
    }
}
